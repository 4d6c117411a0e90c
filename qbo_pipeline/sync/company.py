"""Sync one company: read what the window asks for, load it, report.

If Postgres refuses the load as a whole, every entity is tried again by itself and with the careful path, so that one
impossible value keeps only its own entity back.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from qbo_pipeline.catalog import ENTITIES, Entity
from qbo_pipeline.errors import LoadError
from qbo_pipeline.sync.archiving import archive_gone
from qbo_pipeline.sync.cursors import committed_cursors
from qbo_pipeline.sync.fence import Fence
from qbo_pipeline.sync.memory import importing, keep_big_blocks_apart
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.quiet import quiet_hour
from qbo_pipeline.sync.reading import Reader, Reading
from qbo_pipeline.sync.scratch import scratch_folder
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window, these
from qbo_pipeline.warehouse.deletions import forget_restored, lately_lost
from qbo_pipeline.warehouse.entity_tables import ensure_tables
from qbo_pipeline.warehouse.referrers import referring


def sync_company(
    realm_id: str,
    *,
    engine: Engine,
    reader: Reader,
    entities: tuple[Entity, ...] = ENTITIES,
    window: Window = INCREMENTAL,
    progress: Callable[[EntityOutcome], None] = lambda _: None,
    fence: Fence | None = None,
) -> Outcome:
    """Bring ``entities`` of one company up to date and return what happened to each.

    The caller holds the company's lease: two syncs of one company must not overlap; ``fence`` sees to it inside every
    transaction. ``progress`` is called after every page. Failures of single entities are in the outcome; what makes any
    sync impossible is raised (PipelineError).
    """
    keep_big_blocks_apart()
    ensure_tables(engine, tuple(table for entity in entities for table in entity.tables))
    attempt = _Attempt(realm_id, engine, reader, progress, fence)
    outcome = Outcome(realm_id, attempt.safely(entities, window))
    _follow_merges(engine, attempt, outcome)
    return outcome


def _follow_merges(engine: Engine, attempt: _Attempt, outcome: Outcome) -> None:
    """Read again what a merge changed: what named the loser names the winner now, whose balance is both's.

    QuickBooks need not call either a change. List entries are made inactive, not deleted: one that is gone was merged.
    """
    merged = {each.entity for each in outcome.entities if each.entity.active and each.deleted}
    lost = lately_lost(engine, outcome.realm_id)
    if stale := referring(engine, outcome.realm_id, lost):
        merged |= lost.keys()
        outcome.add(attempt.safely(tuple(stale), these({entity.name: ids for entity, ids in stale.items()})))
    if merged:
        outcome.add(attempt.safely(tuple(merged), FULL))


class _Attempt:
    """Tries to read and load entities of one company."""

    def __init__(
        self,
        realm_id: str,
        engine: Engine,
        reader: Reader,
        progress: Callable[[EntityOutcome], None],
        fence: Fence | None,
    ) -> None:
        self._realm_id = realm_id
        self._engine = engine
        self._reader = reader
        self._progress = progress
        self._fence = fence
        self._url = engine.url.render_as_string(hide_password=False)

    def safely(self, entities: tuple[Entity, ...], window: Window) -> list[EntityOutcome]:
        """Load all entities at once or, where Postgres refuses a value, one by one and carefully."""
        try:
            return self._load(entities, window)
        except LoadError as error:
            if not error.refused_a_value:
                raise
            return [self._alone(entity, window) for entity in entities]

    def _alone(self, entity: Entity, window: Window) -> EntityOutcome:
        try:
            return self._load((entity,), window, careful=True)[0]
        except LoadError as error:
            return EntityOutcome(entity, error=error)

    def _load(self, entities: tuple[Entity, ...], window: Window, *, careful: bool = False) -> list[EntityOutcome]:
        with scratch_folder() as folder:
            reading = Reading(
                self._realm_id, self._reader, window, folder, always_careful=careful, progress=self._progress
            )
            cursors = committed_cursors(self._engine, self._realm_id)
            if not careful and (quiet := quiet_hour(entities, reading, cursors)) is not None:
                forget_restored(self._engine, self._realm_id)  # whoever was to do it may have been killed
                return quiet
            # Not at the top: dlt takes longer to import than a quiet hour to pass.
            with importing():
                from qbo_pipeline.sync.loader import load

            outcomes = load(entities, reading, self._url, before_load=lambda: self._archive(reading), fence=self._fence)
        # Once more: what was read alive a moment before it was found gone came back with the load.
        self._archive(reading)
        forget_restored(self._engine, self._realm_id)
        return outcomes

    def _archive(self, reading: Reading) -> None:
        gone = {entity: records for entity, records in reading.gone.items() if records}
        for name, count in archive_gone(self._engine, self._realm_id, gone, fence=self._fence).items():
            reading.outcomes[name].deleted += count
