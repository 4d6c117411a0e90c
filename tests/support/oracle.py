"""Does the warehouse agree with QuickBooks? Record by record, field by field, lines, deletions and sums of money.

The oracle reads tables with statements of its own and sees what the pipeline would rather not show: a row too many, a
line without its record, a deletion nobody noted. It answers in sentences; no sentence means that they are equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, Entity, Table
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.sync.render import comparable, render
from tests.support.payloads import inner_record

Payloads = Mapping[str, Mapping[str, dict[str, Any]]]
Row = dict[str, Any]


def differences(
    engine: sa.Engine,
    realm_id: str,
    truth: Payloads,
    *,
    had: Mapping[str, Collection[str]] | None = None,
    entities: Iterable[Entity] = ENTITIES,
) -> list[str]:
    """Return what differs, in words; empty when everything about ``entities`` is equal.

    ``truth`` is what QuickBooks has now, by entity and key (``Sandbox.truth()``). ``had`` is what the warehouse once
    had (``remembered``): whatever of it QuickBooks has no more must be noted in ``deleted_records``.
    """
    found = []
    with engine.connect() as connection:
        for entity in entities:
            gone = set((had or {}).get(entity.name, ()))
            found += _Comparison(connection, entity, realm_id, truth.get(entity.json_key, {}), gone).sentences()
    return found


def remembered(engine: sa.Engine, realm_id: str, entities: Iterable[Entity] = ENTITIES) -> dict[str, set[str]]:
    """Return the keys of everything the warehouse has, or had before it noted it as deleted, by entity."""
    with engine.connect() as connection:
        return {
            entity.name: {_key(entity, row) for row in _rows(connection, entity.table, realm_id)}
            | {key for key, row in _noted(connection, entity, realm_id).items() if row["image"]}
            for entity in entities
        }


@dataclass
class _Comparison:
    """One entity of one company."""

    connection: sa.Connection
    entity: Entity
    realm_id: str
    expected: Mapping[str, dict[str, Any]]
    had: set[str]
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def sentences(self) -> list[str]:
        for row in _rows(self.connection, self.entity.table, self.realm_id):
            self.rows[_key(self.entity, row)].append(row)
        if (table := self.entity.line_table) is not None:
            for line in _rows(self.connection, table, self.realm_id):
                self.lines[line[table.key[1]]].append(line)
        noted = _noted(self.connection, self.entity, self.realm_id)
        words = [*self._records(), *self._lines(noted), *self._deletions(noted), *self._sums()]
        return [f"{self.entity.name} {each}" for each in words]

    def _records(self) -> Iterator[str]:
        for key in sorted(self.expected.keys() | self.rows.keys()):
            stored = self.rows.get(key, [])
            if not stored:
                yield f"{key} is missing"
            elif key not in self.expected:
                yield f"{key} should not be there"
            elif len(stored) > 1:
                yield f"{key} has {len(stored)} rows"
            else:
                yield from self._record(key, stored[0])

    def _record(self, key: str, row: Row) -> Iterator[str]:
        truth, token = self.expected[key], inner_record(self.entity, self.expected[key]).get("SyncToken")
        if "sync_token" in row and token is not None and str(token) != str(row["sync_token"]):
            yield f"{key} is version {token} in QuickBooks and {row['sync_token']} here"
        shown = render(self.entity, row, sorted(self.lines.get(key, []), key=lambda line: line["position"]))
        if comparable(self.entity, shown) != comparable(self.entity, truth):
            members = sorted(
                name
                for name in truth.keys() | shown.keys()
                if comparable(self.entity, {name: truth.get(name)}) != comparable(self.entity, {name: shown.get(name)})
            )
            yield f"{key} differs in {', '.join(members)}"

    def _lines(self, noted: Mapping[str, Row]) -> Iterator[str]:
        for parent, lines in sorted(self.lines.items()):
            positions = sorted(line["position"] for line in lines)
            if parent not in self.rows:
                whose = "deleted" if parent in noted else "not there"
                yield f"{parent} is {whose} and has {len(lines)} lines"
            elif positions != list(range(len(positions))):
                yield f"{parent} has lines at positions {positions}"
        for key, record in self.expected.items():
            wanted = _line_count(record.get(self.entity.line_field))
            if wanted is not None and key in self.rows and wanted != len(self.lines.get(key, [])):
                yield f"{key} has {len(self.lines.get(key, []))} lines instead of {wanted}"

    def _deletions(self, noted: Mapping[str, Row]) -> Iterator[str]:
        for key in sorted(self.had - self.expected.keys() - noted.keys()):
            yield f"{key} was deleted, which is noted nowhere"
        for key, row in sorted(noted.items()):
            if key in self.expected:
                yield f"{key} is live and noted as deleted"
            elif key in self.rows:
                yield f"{key} is noted as deleted and still in its table"
            if key in self.had and row["image"] != key:
                image = f"with the image of {row['image']}" if row["image"] else "without its last image"
                yield f"{key} is noted as deleted {image}"

    def _sums(self) -> Iterator[str]:
        """Compare sums of money: over the columns themselves, whatever ``render`` makes of them."""
        for column in self.entity.table.columns:
            if column.kind == "numeric":
                ours = sum((row[column.name] or Decimal(0) for rows in self.rows.values() for row in rows), Decimal(0))
                theirs = sum(
                    (_amount(inner_record(self.entity, each), column) for each in self.expected.values()), Decimal(0)
                )
                if ours != theirs:
                    yield f"{column.name} adds up to {theirs} in QuickBooks and to {ours} here"


def _rows(connection: sa.Connection, table: Table, realm_id: str) -> list[Row]:
    # jsonb as its text: a driver that parses it would turn money into floats.
    cells = ", ".join(f'"{c.name}"::text AS "{c.name}"' if c.kind == "jsonb" else f'"{c.name}"' for c in table.columns)
    statement = f'SELECT {cells} FROM quickbooks."{table.name}" WHERE realm_id = :realm_id'
    return [dict(row) for row in connection.execute(sa.text(statement), {"realm_id": realm_id}).mappings()]


def _noted(connection: sa.Connection, entity: Entity, realm_id: str) -> dict[str, Row]:
    """Return what is noted as deleted: the Id of its last image, by key."""
    inner = "record -> (SELECT jsonb_object_keys(record) LIMIT 1)" if entity.wrapped else "record"
    statement = (
        f"SELECT id, ({inner}) ->> 'Id' AS image FROM quickbooks.deleted_records "
        "WHERE realm_id = :realm_id AND entity = :entity"
    )
    found = connection.execute(sa.text(statement), {"realm_id": realm_id, "entity": entity.name}).mappings()
    return {row["id"]: dict(row) for row in found}


def _key(entity: Entity, row: Row) -> str:
    return "-".join(str(row[column.name]) for column in entity.key_columns)


def _line_count(lines: Any) -> int | None:
    """Return how many rows a record's lines make, the lines inside groups included; None for what are no lines."""
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        return None
    groups = [line["GroupLineDetail"].get("Line") for line in lines if isinstance(line.get("GroupLineDetail"), dict)]
    return len(lines) + sum(len(each) for each in groups if isinstance(each, list))


def _amount(record: Mapping[str, Any], column: Column) -> Decimal:
    value: Any = record
    for name in column.path:
        value = value.get(name) if isinstance(value, dict) else None
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return Decimal(value) if is_number else Decimal(0)
