"""``quickbooks.deleted_records``: what QuickBooks no longer has, with its last image, apart from what it has.

A record leaves its table, with its lines, and enters the archive in one transaction; so sums are right without a filter
and nothing is lost. A record that QuickBooks has again leaves the archive when its row is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, SCHEMA, Entity


@dataclass(frozen=True, slots=True)
class Deletion:
    """One record that is gone. ``record`` is its last image as JSON text, None when we never had it."""

    id: str
    deleted_at: datetime | None
    detected_by: str
    record: str | None


def archive(connection: sa.Connection, entity: Entity, realm_id: str, deletions: Sequence[Deletion]) -> int:
    """Move records out of their tables into the archive; return how many rows left the entity's own table.

    To be called in one transaction with whatever decided on them.
    """
    if not deletions:
        return 0
    connection.execute(
        sa.text(
            "INSERT INTO quickbooks.deleted_records AS d "
            "(realm_id, entity, id, deleted_at, detected_by, record) "
            "VALUES (:realm_id, :entity, :id, :deleted_at, :detected_by, CAST(:record AS jsonb)) "
            "ON CONFLICT (realm_id, entity, id) DO UPDATE SET "
            "deleted_at = coalesce(excluded.deleted_at, d.deleted_at), detected_by = excluded.detected_by, "
            "detected_at = CASE WHEN excluded.record IS NULL THEN d.detected_at ELSE excluded.detected_at END, "
            "record = coalesce(excluded.record, d.record)"
        ),
        [
            {
                "realm_id": realm_id,
                "entity": entity.name,
                "id": each.id,
                "deleted_at": each.deleted_at,
                "detected_by": each.detected_by,
                "record": each.record,
            }
            for each in deletions
        ],
    )
    values = {"realm_id": realm_id, "ids": [each.id for each in deletions]}
    if (lines := entity.line_table) is not None:
        connection.execute(sa.text(_delete(lines.name, lines.key[1])), values)
    return connection.execute(sa.text(_delete(entity.table.name, entity.table.key[1])), values).rowcount


def forget_restored(engine: sa.Engine, realm_id: str) -> int:
    """Take records out of the archive whose rows are back; return how many."""
    with engine.begin() as connection:
        archived = connection.execute(
            sa.text("SELECT DISTINCT entity FROM quickbooks.deleted_records WHERE realm_id = :realm_id"),
            {"realm_id": realm_id},
        ).scalars()
        names = set(archived)
        return sum(_forget(connection, entity, realm_id) for entity in ENTITIES if entity.name in names)


def lately_lost(engine: sa.Engine, realm_id: str) -> dict[Entity, set[str]]:
    """Return list entries that were found gone within a day. They are made inactive, not deleted: these were merged."""
    names = {entity.name: entity for entity in ENTITIES if entity.active}
    lost: dict[Entity, set[str]] = {}
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT entity, id FROM quickbooks.deleted_records WHERE realm_id = :realm_id "
                "AND entity = ANY(:names) AND detected_at > now() - interval '1 day'"
            ),
            {"realm_id": realm_id, "names": list(names)},
        )
        for row in rows:
            lost.setdefault(names[row.entity], set()).add(row.id)
    return lost


def deleted_count(engine: sa.Engine, realm_id: str, entities: Iterable[Entity]) -> dict[str, int]:
    """Return how many records of each entity are in the archive."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT entity, count(*) AS records FROM quickbooks.deleted_records WHERE realm_id = :realm_id "
                "AND entity = ANY(:names) GROUP BY entity"
            ),
            {"realm_id": realm_id, "names": [entity.name for entity in entities]},
        )
        return {row.entity: row.records for row in rows}


def _forget(connection: sa.Connection, entity: Entity, realm_id: str) -> int:
    statement = (
        f'DELETE FROM quickbooks.deleted_records d USING "{SCHEMA}"."{entity.table.name}" t '  # noqa: S608 - our names
        "WHERE d.realm_id = :realm_id AND d.entity = :entity AND t.realm_id = d.realm_id "
        f'AND t."{entity.table.key[1]}" = d.id'
    )
    return connection.execute(sa.text(statement), {"realm_id": realm_id, "entity": entity.name}).rowcount


def _delete(table: str, key: str) -> str:
    return f'DELETE FROM "{SCHEMA}"."{table}" WHERE realm_id = :realm_id AND "{key}" = ANY(:ids)'  # noqa: S608
