"""Tables of another program under the names of ours: moved aside whole, never changed, never dropped.

An older service may keep its own ``customers``, ``items``, ``estimates`` or ``invoices`` in schema ``quickbooks``.
``ALTER TABLE … SET SCHEMA`` takes a table's rows, indexes, constraints, triggers and own sequences along; views and
foreign keys know it by its number, not its name, and keep working. A name that is taken in ``quickbooks_legacy`` gets
a number. ``companies`` and ``tokens`` are shared with the other program and are not moved (see the first migration).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from qbo_pipeline.catalog import SCHEMA
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.relations import Relation, relations

LEGACY = "quickbooks_legacy"

_EXPLANATION = (
    f"Schema {SCHEMA} has tables of another program under names the books need. They go to schema {LEGACY} as they "
    "are, with rows, indexes, constraints, sequences and triggers; views and foreign keys follow them, and nothing is "
    f"dropped. A program that goes on asking for {SCHEMA}.{{first}} finds the table of the books there: stop it, or "
    f"point it to {LEGACY}."
)

# What moves along under a name of its own, and could meet a namesake.
_COMPANIONS = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = CAST(:table AS regclass)
UNION
SELECT c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  AND d.refobjid = CAST(:table AS regclass) AND c.relnamespace = to_regnamespace(:schema)
ORDER BY 1
"""


def refuse_strangers(connection: Connection, names: Iterable[str]) -> None:
    """Raise WarehouseError when a table of another program has one of the names."""
    if found := _strangers(connection, names):
        raise WarehouseError(
            f"Schema {SCHEMA} has tables of another program under names the books need: "
            f"{', '.join(each.name for each in found)}. 'qbo db upgrade' moves them to schema {LEGACY}, with all that "
            "is in them; 'qbo db upgrade --dry-run' shows what it would do. Nothing was changed."
        )


def move_aside(connection: Connection, names: Iterable[str]) -> list[str]:
    """Move every table of another program that has one of the names; say in words what was done."""
    found = _strangers(connection, names)
    if not found:
        return []
    connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{LEGACY}"')
    return [_EXPLANATION.format(first=found[0].name), *(_move(connection, stranger) for stranger in found)]


def _strangers(connection: Connection, names: Iterable[str]) -> list[Relation]:
    return [each for each in relations(connection, SCHEMA, names).values() if not each.is_ours]


def _move(connection: Connection, stranger: Relation) -> str:
    old = f'"{SCHEMA}"."{stranger.name}"'
    # Nobody may change what we are about to count and move. (Views cannot be locked without their tables.)
    if stranger.kind in ("r", "p"):
        connection.exec_driver_sql(f"LOCK TABLE {old} IN ACCESS EXCLUSIVE MODE")
    companions = connection.execute(text(_COMPANIONS), {"table": old, "schema": SCHEMA}).scalars().all()
    for companion in companions:
        _rename(connection, companion, _free_name(connection, companion))
    name = _free_name(connection, stranger.name)
    _rename(connection, stranger.name, name)
    connection.exec_driver_sql(f'ALTER TABLE "{SCHEMA}"."{name}" SET SCHEMA "{LEGACY}"')  # of views too
    if stranger.kind not in ("r", "p"):
        return f"Moved the view {SCHEMA}.{stranger.name} to {LEGACY}.{name}."
    count = connection.execute(text(f'SELECT count(*) FROM "{LEGACY}"."{name}"')).scalar_one()  # noqa: S608
    return f"Moved {SCHEMA}.{stranger.name} ({count:,} row{'' if count == 1 else 's'}) to {LEGACY}.{name}."


def _rename(connection: Connection, old: str, new: str) -> None:
    if new != old:
        quoted = [
            connection.dialect.identifier_preparer.quote_identifier(name).replace("%", "%%") for name in (old, new)
        ]
        connection.exec_driver_sql(f'ALTER TABLE "{SCHEMA}".{quoted[0]} RENAME TO {quoted[1]}')  # of indexes too


def _free_name(connection: Connection, name: str) -> str:
    """Return ``name``, or the first ``name_2``, ``name_3`` … that neither schema knows."""
    question = text(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:legacy) "
        "UNION SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:schema) AND relname <> :name"
    )
    taken = set(connection.execute(question, {"legacy": LEGACY, "schema": SCHEMA, "name": name}).scalars())
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name[:58]}_{number}"
    return free
