"""What changed, in one call: change data capture for every entity it covers, and what to do where it cannot be trusted.

Flows in    a client, the entities, and the time each was read up to
Flows out   ``Changes``: records and stubs of deleted ones per entity, and the entities that must be read by query
Refuses     to take an answer for whole that may have been cut off: 1000 objects, or further back than Intuit remembers

Intuit caps an answer at 1000 objects without saying so, deletions first; forgets after 30 days, sometimes silently; and
fails the whole call for one entity it does not cover, or one record it cannot write. None of these names the culprit,
so the entities are divided until the ones to blame are alone; those are read by query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import QboError, RejectedError, RetryableError, ThrottledError, UnavailableError
from qbo_pipeline.qbo.answers import CdcAnswer, DeletedStub

_T = TypeVar("_T")

#: How far back change data capture is trusted: Intuit forgets after 30 days.
LOOK_BACK = timedelta(days=29)
#: Entities read up to about the same time share a call; one that lags further behind (it failed) has one of its own,
#: so that it does not make everybody's answer longer. A quiet entity's cursor is never older than a day.
TOGETHER = timedelta(hours=25)


class Captures(Protocol):
    """The part of ``QboClient`` this needs."""

    def cdc(self, entities: Sequence[str], changed_since: datetime) -> CdcAnswer: ...


@dataclass(slots=True)
class Captured:
    """What change data capture said of one entity. ``time`` is Intuit's clock when it answered."""

    records: list[msgspec.Raw]
    deleted: list[DeletedStub]
    time: datetime | None


@dataclass(slots=True)
class Changes:
    """Each entity that was asked for is in one of these, by name."""

    captured: dict[str, Captured] = field(default_factory=dict)
    #: To be read by query, deletions included, and why.
    uncaptured: dict[str, str] = field(default_factory=dict)
    failed: dict[str, QboError] = field(default_factory=dict)

    @property
    def is_quiet(self) -> bool:
        """Say whether nothing changed at all."""
        return not self.uncaptured and not any(each.records or each.deleted for each in self.captured.values())


def collect(client: Captures, since: Mapping[Entity, datetime]) -> Changes:
    """Ask what changed of each entity ``since`` its time, in as few calls as the answers allow.

    Raises what ends a sync whatever is asked: a refused token, a throttle that lasts.
    """
    changes = Changes()
    for group in _groups(since):
        _ask(client, group, changes)
    return changes


def _groups(since: Mapping[Entity, datetime]) -> list[dict[Entity, datetime]]:
    if not since:
        return []
    newest = max(since.values())
    near = {entity: time for entity, time in since.items() if newest - time <= TOGETHER}
    far = {entity: time for entity, time in since.items() if entity not in near}
    return [near, far] if far else [near]


def _ask(client: Captures, since: Mapping[Entity, datetime], changes: Changes) -> None:
    """Ask for ``since``'s entities, dividing them for as long as the answer is a failure or may be cut off."""
    if not since:
        return
    start = min(since.values())
    try:
        answer = client.cdc([entity.name for entity in since], start)
    except ThrottledError:
        raise
    except (RejectedError, UnavailableError, RetryableError) as error:
        _ask_apart(client, since, error, changes)
        return
    if answer.time is not None and answer.time - start > LOOK_BACK:
        # Intuit may answer as if it remembered. The entities whose own time is recent enough are asked once more.
        recent = {entity: time for entity, time in since.items() if answer.time - time <= LOOK_BACK}
        _to_query(since.keys() - recent.keys(), "change data capture does not reach back that far", changes)
        _ask(client, recent, changes)
        return
    if answer.is_truncated:
        largest = max(since, key=lambda entity: _size(answer, entity))
        _to_query([largest], "more changed than change data capture tells in one answer", changes)
        _ask(client, {entity: time for entity, time in since.items() if entity is not largest}, changes)
        return
    for entity in since:
        records, deleted = (_of(entity, answers) for answers in (answer.records, answer.deleted))
        changes.captured[entity.name] = Captured(records, deleted, answer.time)


def _ask_apart(client: Captures, since: Mapping[Entity, datetime], error: QboError, changes: Changes) -> None:
    if error.code is None and not isinstance(error, RejectedError):
        # QuickBooks is away, which no smaller question mends; the client has been patient already.
        changes.failed.update({entity.name: error for entity in since})
        return
    if "older than" in str(error):
        _to_query(since, "change data capture does not reach back that far", changes)
        return
    entities = list(since)
    if len(entities) == 1:
        _to_query(entities, f"change data capture failed: {error}", changes)
        return
    half = len(entities) // 2
    for part in (entities[:half], entities[half:]):
        _ask(client, {entity: since[entity] for entity in part}, changes)


def _to_query(entities: Iterable[Entity], why: str, changes: Changes) -> None:
    changes.uncaptured.update({entity.name: why for entity in entities})


def _size(answer: CdcAnswer, entity: Entity) -> int:
    return len(_of(entity, answer.records)) + len(_of(entity, answer.deleted))


def _of(entity: Entity, answers: Mapping[str, list[_T]]) -> list[_T]:
    return [each for name in {entity.name, entity.json_key} for each in answers.get(name, [])]
