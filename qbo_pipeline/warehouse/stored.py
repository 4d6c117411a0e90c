"""Which records of a company the warehouse has, and which it has noted as deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from qbo_pipeline.catalog import SCHEMA, Entity

#: A record's SyncToken and when QuickBooks last touched it; None for what it does not say.
Version = tuple[str | None, datetime | None]


def key_of_row(entity: Entity, alias: str = "") -> str:
    """Return the SQL expression of a row's id: its Id, or the parts of its natural key joined."""
    prefix = f"{alias}." if alias else ""
    return " || '-' || ".join(f'{prefix}"{column.name}"::text' for column in entity.key_columns)


class StoredBooks:
    """The rows of one company, by id."""

    def __init__(self, engine: sa.Engine, realm_id: str) -> None:
        self._engine = engine
        self._realm_id = realm_id

    def ids(self, entity: Entity, since: datetime | None = None, until: datetime | None = None) -> set[str]:
        """Return the ids of an entity's rows (natural keys joined); of those created in a range if one is given."""
        key = key_of_row(entity)
        where = ["realm_id = :realm_id"]
        if since is not None:
            where.append("created_at >= :since")
        if until is not None:
            where.append("created_at < :until")
        return self._texts(
            f'SELECT {key} FROM "{SCHEMA}"."{entity.table.name}" WHERE {" AND ".join(where)}',  # noqa: S608 - our names
            since=since,
            until=until,
        )

    def present(self, entity: Entity, ids: Collection[str]) -> set[str]:
        """Return which of these ids have a row."""
        # Looked up one by one: right after a first load Postgres has no statistics yet, and would read the whole table.
        row = f'FROM "{SCHEMA}"."{entity.table.name}" WHERE realm_id = :realm_id AND {key_of_row(entity)} = asked.id'
        return self._texts(
            "SELECT asked.id FROM unnest(CAST(:ids AS text[])) AS asked(id) "  # noqa: S608 - our names
            f"CROSS JOIN LATERAL (SELECT 1 {row} LIMIT 1) AS found",
            ids=list(ids),
        )

    def deleted_ids(self, entity: Entity) -> set[str]:
        """Return the ids already noted as deleted."""
        return self._texts(
            "SELECT id FROM quickbooks.deleted_records WHERE realm_id = :realm_id AND entity = :entity",
            entity=entity.name,
        )

    def count(self, entity: Entity) -> int:
        """Return how many rows an entity's table has."""
        with self._engine.connect() as connection:
            statement = f'SELECT count(*) FROM "{SCHEMA}"."{entity.table.name}" WHERE realm_id = :realm_id'  # noqa: S608
            return int(connection.execute(sa.text(statement), {"realm_id": self._realm_id}).scalar_one())

    def some_ids(self, entity: Entity, at_most: int) -> list[str]:
        """Return ids of rows drawn at random."""
        drawn = self._texts(
            f'SELECT {key_of_row(entity)} FROM "{SCHEMA}"."{entity.table.name}" '  # noqa: S608 - our names
            "WHERE realm_id = :realm_id ORDER BY random() LIMIT :at_most",
            at_most=at_most,
        )
        return sorted(drawn)

    def versions(self, entity: Entity, ids: Sequence[str]) -> dict[str, Version]:
        """Return which version of each of these records the warehouse has, by id; those it does not have are absent."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    f'SELECT id, sync_token, updated_at FROM "{SCHEMA}"."{entity.table.name}" '  # noqa: S608
                    "WHERE realm_id = :realm_id AND id = ANY(:ids)"
                ),
                {"realm_id": self._realm_id, "ids": list(ids)},
            )
            return {row.id: (row.sync_token, row.updated_at) for row in rows}

    def readings(self, entity: Entity, ids: Sequence[str]) -> dict[str, tuple[datetime | None, datetime]]:
        """Return when QuickBooks last touched each of these records, and when it was read; by id, if we have it."""
        touched = "updated_at" if any(column.name == "updated_at" for column in entity.table.columns) else "NULL"
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    f"SELECT {key_of_row(entity)} AS id, {touched} AS touched, synced_at "  # noqa: S608 - our names
                    f'FROM "{SCHEMA}"."{entity.table.name}" WHERE realm_id = :realm_id AND {key_of_row(entity)} = '
                    "ANY(:ids)"
                ),
                {"realm_id": self._realm_id, "ids": list(ids)},
            )
            return {row.id: (row.touched, row.synced_at) for row in rows}

    def _texts(self, statement: str, **values: object) -> set[str]:
        with self._engine.connect() as connection:
            found = connection.execute(sa.text(statement), {"realm_id": self._realm_id, **values})
            return set(found.scalars())
