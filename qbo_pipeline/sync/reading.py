"""What one read of a company's books is: whom to ask, for which window, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.sync.deleting import Findings, Gone
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.window import Window

#: A quiet entity's cursor is left alone until it is this old, so that an hour without changes writes nothing at all.
QUIET_CURSOR_AGE = timedelta(hours=24)


class Page(Protocol):
    """Records of one answer, and Intuit's clock when it answered."""

    @property
    def records(self) -> list[msgspec.Raw]: ...
    @property
    def time(self) -> datetime | None: ...


class Reader(Protocol):
    """Reads one company's records; ``reader.QboReader`` in real life."""

    @property
    def is_quiet(self) -> bool:
        """Say whether ``prepare`` found that nothing changed."""
        ...

    def prepare(self, entities: tuple[Entity, ...], window: Window, cursors: Mapping[str, datetime]) -> None:
        """Ask for whatever is asked for all entities at once; called before the first page, again for a new try."""
        ...

    def pages(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[Page]:
        """Yield pages of an entity: everything touched (or, for a range, created) since ``since``."""
        ...

    def findings(self, entity: Entity) -> Findings:
        """Return what else the read of an entity found out, all of it after its last page."""
        ...


@dataclass(slots=True)
class Reading:
    """Everything the resources of one load share."""

    realm_id: str
    reader: Reader
    window: Window
    folder: Path
    always_careful: bool = False
    progress: Callable[[EntityOutcome], None] = lambda _: None
    outcomes: dict[str, EntityOutcome] = field(default_factory=dict)
    #: Records that are gone, of the entities that were read to their end.
    gone: dict[Entity, list[Gone]] = field(default_factory=dict)
    _prepared: bool = False
    #: A failure that makes reading anything else pointless: the connection to QuickBooks itself is refused.
    broken: PipelineError | None = None

    def prepare(self, entities: tuple[Entity, ...], cursors: Mapping[str, datetime]) -> None:
        """Let the reader ask what it asks once; a connection that is refused ends the reading here."""
        if self._prepared:
            return
        self._prepared = True
        try:
            self.reader.prepare(entities, self.window, cursors)
        except PipelineError as error:
            self.broken = error
