"""Bring the tables we own up to date: ``upgrade(engine)``, as often as you like, from as many processes as you like.

All of it is one transaction under one lock. It either happens whole, or the database stays as it was.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError

from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.companies import adopt_tokens
from qbo_pipeline.warehouse.engine import check_connection
from qbo_pipeline.warehouse.tables import SCHEMA, comment_statements

VERSION_TABLE = "qbo_schema_version"
MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x71626F  # "qbo"


def upgrade(engine: sa.Engine) -> list[str]:
    """Upgrade to the newest revision; return what was done, as sentences (none: there was nothing to do)."""
    check_connection(engine)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            # Waiting for a lock on a table, we would in turn keep everybody else waiting.
            connection.execute(sa.text("SET LOCAL lock_timeout = '20s'"))
            return _upgrade(connection)
    except CommandError as error:
        raise WarehouseError(
            "The database was upgraded by a newer version of qbo than this one: install that version."
        ) from error
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0]  # the first line only: DETAIL may quote a row
        if "lock timeout" in said:
            said = (
                "another program holds a lock on quickbooks.tokens or quickbooks.companies; try again when it is done."
            )
        raise WarehouseError(f"The database could not be upgraded and stays as it was: {said}") from error


def current_revision(engine: sa.Engine) -> str | None:
    """Return the revision the database is at (None: never upgraded)."""
    with engine.connect() as connection:
        return _migration_context(connection).get_current_revision()


def head_revision() -> str | None:
    """Return the revision this version of the program needs."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def _upgrade(connection: sa.Connection) -> list[str]:
    report: list[str] = []
    script = ScriptDirectory(str(MIGRATIONS))
    before = _migration_context(connection).get_current_revision()
    if before != script.get_current_head():
        shared_before = sa.inspect(connection).has_table("tokens", schema=SCHEMA)
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        _migrate(connection, script, report)
        connection.exec_driver_sql(comment_statements(owned_only=shared_before).replace("%", "%%"))
    adopted = adopt_tokens(connection)
    return report + [f"Took over {one.name} ({one.environment}) as {one.partition_key}." for one in adopted]


def _migrate(connection: sa.Connection, script: ScriptDirectory, report: list[str]) -> None:
    config = Config()
    config.attributes["report"] = report

    def steps(revision: object, _context: MigrationContext) -> object:
        return script._upgrade_revs("head", revision)  # type: ignore[arg-type]

    with EnvironmentContext(config, script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=SCHEMA)
        with environment.begin_transaction():
            environment.run_migrations()


def _migration_context(connection: sa.Connection) -> MigrationContext:
    options = {"version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
    return MigrationContext.configure(connection, opts=options)
