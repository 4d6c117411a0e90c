"""What a written migration says to rename or retype a column of the books.

    def upgrade() -> None:
        rename_column(op.get_bind(), "customers", "shoe_size", "size_of_shoe")

New columns need none of this, they appear by themselves. Migrations run before the tables of the books are made, so on
a new database there is nothing to change yet, and that is no error.

dlt keeps its own record of the columns it has seen, and would add the old one again. It is made to forget it, and
learns the new shape at the next sync; its cursors are kept elsewhere and stay. Its staging copies hold rows during a
load only, so they are dropped and made anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from qbo_pipeline.catalog import SCHEMA
from qbo_pipeline.catalog.columns import Kind
from qbo_pipeline.warehouse.relations import relations

_DLT_VERSIONS = "_dlt_version"


def rename_column(connection: sa.Connection, table: str, old: str, new: str) -> None:
    """Rename a column, unless that is done already."""
    columns = _columns(connection, table)
    if old in columns and new not in columns:
        connection.exec_driver_sql(f'ALTER TABLE "{SCHEMA}"."{table}" RENAME COLUMN "{old}" TO "{new}"')
        _make_dlt_forget(connection, table)


def retype_column(connection: sa.Connection, table: str, column: str, kind: Kind, *, using: str = "") -> None:
    """Give a column another type, its values by the SQL expression ``using`` (a plain cast unless given)."""
    if column in _columns(connection, table):
        how = using or f'"{column}"::{kind}'
        connection.exec_driver_sql(
            f'ALTER TABLE "{SCHEMA}"."{table}" ALTER COLUMN "{column}" TYPE {kind} USING {how.replace("%", "%%")}'
        )
        _make_dlt_forget(connection, table)


def _columns(connection: sa.Connection, table: str) -> set[str]:
    found = relations(connection, SCHEMA, [table])
    return set(found[table].columns) if table in found else set()


def _make_dlt_forget(connection: sa.Connection, table: str) -> None:
    for schema in (SCHEMA, *_staging_schemas(connection)):
        if schema != SCHEMA:
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{schema}"."{table}"')
        if relations(connection, schema, [_DLT_VERSIONS]):
            connection.exec_driver_sql(f'DELETE FROM "{schema}"."{_DLT_VERSIONS}"')  # noqa: S608 - names of ours


def _staging_schemas(connection: sa.Connection) -> Iterator[str]:
    question = sa.text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix) ORDER BY 1")
    return iter(connection.execute(question, {"prefix": f"{SCHEMA}_staging_"}).scalars().all())
