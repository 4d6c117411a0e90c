"""Reading rows of the books back out of Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from qbo_pipeline.catalog import SCHEMA, Entity, Table


def stored_record(
    engine: Engine, entity: Entity, realm_id: str, record_id: str
) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return the row of one record and the rows of its lines, None when it is not there.

    ``record_id`` is the Id, or the parts of a natural key (see ``Entity.key_of``; UsageError when it cannot be one).
    Cells come as the driver gives them, jsonb as its text, so that numbers in it stay exact.
    """
    with engine.connect() as connection:
        values = (realm_id, *entity.key_of(record_id))
        where = {f"key_{number}": value for number, value in enumerate(values)}
        row = connection.execute(text(_select(entity.table, entity.table.key)), where).mappings().first()
        if row is None:
            return None
        lines: list[dict[str, Any]] = []
        if (table := entity.line_table) is not None:
            found = connection.execute(text(_select(table, table.key[:2])), where).mappings()
            lines = [dict(line) for line in found]
        return dict(row), lines


def stored_records(
    connection: Connection, entity: Entity, realm_id: str, ids: Sequence[str]
) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return rows and lines of several records by Id, as ``stored_record`` does of one."""
    values = {"realm_id": realm_id, "ids": list(ids)}
    where = 'realm_id = :realm_id AND "{}" = ANY(:ids)'
    rows = connection.execute(text(_select_where(entity.table, where.format(entity.table.key[1]))), values).mappings()
    found: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {row["id"]: (dict(row), []) for row in rows}
    if (table := entity.line_table) is not None:
        parent = table.key[1]
        for line in connection.execute(text(_select_where(table, where.format(parent))), values).mappings():
            if line[parent] in found:
                found[line[parent]][1].append(dict(line))
    return found


def row_count(engine: Engine, table: str, realm_id: str | None = None) -> int:
    """Return how many rows ``table`` of the catalogue holds, for one company or all."""
    where = " WHERE realm_id = :realm_id" if realm_id else ""
    with engine.connect() as connection:
        count = connection.execute(
            text(f'SELECT count(*) FROM "{SCHEMA}"."{table}"{where}'),  # noqa: S608 - the catalogue's own names
            {"realm_id": realm_id} if realm_id else {},
        )
        return int(count.scalar_one())


def _select(table: Table, key: tuple[str, ...]) -> str:
    return _select_where(table, " AND ".join(f'"{name}" = :key_{number}' for number, name in enumerate(key)))


def _select_where(table: Table, where: str) -> str:
    columns = ", ".join(
        f'"{column.name}"::text AS "{column.name}"' if column.kind == "jsonb" else f'"{column.name}"'
        for column in table.columns
    )
    return f'SELECT {columns} FROM "{SCHEMA}"."{table.name}" WHERE {where}'  # noqa: S608 - the catalogue's own names
