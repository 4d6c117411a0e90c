"""Change data capture: every object changed since an instant, and stubs of the deleted ones.

At most 1000 objects an answer, live ones first in the order they changed, stubs last; blocks in no particular order and
``{}`` for an entity without changes; at most 30 days back (Intuit: change data capture; live-sandbox observation).
Knobs make it lie: stubs of live records, everything twice, stubs first.
"""

from __future__ import annotations

import random

from qbo_pipeline.sandbox.books import Books, Record, Table, inner
from qbo_pipeline.sandbox.entities import Entity, find
from qbo_pipeline.sandbox.faults import missing, poisoned_fault, unsupported
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.values import encode
from qbo_pipeline.sandbox.visibility import seen

LOOK_BACK_SECONDS = 30 * 86_400


def changes(books: Books, entities: str, since: str, settings: Settings, shuffle: random.Random) -> bytes:
    """Return the ``CDCResponse`` array."""
    wanted = _wanted(books.realm, entities, settings)
    instant = _instant(books, since, settings)
    blocks, room = [], settings.cdc_cap
    for entity in wanted:
        cap = settings.cdc_cap if settings.cdc_cap_scope == "entity" else room
        rows, total = _rows(seen(books.table(entity.name), settings), books, instant, settings)
        room -= len(rows[:cap])
        blocks.append(_block(entity, rows[:cap], total))
    if settings.cdc_unchanged == "omit":
        blocks = [block for block in blocks if block != b"{}"] or [b"{}"]
    if settings.cdc_shuffle:
        shuffle.shuffle(blocks)
    return b'[{"QueryResponse":[' + b",".join(blocks) + b"]}]"


def _wanted(realm: str, entities: str, settings: Settings) -> list[Entity]:
    words = [word.strip() for word in entities.split(",") if word.strip()]
    if not words:
        raise missing("entities")
    wanted: dict[str, Entity] = {}
    for word in words:
        entity = find(word)
        if entity is not None and _is_captured(entity, realm, settings):
            wanted[entity.name] = entity
        elif settings.cdc_unsupported == "fault":
            raise unsupported(f"Operation cdc is not supported for entity {word}.")
    return list(wanted.values())


def _is_captured(entity: Entity, realm: str, settings: Settings) -> bool:
    known = entity.cdc and (entity.name != "TimeActivity" or settings.cdc_time_activity)
    return known and not settings.lacks(realm, entity.name)


def _instant(books: Books, since: str, settings: Settings) -> int:
    if not since:
        raise missing("changedSince")
    instant = books.clock.instant(since)
    if instant is None:
        raise unsupported(f"Operation cdc with changedSince date {since} is not supported.")
    oldest = int(books.clock.now()) - LOOK_BACK_SECONDS
    if instant < oldest and settings.cdc_too_old == "fault":
        raise unsupported(
            f"Operation cdc with changedSince date {since} which is older than fixed days is not supported."
        )
    return max(instant, oldest)


def _rows(table: Table, books: Books, since: int, settings: Settings) -> tuple[list[bytes], int]:
    first = since if settings.cdc_inclusive else since + 1
    lies = [name.partition("/")[2] for name in settings.cdc_false_stubs if name.startswith(f"{table.entity.name}/")]
    live = sorted((each for each in table.records.values() if each.updated >= first), key=lambda each: each.updated)
    gone = sorted(
        (each for each in table.tombstones.values() if each.deleted_at >= first), key=lambda each: each.deleted_at
    )
    if settings.is_poisoned(table.entity.name, (each.key for each in live)):
        raise poisoned_fault(settings.poisoned_code)
    changed = [each.body for each in live if each.key not in lies]
    stubs = [_stub(each.record, books.clock.stamp(each.deleted_at)) for each in gone]
    now = books.clock.stamp(books.clock.now())
    stubs += [_stub(table.records[key], now) for key in lies if key in table.records]
    rows = [*stubs, *changed] if settings.cdc_stubs_first else [*changed, *stubs]
    if settings.cdc_duplicates:
        rows = [row for row in rows for _ in range(2)]
    return rows, len(rows)


def _stub(record: Record, deleted_at: str) -> bytes:
    """Write what change data capture shows of a deleted record; a template keeps the wrapper of its kind."""
    gone = {"domain": "QBO", "status": "Deleted", "Id": record.key, "MetaData": {"LastUpdatedTime": deleted_at}}
    payload = record.payload()
    return encode(gone if inner(payload) is payload else {next(iter(payload)): gone})


def _block(entity: Entity, rows: list[bytes], total: int) -> bytes:
    if not rows:
        return b"{}"
    counters = f'],"startPosition":1,"maxResults":{len(rows)},"totalCount":{total}}}'.encode()
    return b"{" + encode(entity.name) + b":[" + b",".join(rows) + counters
