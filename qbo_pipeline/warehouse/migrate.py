"""Bring a database up to date: ``upgrade(engine)``, as often as you like, from as many processes as you like.

Tables of another program that stand where the books go are moved aside, migrations run, the tables of the books are
made, companies that another program connected are taken over. All of it is one transaction under one lock: it either
happens whole, or the database stays as it was. A dry run is the same transaction, taken back at the end: what it says
is what happened, not a second description of it.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from qbo_pipeline.catalog import tables
from qbo_pipeline.catalog.views import VIEWS
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.changing import changing_tables
from qbo_pipeline.warehouse.companies import adopt_tokens
from qbo_pipeline.warehouse.engine import check_connection
from qbo_pipeline.warehouse.entity_tables import make_tables
from qbo_pipeline.warehouse.legacy import move_aside, refuse_strangers
from qbo_pipeline.warehouse.tables import SCHEMA, comment_statements
from qbo_pipeline.warehouse.token_custody import seal_all
from qbo_pipeline.warehouse.vault import Custody
from qbo_pipeline.warehouse.views import make_views

VERSION_TABLE = "qbo_schema_version"
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(
    engine: sa.Engine, *, adopt: bool = False, dry_run: bool = False, custody: Custody | None = None
) -> list[str]:
    """Upgrade to the newest revision; return what was done, as sentences (none: there was nothing to do).

    ``adopt`` allows to move another program's tables aside; without it their presence is a WarehouseError. With
    ``custody`` refresh tokens that another program left in the open are sealed, in the same transaction. With
    ``dry_run`` the sentences say what would be done, and nothing is.
    """
    check_connection(engine)
    try:
        with changing_tables(engine, "The database could not be upgraded", keep=not dry_run) as connection:
            report = _upgrade(connection, adopt=adopt)
            return report + (seal_all(connection, custody) if custody is not None else [])
    except CommandError as error:
        raise WarehouseError(
            "The database was upgraded by a newer version of qbo than this one: install that version."
        ) from error


def current_revision(engine: sa.Engine) -> str | None:
    """Return the revision the database is at (None: never upgraded)."""
    with engine.connect() as connection:
        return _migration_context(connection).get_current_revision()


def head_revision() -> str | None:
    """Return the revision this version of the program needs."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def _upgrade(connection: sa.Connection, *, adopt: bool) -> list[str]:
    # First of all: a migration of ours must not meet another program's table under the name of one of ours.
    names = [table.name for table in tables()] + [view.name for view in VIEWS]
    report = move_aside(connection, names) if adopt else []
    refuse_strangers(connection, names)
    script = ScriptDirectory(str(MIGRATIONS))
    before = _migration_context(connection).get_current_revision()
    if before != script.get_current_head():
        shared_before = sa.inspect(connection).has_table("tokens", schema=SCHEMA)
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        _migrate(connection, script, report)
        connection.exec_driver_sql(comment_statements(owned_only=shared_before).replace("%", "%%"))
    report += make_tables(connection, all_comments=True)
    report += make_views(connection)
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
