"""What a full read changed: the rows of some entities before it, held against the rows after it.

    with snapshot(engine, realm_id, entities) as before:
        ...                                   # read and load
        change = before.change(entity, since)

The rows themselves stay in Postgres, as one digest each in a temporary table, so memory is flat whatever the size. A
digest covers every column and line, not only SyncToken and LastUpdatedTime: a row that lost a line, or a record that
was edited without either of them moving, is told apart too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from qbo_pipeline.catalog import SCHEMA, Entity, Table
from qbo_pipeline.warehouse.stored import key_of_row


@dataclass(frozen=True, slots=True)
class Change:
    """How many rows a read added, took away and changed."""

    missing: int
    extra: int
    stale: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.stale)


class Snapshot:
    """The rows as they were."""

    def __init__(self, connection: sa.Connection, realm_id: str) -> None:
        self._connection = connection
        self._realm_id = realm_id

    def take(self, entity: Entity) -> None:
        """Remember the rows of an entity."""
        self._connection.execute(
            sa.text(f'CREATE TEMP TABLE "{_name(entity)}" AS {_digests(entity)}'), {"realm_id": self._realm_id}
        )

    def change(self, entity: Entity, since: dt.datetime | None) -> Change:
        """Return what became of an entity's rows.

        What QuickBooks itself changed ``since`` then is neither missing nor stale: nobody could have had it before.
        """
        row = self._connection.execute(
            sa.text(
                "SELECT count(*) FILTER (WHERE b.id IS NULL AND NOT recent), "  # noqa: S608 - our names
                "count(*) FILTER (WHERE a.id IS NULL), "
                "count(*) FILTER (WHERE a.digest <> b.digest AND NOT recent) FROM "
                f"(SELECT *, coalesce(updated_at >= :since, false) AS recent FROM ({_digests(entity)}) d) a "
                f'FULL JOIN "{_name(entity)}" b ON b.id = a.id'
            ),
            {"realm_id": self._realm_id, "since": since},
        ).one()
        return Change(*row)


@contextmanager
def snapshot(engine: sa.Engine, realm_id: str, entities: Sequence[Entity]) -> Iterator[Snapshot]:
    """Remember the rows of ``entities`` for the length of the block."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()  # closed at the end, and the temporary tables with it
    try:
        made = Snapshot(connection, realm_id)
        for entity in entities:
            made.take(entity)
        yield made
    finally:
        connection.close()


def _name(entity: Entity) -> str:
    return f"before_{entity.table.name}"


def _digests(entity: Entity) -> str:
    """Return a SELECT of every record's id, digest and time of change."""
    table = entity.table
    digest, joined = _digest(table, "t", entity.volatile), ""
    if (lines := entity.line_table) is not None:
        parent = lines.key[1]
        # A sum does not depend on the order of lines; their position is in each digest.
        joined = (
            f'LEFT JOIN (SELECT "{parent}" AS id, sum({_digest(lines, "l")}) AS digest '  # noqa: S608 - our names
            f'FROM "{SCHEMA}"."{lines.name}" l WHERE realm_id = :realm_id GROUP BY 1) l ON l.id = t.id '
        )
        digest = f"{digest}::numeric + coalesce(l.digest, 0)"
    updated = "t.updated_at" if "updated_at" in table.column_names else "CAST(NULL AS timestamptz)"
    return (
        f"SELECT {key_of_row(entity, 't')} AS id, {digest} AS digest, {updated} AS updated_at "  # noqa: S608
        f'FROM "{SCHEMA}"."{table.name}" t {joined}WHERE t.realm_id = :realm_id'
    )


def _digest(table: Table, alias: str, volatile: Sequence[str] = ()) -> str:
    columns = [
        f'{alias}."{column.name}"'
        for column in table.columns
        if column.name != "synced_at" and not (column.path and column.path[0] in volatile)
    ]
    return f"hashtextextended(CAST(ROW({', '.join(columns)}) AS text), 0)"
