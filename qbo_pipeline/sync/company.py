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
from qbo_pipeline.sync.loader import load
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.resources import Reader, Reading
from qbo_pipeline.sync.scratch import scratch_folder
from qbo_pipeline.sync.window import INCREMENTAL, Window
from qbo_pipeline.warehouse.deletions import forget_restored
from qbo_pipeline.warehouse.entity_tables import ensure_tables


def sync_company(
    realm_id: str,
    *,
    engine: Engine,
    reader: Reader,
    entities: tuple[Entity, ...] = ENTITIES,
    window: Window = INCREMENTAL,
    progress: Callable[[EntityOutcome], None] = lambda _: None,
) -> Outcome:
    """Bring ``entities`` of one company up to date and return what happened to each.

    The caller holds the company's lock: two syncs of one company must not overlap. ``progress`` is called after every
    page. Failures of single entities are in the outcome; what makes any sync impossible is raised (PipelineError).
    """
    ensure_tables(engine, tuple(table for entity in entities for table in entity.tables))
    url = engine.url.render_as_string(hide_password=False)

    def attempt(these: tuple[Entity, ...], *, careful: bool = False) -> list[EntityOutcome]:
        with scratch_folder() as folder:
            reading = Reading(realm_id, reader, window, folder, always_careful=careful, progress=progress)
            outcomes = load(these, reading, url, before_load=lambda: _archive(engine, reading))
            # Once more: what was read alive a moment before it was found gone came back with the load.
            _archive(engine, reading)
            forget_restored(engine, realm_id)
            return outcomes

    try:
        return Outcome(realm_id, attempt(entities))
    except LoadError as error:
        if not error.refused_a_value:
            raise
        return Outcome(realm_id, [_alone(entity, attempt) for entity in entities])


def _archive(engine: Engine, reading: Reading) -> None:
    gone = {entity: records for entity, records in reading.gone.items() if records}
    for name, count in archive_gone(engine, reading.realm_id, gone).items():
        reading.outcomes[name].deleted += count


def _alone(entity: Entity, attempt: Callable[..., list[EntityOutcome]]) -> EntityOutcome:
    try:
        return attempt((entity,), careful=True)[0]
    except LoadError as error:
        return EntityOutcome(entity, error=error)
