"""The programs that are compared, and how to tell that they did the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from benchmarks.fake import REALM
from benchmarks.installation import Installation
from benchmarks.measure import Cost, measured
from qbo_pipeline.catalog import SCHEMA, Table, entity_named
from qbo_pipeline.warehouse.engine import open_engine

QBO = (sys.executable, "-c", "from qbo_pipeline.cli import main; main()")


class WrongTablesError(Exception):
    """A program was fast and wrong: its tables are not the floor's."""


@dataclass(frozen=True)
class Case:
    """A program: ``command`` makes its argument list for the fake's address, a database and a number of invoices."""

    name: str
    command: Callable[[str, str, int], Sequence[str]]
    #: What its tables are to have in common with the floor's.
    check: Callable[[str], dict[str, tuple[object, ...]]]


def run(case: Case, installation: Installation, database: str, invoices: int) -> Cost:
    """Run a case on a database and return what it cost."""
    return measured(
        case.command(installation.fake.url, database, invoices),
        environment=installation.environment(database),
        postmaster=installation.postmaster,
        log=installation.folder / f"{case.name.split()[0].strip(',')}.log",
    )


def every_row(database: str) -> dict[str, tuple[object, ...]]:
    """Return count, money and a digest over every cell (but ``synced_at``) of both tables, whatever their order."""
    invoice = entity_named("Invoice")
    tables = [invoice.table, *([invoice.line_table] if invoice.line_table else [])]
    engine = open_engine(database, pool_size=1)
    with engine.connect() as connection:
        found = {table.name: tuple(connection.execute(sa.text(_digest(table))).one()) for table in tables}
    engine.dispose()
    return found


def sums(database: str) -> dict[str, tuple[object, ...]]:
    """Return count and money of what a rival made of both tables: its columns are its own."""
    engine = open_engine(database, pool_size=1)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names("rival")
        lines = next(name for name in names if name in ("invoice_lines", "invoices__line"))
        found = {
            ours: tuple(
                connection.execute(
                    sa.text(f'SELECT count(*), round(sum({money})::numeric, 2) FROM rival."{theirs}"')
                ).one()
            )
            for ours, theirs, money in (("invoices", "invoices", "total_amt"), ("invoice_lines", lines, "amount"))
        }
    engine.dispose()
    return found


def agree(found: dict[str, tuple[object, ...]], floor: dict[str, tuple[object, ...]]) -> bool:
    """Say whether tables are the floor's, as far as both can be compared."""
    return found.keys() == floor.keys() and all(cells == floor[name][: len(cells)] for name, cells in found.items())


def _digest(table: Table) -> str:
    cells = ", ".join(f'"{name}"' for name in table.column_names if name != "synced_at")
    money = "total_amt" if "total_amt" in table.column_names else "amount"
    return (
        f"SELECT count(*), sum({money}), sum(hashtextextended(CAST(ROW({cells}) AS text), 0)::numeric) "
        f'FROM {SCHEMA}."{table.name}"'
    )


FLOOR = Case(
    "floor", lambda fake, database, n: [sys.executable, "-m", "benchmarks.floor", fake, database, str(n)], every_row
)
PRODUCT = Case("product", lambda *_: [*QBO, "sync", "--company", REALM, "--entity", "Invoice", "--json"], every_row)
WHOLE = Case("product, all 41 entities", lambda *_: [*QBO, "sync", "--company", REALM, "--json"], every_row)
DLT = Case(
    "dlt, its defaults",
    lambda fake, database, n: [sys.executable, "-m", "benchmarks.rivals.dlt_defaults", fake, database, str(n)],
    sums,
)
UPSERTS = Case(
    "SQLAlchemy upserts",
    lambda fake, database, n: [sys.executable, "-m", "benchmarks.rivals.upserts", fake, database, str(n)],
    sums,
)
