"""Who may read the books: ``grant(engine, role)`` lets a role of the database read them, and nothing beside them.

What may be read is listed, never "all tables in schema": tokens, connections, the inbox, the records of runs and calls
and dlt's own tables are in the same schema, and a table that is added to it tomorrow is not readable by accident. So
tables that a later version brings are readable once the grant is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from qbo_pipeline.catalog import SCHEMA, tables
from qbo_pipeline.catalog.views import VIEWS
from qbo_pipeline.errors import UsageError, WarehouseError
from qbo_pipeline.warehouse.changing import changing_tables
from qbo_pipeline.warehouse.legacy import refuse_strangers
from qbo_pipeline.warehouse.relations import relations
from qbo_pipeline.warehouse.tables import deleted_records

# What stands in the schema, and whether the role may read it, however it came by that right. The right to use the
# schema is left out of it: we have just given it.
_MAY_READ = """
SELECT c.relname, has_table_privilege(:role, c.oid, 'SELECT') OR has_any_column_privilege(:role, c.oid, 'SELECT') AS may
FROM pg_class c WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may read in schema ``quickbooks`` after the grant."""

    role: str
    tables: tuple[str, ...]  #: of the books
    missing: tuple[str, ...]  #: of the books, but not made yet
    others: tuple[str, ...]  #: not of the books: readable by rights the role has from elsewhere


def readable() -> tuple[str, ...]:
    """Return the names of what analysts may read."""
    return (*_books(), deleted_records.name)


def _books() -> tuple[str, ...]:
    return (*(table.name for table in tables()), *(view.name for view in VIEWS))


def grant(engine: sa.Engine, role: str, names: Iterable[str] | None = None) -> Rights:
    """Let ``role`` read ``names`` (everything of ``readable()`` unless given); safe to repeat.

    Needs no superuser: whoever owns the tables may. Raises UsageError for a role that does not exist.
    """
    wanted = tuple(readable() if names is None else names)
    with changing_tables(engine, "The role's rights could not be changed") as connection:
        quote = connection.dialect.identifier_preparer.quote_identifier
        asked = {"role": role, "schema": SCHEMA}
        if connection.execute(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), asked).first() is None:
            raise UsageError(
                f"The database has no role {role!r}: make it with CREATE ROLE {quote(role)} LOGIN PASSWORD '…', then "
                "run this again."
            )
        refuse_strangers(connection, _books())
        found = relations(connection, SCHEMA, wanted)
        there = tuple(name for name in wanted if name in found)
        for what in (f'USAGE ON SCHEMA "{SCHEMA}"', *(f'SELECT ON "{SCHEMA}"."{name}"' for name in there)):
            connection.exec_driver_sql(f"GRANT {what} TO {quote(role).replace('%', '%%')}")
        # Whoever may not grant is only warned by Postgres, not refused.
        usage = connection.execute(sa.text("SELECT has_schema_privilege(:role, :schema, 'USAGE')"), asked).scalar_one()
        rights = {row.relname: row.may for row in connection.execute(sa.text(_MAY_READ), asked)}
        if not usage or not all(rights[name] for name in there):
            raise WarehouseError(
                f"The database user {engine.url.username!r} may not give rights on schema {SCHEMA}, so nothing was "
                "granted: use the DATABASE_URL of the user who owns its tables."
            )
        return Rights(
            role,
            there,
            tuple(name for name in wanted if name not in there),
            tuple(name for name, may in rights.items() if may and name not in wanted),
        )
