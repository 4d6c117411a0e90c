"""The tables of the books, made from the catalogue: real primary keys, indexes, and comments for whoever reads them.

The tables exist before the first load, so dlt adopts them as they are. A new column of the catalogue is added when it
is missing; nothing is ever dropped or rewritten here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Engine, text

from qbo_pipeline.catalog import SCHEMA, Table, tables
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.errors import WarehouseError

#: Key of the transaction-level advisory lock that lets one process at a time change tables.
_LOCK = 7_100_202


def ensure_tables(engine: Engine, wanted: Iterable[Table] | None = None, *, comments: bool = False) -> list[str]:
    """Create the tables and columns that are missing, and say in words what was done.

    Costs one query when nothing is missing. ``comments`` rewrites the descriptions too, as ``qbo db upgrade`` does.
    Raises WarehouseError when a table of that name exists that we did not make.
    """
    wanted = tuple(wanted or tables())
    with engine.begin() as connection:
        if not comments and not _missing(connection, wanted):
            return []
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"'))
        done = []
        existing = _existing(connection)
        for table in wanted:
            done += _ensure_table(connection, table, existing.get(table.name))
            if comments or table.name not in existing:
                for statement in _comments(table):
                    connection.exec_driver_sql(statement)
        return done


def _ensure_table(connection: Connection, table: Table, existing: set[str] | None) -> list[str]:
    if existing is None:
        columns = ", ".join(_definition(column) for column in table.columns)
        connection.exec_driver_sql(
            f'CREATE TABLE "{SCHEMA}"."{table.name}" ({columns}, PRIMARY KEY ({_names(table.key)}))'
        )
        for index in table.indexes:
            name = f"{table.name}_{'_'.join(index)}_idx"
            connection.exec_driver_sql(f'CREATE INDEX "{name}" ON "{SCHEMA}"."{table.name}" ({_names(index)})')
        return [f"created table {SCHEMA}.{table.name}"]
    if missing_keys := set(table.key) - existing:
        raise WarehouseError(
            f"Table {SCHEMA}.{table.name} exists already and was not made by qbo-pipeline (it has no column "
            f"{min(missing_keys)!r}). Rename it or move it to another schema, then run 'qbo db upgrade' again."
        )
    done = []
    for column in table.columns:
        if column.name not in existing:
            connection.exec_driver_sql(f'ALTER TABLE "{SCHEMA}"."{table.name}" ADD COLUMN {_definition(column)}')
            done.append(f"added column {SCHEMA}.{table.name}.{column.name}")
    return done


def _missing(connection: Connection, wanted: Iterable[Table]) -> bool:
    existing = _existing(connection)
    return any(not set(table.column_names) <= existing.get(table.name, set()) for table in wanted)


def _existing(connection: Connection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    rows = connection.execute(
        text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = :schema"),
        {"schema": SCHEMA},
    )
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def _comments(table: Table) -> Iterator[str]:
    yield f'COMMENT ON TABLE "{SCHEMA}"."{table.name}" IS {_literal(table.description)}'
    for column in table.columns:
        yield f'COMMENT ON COLUMN "{SCHEMA}"."{table.name}"."{column.name}" IS {_literal(column.description)}'


def _definition(column: Column) -> str:
    return f'"{column.name}" {column.kind}{"" if column.nullable else " NOT NULL"}'


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"
