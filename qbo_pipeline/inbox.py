"""Acting on what QuickBooks' webhooks told: read what they name, then see in the tables whether it arrived.

    claim what is due  →  one sync, for the named entities only  →  its commit  →  look  →  done, again later, or dead

An event is a hint and never the truth: it may come twice, late, out of order, or not at all. So what it says is not
believed but read, no cursor depends on it, and the hourly sync finds whatever it does not bring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from qbo_pipeline.catalog import Entity, entity_named
from qbo_pipeline.errors import (
    PipelineError,
    ReauthorizationRequiredError,
    RetryableError,
    UnauthorizedError,
)
from qbo_pipeline.sync.named import SPOILT
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.window import INCREMENTAL, Window, these
from qbo_pipeline.warehouse.inbox import MOST_FAILURES, Inbox, Waiting
from qbo_pipeline.warehouse.stored import StoredBooks

#: Up to so many records of an entity are read by id; for more of them everything that changed is asked for.
FEW = 10
#: QuickBooks stamps an event when it makes it, a little after the record: a record so much older is still that one.
SLACK = timedelta(minutes=1)
#: What an incremental read of an entity costs that change data capture does not cover: counts before and after, a page.
_BY_QUERY = 3
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=15)
_REFUSED = (UnauthorizedError, ReauthorizationRequiredError)

Sync = Callable[[tuple[Entity, ...], Window], Outcome]


@dataclass(frozen=True, slots=True)
class ActedOn:
    """What became of the events that one run took up. Those that are not done wait, or are dead."""

    outcome: Outcome
    window: Window
    events: int
    done: int


def act_on(inbox: Inbox, realm_id: str, entities: Iterable[Entity], stored: StoredBooks, sync: Sync) -> ActedOn | None:
    """Act on what waits of a company for any of ``entities``; None when nothing does.

    Failures of single entities are in the outcome. What ``sync`` raises (PipelineError) is raised, and the events wait
    without blame.
    """
    events = inbox.claim(realm_id, [entity.name for entity in entities])
    if not events:
        return None
    wanted = named(events)
    window = window_for(wanted)
    began = datetime.now(UTC)
    try:
        outcome = sync(tuple(wanted), window)
    except PipelineError as error:
        for each in events:
            inbox.postpone([each], _pause(each), str(error), blame=False)
        raise
    by_name = {each.entity.name: each for each in outcome.entities}
    done = 0
    for entity in wanted:
        of_it = [each for each in events if each.entity == entity.name]
        arrived = _Arrived(stored, entity, of_it, began, is_whole=by_name[entity.name].ok)
        settled = [each for each in of_it if arrived.has(each)]
        inbox.done(settled)
        done += len(settled)
        _put_off(inbox, [each for each in of_it if each not in settled], by_name[entity.name])
    inbox.purge()
    return ActedOn(outcome, window, len(events), done)


def named(events: Sequence[Waiting]) -> dict[Entity, set[str]]:
    """Return the records that events are about, by entity."""
    wanted: dict[Entity, set[str]] = {}
    for each in events:
        ids = wanted.setdefault(entity_named(each.entity), set())
        ids.update({each.record_id} if each.deleted_id is None else {each.record_id, each.deleted_id})
    return wanted


def window_for(wanted: Mapping[Entity, set[str]]) -> Window:
    """Return the window that brings all of it for the fewest calls; single records where that costs no more."""
    by_change = any(entity.cdc for entity in wanted) + _BY_QUERY * sum(not entity.cdc for entity in wanted)
    can_be_named = all(
        entity.key_fields == ("Id",) and entity.reads == "query" and not entity.singleton and not entity.wrapped
        for entity in wanted
    )
    if can_be_named and len(wanted) <= by_change and all(len(ids) <= FEW for ids in wanted.values()):
        return these({entity.name: ids for entity, ids in wanted.items()})
    return INCREMENTAL


class _Arrived:
    """Whether what events told of an entity is in its tables now."""

    def __init__(
        self, stored: StoredBooks, entity: Entity, events: Sequence[Waiting], began: datetime, *, is_whole: bool
    ) -> None:
        """``is_whole`` says that the entity was read without a failure since ``began``."""
        ids = sorted({key for each in events for key in (each.record_id, each.deleted_id) if key is not None})
        self._rows = stored.readings(entity, ids)
        self._gone = stored.deleted_ids(entity).intersection(ids)
        self._began = began
        self._is_whole = is_whole

    def has(self, event: Waiting) -> bool:
        if event.deleted_id is not None and event.deleted_id in self._rows:
            return False
        row = self._rows.get(event.record_id)
        if row is None:
            # A record we have never seen may be gone as well, if it was looked for.
            return event.record_id in self._gone or (event.operation == "deleted" and self._is_whole)
        updated_at, synced_at = row
        if not self._is_whole and synced_at < self._began:
            return False
        if event.operation == "deleted":
            return updated_at is not None and updated_at >= event.time  # it was restored since
        if event.operation in ("merged", "emailed"):
            return synced_at >= self._began  # neither need move the record's time
        return updated_at is None or updated_at >= event.time - SLACK


def _put_off(inbox: Inbox, events: Sequence[Waiting], outcome: EntityOutcome) -> None:
    """Let events wait that did not arrive; those that have failed too often are set aside."""
    error = outcome.error
    if outcome.unavailable is not None:
        inbox.bury(events, outcome.unavailable)
        return
    for each in events:
        if error is not None and _passes(error):
            inbox.postpone([each], _pause(each), str(error), blame=False)
        elif each.failures < MOST_FAILURES:
            why = str(error) if error else "QuickBooks does not show it yet"
            inbox.postpone([each], _pause(each), why, blame=True)
        elif error is not None:
            inbox.bury([each], str(error))
        else:
            inbox.done([each], "QuickBooks did not show it; the next sync of everything reads it when it does")


def _passes(error: PipelineError) -> bool:
    """Say whether a failure has nothing to do with the record: QuickBooks is away, or does not let us in."""
    return isinstance(error, _REFUSED) or (isinstance(error, RetryableError) and error.code not in SPOILT)


def _pause(event: Waiting) -> timedelta:
    seconds = _FIRST_PAUSE.total_seconds() * 4.0 ** min(event.attempts - 1, 5)
    return min(timedelta(seconds=seconds), _LONGEST_PAUSE)
