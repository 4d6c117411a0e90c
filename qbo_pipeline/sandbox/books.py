"""One company's books: every record as the exact bytes that will be served, and what is needed to find it.

A record keeps its payload pre-serialised, so a page of a thousand invoices is a join of bytes. Times, Active and Id are
kept beside it; any other property is read out of the payload on first use and remembered until the record changes.
Deleted records leave a tombstone, which change data capture reports. What a write replaced is kept for as long as a
reader may still be shown it (visibility.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

from msgspec import Raw

from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.entities import BY_NAME, ENTITIES, Entity
from qbo_pipeline.sandbox.values import Payload, Scalar, amount, decode, encode

LONG_IDS = 5_000_000_000_000_010_001  # classes, customer types and attachables have 19-digit Ids (recorded)
LATEST = 3600.0  # seconds after which every write is visible, whatever the knob says


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one record."""

    key: str
    body: bytes
    created: int
    updated: int
    sync_token: int
    active: bool
    rank: tuple[int, int, str]  # sorts Ids as numbers where they are numbers

    def payload(self) -> Payload:
        """Return a fresh copy of the payload."""
        payload: Payload = decode(self.body)
        return payload


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a deleted record: when it went, and its last version, should it come back."""

    key: str
    deleted_at: int
    record: Record


@dataclass(frozen=True, slots=True)
class Before:
    """What stood in the place of a write until it was made: a record, a tombstone, or nothing."""

    written_at: float
    number: int  # the table's own count of writes
    record: Record | None
    tombstone: Tombstone | None


@dataclass(slots=True)
class Table:
    """All live records of one entity."""

    entity: Entity
    clock: Clock
    records: dict[str, Record] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    version: int = 0
    #: Told the key of every record that is written, and "created", "updated" or "deleted".
    tell: Callable[[str, str], None] = lambda _key, _operation: None
    past: dict[str, list[Before]] = field(default_factory=dict)  # oldest write first
    #: Tells tables apart for good: results remembered for one must not answer for another that came after it.
    number: int = field(default_factory=count(1).__next__)
    _columns: dict[str, dict[str, tuple[Scalar, ...]]] = field(default_factory=dict)

    def values(self, record: Record, path: str) -> tuple[Scalar, ...]:
        """Return the values a property has in a record: none, one, or several inside a list."""
        column = self._columns.setdefault(path, {})
        found = column.get(record.key)
        if found is None:
            payload = record.payload()
            seen = inner(payload)
            # A template's type is the name of the object it comes wrapped in.
            is_type = path == "Type" and seen is not payload
            found = column[record.key] = tuple(payload) if is_type else pick(seen, path)
        return found

    def put(self, record: Record) -> None:
        self._remember(record.key)
        before = self.records.get(record.key)
        self.records[record.key] = record
        self.tombstones.pop(record.key, None)
        self._changed(record.key)
        if before is None:
            self.tell(record.key, "created")
        elif (record.sync_token, record.updated) != (before.sync_token, before.updated) or (
            record.body != before.body and record.updated >= int(self.clock.now())  # once more within a second
        ):
            self.tell(record.key, "updated")

    def remove(self, key: str, deleted_at: int | None) -> None:
        self._remember(key)
        gone = self.records.pop(key)
        if deleted_at is not None:
            self.tombstones[key] = Tombstone(key, deleted_at, gone)
        self._changed(key)
        self.tell(key, "deleted")

    def _remember(self, key: str) -> None:
        """Keep what the coming write replaces, and forget what nobody can be shown any more."""
        now, past = self.clock.now(), self.past.setdefault(key, [])
        while past and past[0].written_at <= now - LATEST:
            del past[0]
        past.append(Before(now, self.version, self.records.get(key), self.tombstones.get(key)))

    def _changed(self, key: str) -> None:
        self.version += 1
        for column in self._columns.values():
            column.pop(key, None)


class Books:
    """A company: its realm, its name and its tables."""

    def __init__(self, realm: str, name: str, clock: Clock) -> None:
        self.realm = realm
        self.name = name
        self.clock = clock
        self.opened_at = int(clock.now())
        #: Told of every change: realm, entity, key, operation, and of a merge the record it took away.
        self.hearer: Callable[[str, str, str, str, str | None], None] | None = None
        self._operations: dict[tuple[str, str], str | None] = {}
        self.tables = {entity.name: self._table(entity) for entity in ENTITIES}
        self._last_ids: dict[str, int] = {}

    def _table(self, entity: Entity) -> Table:
        return Table(entity, self.clock, tell=partial(self.told, entity.name))

    def told(self, entity: str, key: str, operation: str, deleted: str | None = None) -> None:
        """Tell whoever listens of a change, by the name it was given (``calling``) if it was."""
        said = self._operations.get((entity, key), operation)
        if self.hearer is not None and said is not None:
            self.hearer(self.realm, entity, key, said, deleted)

    @contextmanager
    def calling(self, entity: str, key: str, operation: str | None) -> Iterator[None]:
        """Call what happens to a record in the block by another name; None: do not speak of it."""
        self._operations[(entity, key)] = operation
        try:
            yield
        finally:
            del self._operations[(entity, key)]

    def twin(self, clock: Clock) -> Books:
        """Return the same books on their own: records are immutable, so only the tables are copied."""
        other = Books(self.realm, self.name, clock)
        other.opened_at = self.opened_at
        other._last_ids = dict(self._last_ids)
        for name, table in self.tables.items():
            own = other.tables[name]
            own.records, own.tombstones = dict(table.records), dict(table.tombstones)
        return other

    def settle(self) -> None:
        """Let everything written so far count as written long ago."""
        for table in self.tables.values():
            table.past.clear()

    def table(self, entity: str) -> Table:
        return self.tables[entity]

    def get(self, entity: str, key: str) -> Record | None:
        return self.tables[entity].records.get(key)

    def keep(self, entity: str, payload: Payload, *, when: int | None = None) -> Record:
        """Store a payload exactly as it is; a record without times counts as written at ``when`` (now)."""
        seen = inner(payload)
        times = times_of(seen)
        fallback = when if when is not None else self.opened_at
        updated = self._instant(times.get("LastUpdatedTime"), fallback)
        key = key_of(entity, payload) or self.next_id(entity)
        record = Record(
            key=key,
            body=encode(payload),
            created=self._instant(times.get("CreateTime"), updated),
            updated=updated,
            sync_token=int(amount(seen.get("SyncToken")) if str(seen.get("SyncToken", "0")).isdecimal() else 0),
            active=seen.get("Active") is not False,
            rank=(0, int(key), "") if key.isdecimal() else (1, 0, key),
        )
        self.table(entity).put(record)
        self._note_id(entity, record.key)
        return record

    def next_id(self, entity: str) -> str:
        """Return a fresh Id: transactions share one sequence, customers, vendors and employees another (recorded)."""
        family = BY_NAME[entity].family
        first = LONG_IDS if family == "Long" else 1
        self._last_ids[family] = self._last_ids.get(family, first - 1) + 1
        return str(self._last_ids[family])

    def _note_id(self, entity: str, key: str) -> None:
        family = BY_NAME[entity].family
        if key.isdecimal() and (family == "Long") == (int(key) >= LONG_IDS):  # else a numbering of its own
            self._last_ids[family] = max(self._last_ids.get(family, 0), int(key))

    def _instant(self, text: Any, otherwise: int) -> int:
        found = self.clock.instant(text) if isinstance(text, str) else None
        return otherwise if found is None else found

    def truth(self) -> bytes:
        """Write everything this company holds: the ground truth a warehouse is compared with."""
        entities = b",".join(
            encode(name) + b":[" + b",".join(record.body for record in table.records.values()) + b"]"
            for name, table in self.tables.items()
            if table.records
        )
        deleted = {
            name: [
                {"Id": each.key, "deleted_at": self.clock.stamp(each.deleted_at)} for each in table.tombstones.values()
            ]
            for name, table in self.tables.items()
            if table.tombstones
        }
        head = encode({"realm": self.realm, "name": self.name})[:-1]
        tail = encode({"deleted": deleted, "time": self.clock.stamp_now()})[1:]
        return head + b',"entities":{' + entities + b"}," + tail


def inner(payload: Payload) -> Payload:
    """Return the object that carries Id and MetaData: a recurring template wraps it in one key (Intuit: XSD)."""
    if len(payload) == 1:
        ((name, only),) = payload.items()
        if name in BY_NAME and isinstance(only, dict):
            return only
    return payload


def times_of(seen: Payload) -> Payload:
    """Return a record's MetaData, or nothing where there is none worth the name."""
    found = seen.get("MetaData")
    return found if isinstance(found, dict) else {}


def key_of(entity: str, payload: Payload) -> str | None:
    """Return what identifies a record: its Id, or the natural key of the entities that have none."""
    seen = inner(payload)
    parts = [seen.get(name) for name in BY_NAME[entity].key]
    if any(part is not None for part in parts):
        return "/".join(str(part) for part in parts)
    return "1" if BY_NAME[entity].kind == "company" else None


def named_by(entity: str, key: str) -> Payload:
    """Return the members that a key is made of: the inverse of ``key_of``."""
    names = BY_NAME[entity].key
    return dict(zip(names, key.split("/", len(names) - 1), strict=False))


def pick(value: Any, path: str) -> tuple[Scalar, ...]:
    """Read a dotted property; a reference stands for its ``value``, a list for each of its members."""
    found = [value]
    for name in path.split("."):
        found = [_member(item, name) for each in found for item in (each if isinstance(each, list) else [each])]
    flat = [item for each in found for item in (each if isinstance(each, list) else [each])]
    scalars = (_member(each, "value") if isinstance(each, dict) else each for each in flat)
    return tuple(amount(each) if isinstance(each, Raw) else each for each in scalars if _is_scalar(each))


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        return None
    return value.get(name, value.get(name[:1].lower() + name[1:]))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | Decimal | Raw)
