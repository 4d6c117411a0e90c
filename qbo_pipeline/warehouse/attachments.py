"""Which files are attached to a company's records, as the last sync saw it.

Reads   Postgres   quickbooks.attachables: the rows that are about a file; notes have none
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from qbo_pipeline.catalog import SCHEMA, entity_named


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """One file in QuickBooks."""

    id: str
    name: str
    size: int | None
    updated_at: datetime | None


def attached_files(engine: Engine, realm_id: str) -> list[AttachedFile]:
    """Return a company's files, the oldest first: a file's place in this order never changes."""
    table = entity_named("Attachable").table.name
    statement = (
        f'SELECT id, file_name, size, updated_at FROM "{SCHEMA}"."{table}" '  # noqa: S608 - the catalogue's own names
        "WHERE realm_id = :realm_id AND file_name IS NOT NULL ORDER BY created_at NULLS LAST, length(id), id"
    )
    with engine.connect() as connection:
        rows = connection.execute(text(statement), {"realm_id": realm_id})
        return [AttachedFile(row.id, row.file_name, row.size, row.updated_at) for row in rows]
