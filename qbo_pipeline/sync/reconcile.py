"""Does the warehouse hold what QuickBooks has? Counted, sampled, and where it does not, read again whole.

Flows in    a client, what is stored, a way to sync some entities, and how close to look
Flows out   one ``Compared`` per entity, everything decided
Refuses     to call anything different that QuickBooks is only just changing: whatever differs is synced and looked at
            once more before it is read whole, and judged after that

The levels, from cheap to dear: ``COUNT(*)`` against our rows (one call per entity), SyncToken and LastUpdatedTime of
rows drawn at random (one call per hundred), every record (``full``). Whatever differs is read through the ordinary load
path, so deletions are believed only as ``deleting.py`` believes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import (
    PipelineError,
    ReauthorizationRequiredError,
    SuspiciousDeletionsError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.sync.comparison import Compared
from qbo_pipeline.sync.deleting import still_there
from qbo_pipeline.sync.exact import ExactReading
from qbo_pipeline.sync.heads import key_in, version_in
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window
from qbo_pipeline.warehouse.snapshots import Change
from qbo_pipeline.warehouse.stored import Version

#: Brings entities up to date and returns what happened to each.
Sync = Callable[[tuple[Entity, ...], Window], Iterable[EntityOutcome]]

#: After one of these, asking about the next entity is pointless.
_HOPELESS = (ThrottledError, UnauthorizedError, ReauthorizationRequiredError)


class Stored(Protocol):
    """What the warehouse has of one company; ``warehouse.stored`` behind it in real life."""

    def count(self, entity: Entity) -> int: ...
    def some_ids(self, entity: Entity, at_most: int) -> list[str]: ...
    def versions(self, entity: Entity, ids: Sequence[str]) -> dict[str, Version]: ...


class Before(Protocol):
    """The rows as they were before a full read; ``warehouse.snapshots`` in real life."""

    def change(self, entity: Entity, since: datetime | None) -> Change: ...


class Reconciler:
    """One comparison of one company; the caller holds the company's lock."""

    def __init__(
        self,
        client: QboClient,
        stored: Stored,
        sync: Sync,
        snapshot: Callable[[Sequence[Entity]], AbstractContextManager[Before]],
        *,
        sample: int = 0,
        full: bool = False,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``sample`` is how many records of each entity are looked at; ``step`` is told what is being done."""
        self._client = client
        self._stored = stored
        self._sync_entities = sync
        self._snapshot = snapshot
        self._sample = sample
        self._full = full
        self._step = step
        self._rows: dict[Entity, Compared] = {}
        #: Ids whose versions are to be looked at: a sample at first, later those of it that differed.
        self._doubtful: dict[Entity, list[str]] = {}

    def compare(self, entities: Iterable[Entity], lacking: dict[str, str]) -> list[Compared]:
        """Compare ``entities``, repair what differs, and say how each came out.

        ``lacking`` are the entities the company does not have, and why.
        """
        self._rows = {each: Compared(each, self._stored.count(each)) for each in entities}
        for entity, row in self._rows.items():
            if entity.name in lacking:
                row.settle("not counted", lacking[entity.name])
        self._sync(self._open(), INCREMENTAL)
        differing = self._differing_still(self._differing(self._open()))
        self._repair(self._open() if self._full else differing)
        for entity, row in self._rows.items():
            row.settle("not counted" if (why := uncountable(entity)) else "equal", why)
            row.warehouse = self._stored.count(entity)
        return list(self._rows.values())

    def _open(self) -> list[Entity]:
        return [entity for entity, row in self._rows.items() if row.status is None]

    def _sync(self, entities: Sequence[Entity], window: Window) -> None:
        """Bring entities up to date; one that fails is settled."""
        if not entities:
            return
        for outcome in self._sync_entities(tuple(entities), window):
            row = self._rows.get(outcome.entity)
            if row is None:
                continue  # read along with what was asked for
            if window.mode == "incremental":
                row.since = outcome.asked_at
            if outcome.unavailable:
                row.settle("not counted", outcome.unavailable)
            elif outcome.error is not None:
                self._fail(row, outcome.error)

    def _differing(self, entities: Iterable[Entity]) -> list[Entity]:
        """Return those entities of which QuickBooks has other records than we do, as far as is looked."""
        found = []
        asked = [each for each in entities if self._rows[each].status is None and not uncountable(each)]
        for number, entity in enumerate(asked):
            self._step(f"Comparing {entity.name}")
            try:
                if self._differs(entity):
                    found.append(entity)
            except _HOPELESS as error:
                for each in asked[number:]:
                    self._fail(self._rows[each], error)
                break
            except UnavailableError as error:
                self._rows[entity].settle("not counted", str(error))
            except PipelineError as error:
                self._fail(self._rows[entity], error)
        return found

    def _differing_still(self, entities: Sequence[Entity]) -> list[Entity]:
        """Return which of ``entities`` differ when what changed meanwhile is synced: nobody stops working for us."""
        self._sync(entities, INCREMENTAL)
        return self._differing(entities)

    def _differs(self, entity: Entity) -> bool:
        row = self._rows[entity]
        row.quickbooks = ExactReading(self._client, entity).count()
        row.warehouse = self._stored.count(entity)
        if row.quickbooks != row.warehouse:
            return True
        if entity not in self._doubtful:
            self._doubtful[entity] = self._stored.some_ids(entity, self._sample) if self._sample else []
        self._doubtful[entity] = self._unlike(entity, self._doubtful[entity])
        return bool(self._doubtful[entity])

    def _unlike(self, entity: Entity, ids: Sequence[str]) -> list[str]:
        """Return which of the records QuickBooks has in another version, or not at all."""
        ours = self._stored.versions(entity, ids)
        theirs = {
            key_in(entity, record): version_in(entity, record)
            for page in still_there(self._client, entity, ours)
            for record in page
        }
        return [each for each, version in ours.items() if each not in theirs or not same(version, theirs[each])]

    def _repair(self, entities: Sequence[Entity]) -> None:
        """Read entities whole, note what that changed, and judge them by what is left of the difference."""
        if not entities:
            return
        with self._snapshot(entities) as before:
            self._sync(entities, FULL)
            for entity in entities:
                row = self._rows[entity]
                change = before.change(entity, row.since)
                row.missing, row.extra, row.stale = change.missing, change.extra, change.stale
                row.repaired = bool(change)
        for entity in self._differing_still(self._differing(entities)):
            row = self._rows[entity]
            row.settle("differs", _what_is_left(row, len(self._doubtful.get(entity, ()))))
        for entity in entities:
            if self._rows[entity].repaired:
                self._rows[entity].settle("repaired", uncountable(entity))

    def _fail(self, row: Compared, error: PipelineError) -> None:
        row.settle("differs" if isinstance(error, SuspiciousDeletionsError) else "failed", str(error))


def uncountable(entity: Entity) -> str | None:
    """Return why QuickBooks cannot be asked how many records of an entity it has; None when it can."""
    if entity.singleton:
        return "A company has exactly one."
    if entity.reads == "list":
        return "QuickBooks gives the list only as a whole."
    if entity.reads == "per currency":
        return "QuickBooks counts rates only currency by currency."
    return None


def same(one: Version, other: Version) -> bool:
    """Say whether two versions can be the same; what one of them does not say tells nothing."""
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _what_is_left(row: Compared, doubtful: int) -> str:
    name = row.entity.name
    if row.quickbooks != row.warehouse:
        return (
            f"After reading all of {name} QuickBooks counts {row.quickbooks:,} and the warehouse has "
            f"{row.warehouse:,}: run 'qbo reconcile --entity {name}' again later."
        )
    return (
        f"After reading all of {name} {doubtful:,} of the records looked at are still of another version: "
        f"run 'qbo reconcile --entity {name} --full'."
    )
