"""The tables of the books, made from the catalogue: real primary keys, indexes, and comments for whoever reads them.

The tables exist before the first load, so dlt adopts them as they are. A new column of the catalogue is added when it
is missing, which rewrites no row. Nothing is ever dropped, renamed or retyped here: that is a written migration
(``migrations/columns.py``), and a table that needs one is refused before anything is loaded into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection, Engine

from qbo_pipeline.catalog import SCHEMA, Table, tables
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.changing import changing_tables
from qbo_pipeline.warehouse.legacy import refuse_strangers
from qbo_pipeline.warehouse.relations import Relation, relations
from qbo_pipeline.warehouse.sql import literal

#: Postgres' own spelling, where it is not ours.
_SPELLING = {"timestamptz": "timestamp with time zone"}


def ensure_tables(engine: Engine, wanted: Iterable[Table] | None = None) -> list[str]:
    """Create the tables and columns that are missing, and say in words what was done.

    Costs one query when nothing is missing. Raises WarehouseError when a table of that name is another program's, or
    does not fit the catalogue.
    """
    wanted = tuple(wanted or tables())
    with engine.connect() as connection:
        existing = _existing(connection, wanted, comments=False)
        if all(
            table.name in existing
            and existing[table.name].is_ours
            and set(table.column_names) <= set(existing[table.name].columns)
            for table in wanted
        ):
            _refuse_misfits(existing, wanted)
            return []
    with changing_tables(engine, "The database could not be brought up to date") as connection:
        return make_tables(connection, wanted)


def make_tables(
    connection: Connection, wanted: Iterable[Table] | None = None, *, all_comments: bool = False
) -> list[str]:
    """Do what ``ensure_tables`` does inside a transaction of ``changing_tables``.

    What is new gets its comments; ``all_comments`` mends those of what is there already, too.
    """
    wanted = tuple(wanted or tables())
    refuse_strangers(connection, (table.name for table in wanted))
    existing = _existing(connection, wanted)
    _refuse_misfits(existing, wanted)
    connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"')
    made, done = [], []
    for table in wanted:
        there = existing.get(table.name)
        if there is None:
            _create(connection, table)
            made.append(table.name)
        else:
            for column in table.columns:
                if column.name not in there.columns:
                    connection.exec_driver_sql(f"ALTER TABLE {_place(table)} ADD COLUMN {_definition(column)}")
                    done.append(f"Added the column {SCHEMA}.{table.name}.{column.name} ({column.kind}).")
        done += _comment(connection, table, there, every=all_comments)
    if made:
        done.insert(0, f"Created {len(made)} table{'' if len(made) == 1 else 's'} of the books: {', '.join(made)}.")
    return done


def _existing(connection: Connection, wanted: Iterable[Table], *, comments: bool = True) -> dict[str, Relation]:
    return relations(connection, SCHEMA, (table.name for table in wanted), comments=comments)


def _refuse_misfits(existing: Mapping[str, Relation], wanted: Iterable[Table]) -> None:
    """Raise WarehouseError when a column's type, or a table's key, is not the catalogue's."""
    misfits: list[str] = []
    mend: list[str] = []
    for table in wanted:
        there = existing.get(table.name)
        if there is None:
            continue
        if there.key != table.key:
            misfits.append(
                f"the key of {SCHEMA}.{table.name} is ({', '.join(there.key)}), not ({', '.join(table.key)})"
            )
        for column in table.columns:
            type_ = there.columns.get(column.name)
            if type_ not in (None, column.kind, _SPELLING.get(column.kind)):
                misfits.append(f"{SCHEMA}.{table.name}.{column.name} is of type {type_}, not {column.kind}")
                mend.append(
                    f'ALTER TABLE {_place(table)} ALTER COLUMN "{column.name}" TYPE {column.kind} '
                    f'USING "{column.name}"::{column.kind};'
                )
    if misfits:
        by_hand = f" If it was changed by hand, change it back: {' '.join(mend)}" if mend else ""
        raise WarehouseError(
            f"The tables do not fit this version: {'; '.join(misfits)}. Nothing was loaded or changed. "
            "A retyped column is a written migration: run 'qbo db upgrade' with the version of qbo that brings it "
            f"(docs/tables.md says how to write one).{by_hand}"
        )


def _create(connection: Connection, table: Table) -> None:
    columns = ", ".join(_definition(column) for column in table.columns)
    connection.exec_driver_sql(f"CREATE TABLE {_place(table)} ({columns}, PRIMARY KEY ({_names(table.key)}))")
    for index in table.indexes:
        name = f"{table.name}_{'_'.join(index)}_idx"
        connection.exec_driver_sql(f'CREATE INDEX "{name}" ON {_place(table)} ({_names(index)})')


def _comment(connection: Connection, table: Table, there: Relation | None, *, every: bool) -> list[str]:
    """Write the comments that are missing or, if ``every``, differ; ``there`` is the table as it was."""
    if statements := list(_comments(table, there, every=every)):
        connection.exec_driver_sql(";\n".join(statements).replace("%", "%%"))
    new = there is None or not set(table.column_names) <= set(there.columns)
    return [f"Described {SCHEMA}.{table.name} anew."] if statements and not new else []


def _comments(table: Table, there: Relation | None, *, every: bool) -> Iterator[str]:
    if there is None or (every and there.comment != table.description):
        yield f"COMMENT ON TABLE {_place(table)} IS {literal(table.description)}"
    for column in table.columns:
        new = there is None or column.name not in there.columns
        if new or (every and there is not None and (there.comments[column.name] or "") != column.description):
            yield f'COMMENT ON COLUMN {_place(table)}."{column.name}" IS {literal(column.description)}'


def _place(table: Table) -> str:
    return f'"{SCHEMA}"."{table.name}"'


def _definition(column: Column) -> str:
    return f'"{column.name}" {column.kind}{"" if column.nullable else " NOT NULL"}'


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
