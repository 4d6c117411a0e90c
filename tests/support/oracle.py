"""Does the warehouse agree with QuickBooks? Record by record, field by field, lines included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, Entity
from qbo_pipeline.sync.render import comparable, render
from qbo_pipeline.warehouse.entity_rows import stored_record


def differences(
    engine: sa.Engine,
    realm_id: str,
    truth: dict[str, dict[str, dict[str, Any]]],
    entities: Iterable[Entity] = ENTITIES,
) -> list[str]:
    """Return what differs, in words; empty when every record of the catalogue's entities is equal."""
    found = []
    for entity in entities:
        expected = truth.get(entity.json_key, {})
        stored = _ids(engine, entity, realm_id)
        found += [f"{entity.name} {each} is missing" for each in expected.keys() - stored]
        found += [f"{entity.name} {each} should not be there" for each in stored - expected.keys()]
        for record_id in sorted(expected.keys() & stored):
            record = stored_record(engine, entity, realm_id, record_id)
            assert record is not None
            if comparable(entity, render(entity, *record)) != comparable(entity, expected[record_id]):
                found.append(f"{entity.name} {record_id} differs")
        found += _orphans(engine, entity, realm_id)
    return found


def _ids(engine: sa.Engine, entity: Entity, realm_id: str) -> set[str]:
    key = " || '-' || ".join(column.name for column in entity.key_columns)
    with engine.connect() as connection:
        statement = f"SELECT {key} FROM quickbooks.{entity.table.name} WHERE realm_id = :realm_id"
        return set(connection.execute(sa.text(statement), {"realm_id": realm_id}).scalars())


def _orphans(engine: sa.Engine, entity: Entity, realm_id: str) -> list[str]:
    if (lines := entity.line_table) is None:
        return []
    statement = (
        f"SELECT count(*) FROM quickbooks.{lines.name} l WHERE realm_id = :realm_id AND NOT EXISTS "
        f"(SELECT 1 FROM quickbooks.{entity.table.name} p WHERE p.realm_id = l.realm_id AND p.id = l.{lines.key[1]})"
    )
    with engine.connect() as connection:
        count = connection.execute(sa.text(statement), {"realm_id": realm_id}).scalar_one()
    return [f"{count} lines of {entity.name} have no parent"] if count else []
