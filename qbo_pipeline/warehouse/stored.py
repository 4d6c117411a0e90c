"""Which records of a company the warehouse has, and which it has noted as deleted."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from qbo_pipeline.catalog import SCHEMA, Entity


class StoredBooks:
    """The rows of one company, by id."""

    def __init__(self, engine: sa.Engine, realm_id: str) -> None:
        self._engine = engine
        self._realm_id = realm_id

    def ids(self, entity: Entity, since: datetime | None = None, until: datetime | None = None) -> set[str]:
        """Return the ids of an entity's rows (natural keys joined); of those created in a range if one is given."""
        key = " || '-' || ".join(f'"{column.name}"::text' for column in entity.key_columns)
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

    def _texts(self, statement: str, **values: object) -> set[str]:
        with self._engine.connect() as connection:
            found = connection.execute(sa.text(statement), {"realm_id": self._realm_id, **values})
            return set(found.scalars())
