"""Books that change while they are read: one random change at a time, the same ones again from the same seed.

What a rule ``mutate_books`` does after an answer. Copies are valid records of their own: a new Id, a new name where
names are unique, nothing paid and nothing linked. An entity is only changed in ways its screens in QuickBooks allow.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from decimal import Decimal

from qbo_pipeline.sandbox import writes
from qbo_pipeline.sandbox.books import Books, Record, Table, inner, key_of, named_by
from qbo_pipeline.sandbox.entities import Entity, find
from qbo_pipeline.sandbox.links import PAYS
from qbo_pipeline.sandbox.properties import known_properties
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.totals import OWING
from qbo_pipeline.sandbox.values import Payload

_NOTES = ("PrivateNote", "Notes", "Description", "Note", "Memo")
_OF_THE_ORIGINAL = ("Id", "SyncToken", "MetaData", "FullyQualifiedName", "LinkedTxn", "UnappliedAmt", "RemainingCredit")


def mutate(
    books: Books, entities: Collection[str], kinds: Sequence[str], chance: random.Random, settings: Settings
) -> tuple[str, str, str] | None:
    """Change one record of one of these entities; return kind, entity and Id, or None where nothing can be done."""
    named = (entity.name for word in sorted(entities) if (entity := find(word)))
    tables = [table for name in named if (table := books.table(name)).records]
    if not tables:
        return None
    table = chance.choice(tables)
    possible = [(kind, keys) for kind in kinds if (keys := _keys(table, kind))]
    if not possible:
        return None
    kind, keys = chance.choice(possible)
    key = chance.choice(keys)
    return kind, table.entity.name, _changed(books, table, kind, key, chance, settings)


def _keys(table: Table, kind: str) -> list[str]:
    """Return the records this can be done to."""
    entity = table.entity
    allowed = {
        "edit": entity.stamped,
        "insert": entity.kind != "company" and entity.stamped,
        "delete": entity.delete == "hard",
        "void": bool(entity.void),
        "deactivate": entity.has_active,
    }[kind]
    if not allowed:
        return []
    return [key for key, record in table.records.items() if kind != "deactivate" or record.active]


def _changed(books: Books, table: Table, kind: str, key: str, chance: random.Random, settings: Settings) -> str:
    """Do it; return the Id of what is new, changed or gone."""
    name = table.entity.name
    target = named_by(name, key)
    match kind:
        case "edit":
            note = next((each for each in _NOTES if each in known_properties(name)), None)
            says = {note: f"Changed between two pages, {chance.randrange(1_000_000)}"} if note else {}
            writes.update(books, name, target | says, settings, strict=False)
        case "insert":
            return writes.create(books, name, _copy(books, table, table.records[key]), settings, strict=False).key
        case "delete":
            writes.delete(books, name, target, settings, strict=False)
        case "void":
            writes.void(books, name, target, settings, strict=False)
        case "deactivate":
            writes.deactivate(books, name, key, settings)
    return key


def _copy(books: Books, table: Table, record: Record) -> Payload:
    """Return a record like another, ready to be created."""
    entity, payload = table.entity, record.payload()
    seen = inner(payload)
    for name in (*_OF_THE_ORIGINAL, *(("Balance",) if entity.name in OWING else ())):
        seen.pop(name, None)
    for name in ("Balance", "BalanceWithJobs"):
        if name in seen and entity.kind == "list":
            seen[name] = Decimal("0.00")  # nobody has sold it anything yet
    if entity.name in PAYS:
        seen["Line"] = []
    for line in seen.get("Line") or []:
        line.pop("LinkedTxn", None)
    if entity.key == ("Id",):
        _name(entity, seen, books.next_id(entity.name))
    while entity.key != ("Id",) and key_of(entity.name, payload) in table.records:
        seen["AsOfDate"] = (date.fromisoformat(seen["AsOfDate"]) + timedelta(days=1)).isoformat()
    return payload


def _name(entity: Entity, seen: Payload, key: str) -> None:
    """Tell a copy from its original wherever QuickBooks wants them to differ."""
    seen["Id"] = key
    if isinstance(seen.get(entity.name_field), str):
        seen[entity.name_field] = f"{seen[entity.name_field]} {key}"
    if entity.name == "RecurringTransaction":
        seen["RecurDataRef"] = {"value": key}
        seen["RecurringInfo"] = seen.get("RecurringInfo", {}) | {"Name": f"Template {key}"}
