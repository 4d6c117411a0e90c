"""What a comparison with QuickBooks found, per entity: the one report that the terminal, Dagster and the table show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from qbo_pipeline.catalog import Entity

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["equal", "repaired", "differs", "not counted", "failed"]

#: Columns of the report, in the order people read them; the table ``quickbooks.reconciliations`` has the same.
COLUMNS = ("entity", "quickbooks", "warehouse", "missing", "extra", "stale", "repaired", "status", "note")


@dataclass(slots=True)
class Compared:
    """One entity. ``status`` is None for as long as nothing is decided."""

    entity: Entity
    warehouse: int  #: rows of ours
    quickbooks: int | None = None  #: records QuickBooks counts; None where it cannot count them
    missing: int = 0  #: records we did not have
    extra: int = 0  #: rows QuickBooks no longer had
    stale: int = 0  #: rows that were not as QuickBooks has them
    repaired: bool = False
    status: Status | None = None
    note: str | None = None
    #: Intuit's clock when it last said what changed: what changed later cannot have been ours yet.
    since: datetime | None = None

    @property
    def ok(self) -> bool:
        """Say whether nobody needs to look."""
        return self.status in ("equal", "repaired", "not counted")

    def settle(self, status: Status, note: str | None = None) -> None:
        """Decide, unless that is done already: the first reason is the one to tell."""
        if self.status is None:
            self.status, self.note = status, note

    def as_row(self) -> dict[str, Any]:
        """Return flat, JSON-ready values, by the names of ``COLUMNS``."""
        return {**{name: getattr(self, name) for name in COLUMNS}, "entity": self.entity.name}


@dataclass(slots=True)
class Reconciliation:
    """A whole comparison of one company."""

    realm_id: str
    entities: list[Compared]
    #: QuickBooks API calls made, failed ones too.
    calls: int = 0
    #: Records and lines that were loaded on the way.
    rows: int = 0

    @property
    def problems(self) -> list[Compared]:
        """Return what a person has to look at."""
        return [each for each in self.entities if not each.ok]

    @property
    def summary(self) -> str:
        """Say how the entities came out: ``38 equal, 1 repaired, 4 not counted``."""
        counts = {status: self.count(status) for status in get_args(Status)}
        return ", ".join(f"{count} {status}" for status, count in counts.items() if count)

    def count(self, status: Status) -> int:
        """Return how many entities came out as ``status``."""
        return sum(each.status == status for each in self.entities)

    def frame(self) -> pd.DataFrame:
        """Return the report as a table, one row per entity."""
        import pandas as pd

        frame = pd.DataFrame([each.as_row() for each in self.entities], columns=list(COLUMNS))
        numbers = dict.fromkeys(("quickbooks", "warehouse", "missing", "extra", "stale"), "Int64")
        return frame.astype(numbers)  # pandas' own integers have no "not counted"
