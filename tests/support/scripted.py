"""A QuickBooks that says what a test wrote down: the smallest thing a load can read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.sync.deleting import Findings, Gone
from qbo_pipeline.sync.window import Window
from tests.support.payloads import raw

AT_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class ScriptedPage:
    records: list[msgspec.Raw]
    time: datetime | None = AT_NOON


@dataclass
class ScriptedReader:
    """``pages["Invoice"]`` is a list of pages, each a list of payloads; an exception in it is raised when reached."""

    script: Mapping[str, Sequence[Sequence[dict[str, Any]] | Exception]] = field(default_factory=dict)
    time: datetime = AT_NOON
    gone: Mapping[str, list[Gone]] = field(default_factory=dict)
    asked: list[tuple[str, datetime | None]] = field(default_factory=list)

    @property
    def is_quiet(self) -> bool:
        return not any(self.gone.values()) and not any(page for pages in self.script.values() for page in pages)

    def prepare(self, entities: tuple[Entity, ...], window: Window, cursors: Mapping[str, datetime]) -> None:
        """Nothing is asked for all at once."""

    def findings(self, entity: Entity) -> Findings:
        return Findings(gone=self.gone.get(entity.name, []))

    def pages(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[ScriptedPage]:
        self.asked.append((entity.name, since))
        script = self.script.get(entity.name, [])
        for page in script or [[]]:
            if isinstance(page, BaseException):
                raise page
            yield ScriptedPage([raw(payload) for payload in page], self.time)


def invoice(record_id: str, *amounts: int, **more: Any) -> dict[str, Any]:
    """Return an invoice with a line of each amount."""
    lines = [
        {"Id": str(i), "LineNum": i, "Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}
        for i, amount in enumerate(amounts, 1)
    ]
    return {"Id": record_id, "SyncToken": "0", "TotalAmt": sum(amounts), "Line": lines, **more}
