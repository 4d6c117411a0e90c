"""Write docs/tables.md from the catalogue: ``python docs/tables_reference.py``. A test says when it is stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qbo_pipeline.catalog import ENTITIES, GROUPS, SCHEMA, Entity, Table
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.views import VIEWS, View
from qbo_pipeline.warehouse.tables import deleted_records

PAGE = Path(__file__).with_name("tables.md")

_INTRODUCTION = f"""\
# The tables of the books

Written by `make docs` from the catalogue (`qbo_pipeline/catalog/`); edit that, not this. The same descriptions are
Postgres comments (`\\d+ {SCHEMA}.invoices` shows them) and in Dagster's catalog.

One schema, `{SCHEMA}`, holds the books of every connected company: `realm_id` says whose a row is, and belongs into
every join. Ids are text, as Intuit asks to treat them. Money, quantities and rates are `numeric` with the very digits
QuickBooks wrote, a `timestamptz` is an instant, a `date` is a date of the company's books that no time zone shifts.
Objects that are not worth columns are `jsonb`, and `extra` holds what no column can give back exactly, so nothing
QuickBooks sends is lost. "Field" is where a value is in QuickBooks' own record; columns without one are ours.
"""

_CHANGES = """\
## When this catalogue changes

A new column appears with `qbo db upgrade`, or with the next sync; it is empty until a record is read again, and no row
is rewritten. A renamed or retyped column is a written migration: a file in `qbo_pipeline/warehouse/migrations/versions`
whose `upgrade()` calls `rename_column` or `retype_column` of `qbo_pipeline/warehouse/migrations/columns.py`. A sync
refuses to load into a table whose types differ from the catalogue.

`qbo db grant ROLE` lets a role of the database read these tables, and nothing else in the schema.
"""


def reference() -> str:
    """Return the whole page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield _INTRODUCTION
    for group, title in GROUPS.items():
        names = ", ".join(f"[{t.name}](#{t.name})" for entity in _of(group) for t in entity.tables)
        yield f"- {title}: {names}"
    yield f"- Lists inside records, as views: {', '.join(f'[{view.name}](#{view.name})' for view in VIEWS)}"
    for group, title in GROUPS.items():
        yield f"\n## {title}\n"
        for entity in _of(group):
            for table in entity.tables:
                yield from _table(table, entity)
    yield "\n## Lists inside records\n"
    for view in VIEWS:
        yield from _view(view)
    yield "\n## Deleted records\n"
    yield from _archive()
    yield _CHANGES.rstrip() + "\n"


def _archive() -> Iterator[str]:
    yield f"### {deleted_records.name}\n"
    yield f"{deleted_records.comment}\n"
    yield "- One row per record; it goes when QuickBooks has the record again."
    yield f"- Primary key: {', '.join(f'`{column.name}`' for column in deleted_records.primary_key)}"
    yield "\n| Column | Type | Field | Meaning |\n|---|---|---|---|"
    for column in deleted_records.columns:
        kind = {"TIMESTAMP": "timestamptz", "VARCHAR(50)": "text"}.get(str(column.type), str(column.type).lower())
        yield f"| `{column.name}` | {kind} |  | {column.comment or ''} |"
    yield ""


def _of(group: str) -> list[Entity]:
    return [entity for entity in ENTITIES if entity.group == group]


def _table(table: Table, entity: Entity) -> Iterator[str]:
    yield f"### {table.name}\n"
    yield " ".join(table.description.split()) + "\n"
    yield f"- One row per {_grain(table, entity)}."
    yield f"- Primary key: {', '.join(f'`{name}`' for name in table.key)}"
    for sentence in _line_changes(entity) if table is entity.line_table else _record_changes(entity):
        yield f"- {sentence}"
    yield from _columns(table.columns)


def _view(view: View) -> Iterator[str]:
    yield f"### {view.name}\n"
    yield " ".join(view.description.split()) + "\n"
    ways = " and of its ".join(f"`{'.'.join(way)}`" for way in view.lists)
    lines = ", and of those of its lines" if view.in_lines else ""
    yield f"- A view: one row per record and entry of its {ways}{lines}."
    sources = dict.fromkeys(branch.table.name for branch in view.branches(ENTITIES))
    yield f"- Reads {', '.join(f'`{name}`' for name in sources)}; always what they say."
    yield from _columns(view.columns)


def _columns(columns: tuple[Column, ...]) -> Iterator[str]:
    yield "\n| Column | Type | Field | Meaning |\n|---|---|---|---|"
    for column in columns:
        field = f"`{'.'.join(column.path)}`" if column.path else ""
        kind = column.kind if column.nullable else f"{column.kind}, never null"
        yield f"| `{column.name}` | {kind} | {field} | {column.description.replace('|', chr(92) + '|')} |"
    yield ""


def _grain(table: Table, entity: Entity) -> str:
    if entity.singleton:
        return "company"
    if table is not entity.line_table:
        natural = "" if entity.key_fields == ("Id",) else f", known by its {' + '.join(entity.key_fields)}"
        return f"company and {entity.name}{natural}"
    return f"company, {entity.name} and entry of its `{entity.line_field}`; `{table.key[-1]}` keeps QuickBooks' order"


def _record_changes(entity: Entity) -> Iterator[str]:
    if entity.singleton:
        yield "Changes: read with every sync."
        yield "Deletes: never; every company has exactly one."
        return
    if entity.reads == "list":
        yield "Changes: the whole list is read about once a week; its records do not say when they changed."
        yield "Deletes: QuickBooks deletes none that we know of."
        return
    often = "about once a day" if entity.every else "with every sync while it is in use, once a day otherwise"
    covered = "covers it" if entity.cdc else f"does not cover it, so it is asked for {often}"
    asked = ", asked for the currencies the company uses" if entity.reads == "per currency" else ""
    yield f"Changes: by the time QuickBooks last touched the record{asked}; its change data capture {covered}."
    if entity.active:
        yield (
            "Deletes: made inactive instead (`active` is false), and the row stays. One that was merged into another "
            "is gone: its row moves to `deleted_records`, and what named it is read again."
        )
    elif entity.cdc:
        yield (
            "Deletes: the row and its lines move to `deleted_records` with the next sync; QuickBooks' change data "
            "capture names the deleted for 30 days, later a count shows that some are missing."
        )
    else:
        yield (
            "Deletes: QuickBooks does not tell; a full read finds what is missing and moves it to `deleted_records`."
        )


def _line_changes(entity: Entity) -> Iterator[str]:
    yield f"Changes: all entries of a record are replaced together, whenever its row in `{entity.table_name}` is."
    yield "Deletes: with the record, or when an edit removes them."


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
