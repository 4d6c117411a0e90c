"""The views of the books, made from the catalogue: one row per entry of the lists inside records.

An entry is read whatever it looks like: a list that is no list has no entries, a single object counts as a list of one,
and an amount that is no number is null. So one odd record cannot keep a view from answering.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from qbo_pipeline.catalog import ENTITIES, SCHEMA
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.views import VIEWS, Branch, View
from qbo_pipeline.warehouse.relations import Relation, relations
from qbo_pipeline.warehouse.sql import literal, quoted

_PROBE = "qbo_view_probe"


def make_views(connection: Connection) -> list[str]:
    """Make the views that are missing or differ, and say in words what was done. The tables must be there."""
    existing = relations(connection, SCHEMA, (view.name for view in VIEWS))
    new, changed = [], []
    for view in VIEWS:
        there = existing.get(view.name)
        if there is None:
            _create(connection, view)
            new.append(view.name)
        elif not _is_same(connection, view):
            _replace(connection, view)
            changed.append(view.name)
        else:
            _describe(connection, view, there)
    done = [f"Created the view{'' if len(new) == 1 else 's'} {', '.join(new)}."] if new else []
    return done + ([f"Changed the view{'' if len(changed) == 1 else 's'} {', '.join(changed)}."] if changed else [])


def definition(view: View) -> str:
    """Return the query of a view."""
    return "\nUNION ALL\n".join(_select(view, branch) for branch in view.branches(ENTITIES))


def _select(view: View, branch: Branch) -> str:
    is_line = branch.table is branch.entity.line_table
    which = {
        "line_position": "t.position" if is_line else "NULL::bigint",
        "list": literal(branch.name),
    }
    cells = [
        "t.realm_id",
        f"{literal(branch.entity.name)}::text AS entity",
        f"t.{quoted(branch.table.key[1])} AS record_id",
        *(f"{which[column.name]} AS {column.name}" for column in view.which),
        "e.position - 1 AS position",
        *(f"{_cell(column)} AS {quoted(column.name)}" for column in view.own_columns),
    ]
    return (
        f"SELECT {', '.join(cells)}\n"
        f"FROM {quoted(SCHEMA)}.{quoted(branch.table.name)} t "
        f"CROSS JOIN LATERAL jsonb_array_elements({_entries(branch)}) WITH ORDINALITY e(entry, position)"
    )


def _entries(branch: Branch) -> str:
    value = f"t.{quoted(branch.column)}"
    if branch.path:
        value = f"({value} #> {_way(branch.path)})"
    return (
        f"CASE jsonb_typeof({value}) WHEN 'array' THEN {value} WHEN 'object' THEN jsonb_build_array({value}) "
        "ELSE '[]'::jsonb END"
    )


def _cell(column: Column) -> str:
    text = f"(e.entry #>> {_way(column.path)})"
    match column.kind:
        case "numeric":
            return f"CASE WHEN {text} ~ '^-?[0-9]+(\\.[0-9]+)?$' AND length({text}) < 1000 THEN {text}::numeric END"
        case "boolean":
            return f"CASE {text} WHEN 'true' THEN true WHEN 'false' THEN false END"
        case _:
            return text


def _way(path: tuple[str, ...]) -> str:
    return literal("{" + ",".join(path) + "}") + "::text[]"


def _is_same(connection: Connection, view: View) -> bool:
    """Compare by what Postgres makes of the query: it keeps a view in words of its own."""
    _run(connection, f"CREATE TEMPORARY VIEW {_PROBE} AS {definition(view)}")
    stands, wanted = (
        connection.exec_driver_sql("SELECT pg_get_viewdef(%s::regclass)", (name,)).scalar_one()
        for name in (f"{SCHEMA}.{view.name}", f"pg_temp.{_PROBE}")
    )
    _run(connection, f"DROP VIEW pg_temp.{_PROBE}")
    return bool(stands == wanted)


def _replace(connection: Connection, view: View) -> None:
    """Put the new query in place; who could read the view before can read it afterwards."""
    try:
        with connection.begin_nested():
            _run(connection, f"CREATE OR REPLACE VIEW {_place(view)} AS {definition(view)}")
    except DBAPIError:  # columns changed places, which only a new view can have
        readers = connection.exec_driver_sql(
            "SELECT quote_ident(r.rolname) FROM pg_class c, aclexplode(c.relacl) a "
            "JOIN pg_roles r ON r.oid = a.grantee WHERE c.oid = %s::regclass AND a.privilege_type = 'SELECT'",
            (f"{SCHEMA}.{view.name}",),
        ).scalars()
        names = list(readers)
        _run(connection, f"DROP VIEW {_place(view)}")
        _create(connection, view)
        for name in names:
            _run(connection, f"GRANT SELECT ON {_place(view)} TO {name}")
    else:
        _describe(connection, view, None)


def _create(connection: Connection, view: View) -> None:
    _run(connection, f"CREATE VIEW {_place(view)} AS {definition(view)}")
    _describe(connection, view, None)


def _describe(connection: Connection, view: View, there: Relation | None) -> None:
    if statements := list(_comments(view, there)):
        _run(connection, ";\n".join(statements))


def _comments(view: View, there: Relation | None) -> Iterator[str]:
    if there is None or there.comment != view.description:
        yield f"COMMENT ON VIEW {_place(view)} IS {literal(view.description)}"
    for column in view.columns:
        if there is None or there.comments.get(column.name) != column.description:
            yield f"COMMENT ON COLUMN {_place(view)}.{quoted(column.name)} IS {literal(column.description)}"


def _place(view: View) -> str:
    return f"{quoted(SCHEMA)}.{quoted(view.name)}"


def _run(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement.replace("%", "%%"))
