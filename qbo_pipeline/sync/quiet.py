"""An hour in which nothing happened: known after one call, and then nothing is loaded.

Setting up a load costs a hundred times what the call does, and most companies are quiet in most hours. The same reader
that a load would read from is asked first; only where everything it has to say is that nothing changed, and no cursor
is old enough to be moved, the load is left out. In every other case the load reads on from what was asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.reading import QUIET_CURSOR_AGE, Reading


def quiet_hour(
    entities: tuple[Entity, ...], reading: Reading, cursors: Mapping[str, datetime]
) -> list[EntityOutcome] | None:
    """Return the outcomes of an hour without changes; None when there is, or may be, something to load.

    ``cursors`` are those the load would begin with.
    """
    if reading.window.mode != "incremental" or not all(each.cdc and each.name in cursors for each in entities):
        return None
    reading.prepare(entities, cursors)
    if reading.broken is not None or not reading.reader.is_quiet:
        return None
    outcomes = []
    for entity in entities:
        cursor = cursors[entity.name]
        outcome = EntityOutcome(entity, cursor_before=cursor, cursor_after=cursor)
        try:
            for page in reading.reader.pages(entity, reading.window, reading.window.lower_bound(cursor)):
                if page.records:
                    return None
                outcome.asked_at = outcome.asked_at or page.time
                outcome.pages += 1
        except PipelineError:
            return None
        if outcome.asked_at is None or outcome.asked_at - cursor > QUIET_CURSOR_AGE:
            return None
        outcomes.append(outcome)
    reading.outcomes.update({each.entity.name: each for each in outcomes})
    for outcome in outcomes:
        reading.progress(outcome)
    return outcomes
