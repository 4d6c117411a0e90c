"""What a sync did, per entity: the one report that the terminal, Dagster and the run table all show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.sync.drift import Drift

if TYPE_CHECKING:
    from qbo_pipeline.warehouse.drift import SeenDrift


@dataclass(slots=True)
class EntityOutcome:
    """One entity's part of a sync. ``records`` and ``lines`` count what was written to its table and line table."""

    entity: Entity
    records: int = 0
    lines: int = 0
    pages: int = 0
    expected: int | None = None  #: how many records QuickBooks counted before they were read, where it was asked
    run_calls: int = 0  #: API calls of the whole run, up to the last page of this entity
    deleted: int = 0  #: rows that left the entity's table because QuickBooks no longer has the record
    cursor_before: datetime | None = None
    cursor_after: datetime | None = None
    asked_at: datetime | None = None  #: Intuit's clock at the first answer
    error: PipelineError | None = None
    #: Why this company does not have the entity at all (its plan, its region); no failure.
    unavailable: str | None = None
    #: Not asked for this time: it is not covered by change data capture, and its turn comes later.
    resting: bool = False
    drift: Drift = field(default_factory=Drift)

    @property
    def ok(self) -> bool:
        return self.error is None

    def rows_of(self, table: str) -> int:
        """Return how many rows were written to ``table``, one of the entity's tables."""
        return self.records if table == self.entity.table.name else self.lines


@dataclass(slots=True)
class Outcome:
    """A whole sync of one company."""

    realm_id: str
    entities: list[EntityOutcome]
    #: QuickBooks API calls made, failed ones too.
    calls: int = 0
    #: What QuickBooks sent of late that the catalogue does not know, this sync included.
    known_drift: list[SeenDrift] = field(default_factory=list)

    def add(self, more: list[EntityOutcome]) -> None:
        """Add what a further read of some entities brought."""
        known = {each.entity.name: each for each in self.entities}
        for each in more:
            first = known.get(each.entity.name)
            if first is None:
                self.entities.append(each)
                continue
            first.records, first.lines = first.records + each.records, first.lines + each.lines
            first.pages, first.deleted = first.pages + each.pages, first.deleted + each.deleted
            first.error = first.error or each.error

    @property
    def rows(self) -> int:
        return sum(each.records + each.lines for each in self.entities)

    @property
    def unavailable(self) -> dict[str, str]:
        """Return the entities the company does not have, and why."""
        return {each.entity.name: each.unavailable for each in self.entities if each.unavailable}

    @property
    def failed(self) -> list[EntityOutcome]:
        return [each for each in self.entities if not each.ok]
