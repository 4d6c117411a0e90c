"""The dlt resources: one that reads an entity, and one per table that hands dlt its finished file.

dlt forks the reading resource's output to the tables, so a page is fetched once however many tables it feeds. The
cursor lives in dlt's source state and is committed with the data; it moves only after the entity's last page, so a
failed read leaves it where it was. An entity that fails yields nothing and does not disturb the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource
from dlt.extract.extractors import with_file_import
from dlt.sources import DltSource

from qbo_pipeline.catalog import SCHEMA, Entity, Table
from qbo_pipeline.errors import (
    PipelineError,
    ReauthorizationRequiredError,
    UnauthorizedError,
    UnavailableError,
    UnusableRecordError,
)
from qbo_pipeline.sync.files import EntityFiles
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.reading import QUIET_CURSOR_AGE, Reading
from qbo_pipeline.sync.rows import RowMaker

#: Between two readings of one record.
_TICK = timedelta(microseconds=1)
_DLT_TYPES = {
    "text": "text",
    "numeric": "decimal",
    "boolean": "bool",
    "date": "date",
    "bigint": "bigint",
    "timestamptz": "timestamp",
    "jsonb": "json",
}


def books(entities: tuple[Entity, ...], reading: Reading, staging: str) -> DltSource:
    """Return the dlt source of one company: resources for ``entities``, reading what ``reading`` says.

    ``staging`` is the Postgres schema dlt stages this company's rows in.
    """

    @dlt.source(name="quickbooks", max_table_nesting=0)
    def quickbooks() -> Iterator[DltResource]:
        for entity in entities:
            pages = _reading_resource(entity, entities, reading)
            yield pages
            for table in entity.tables:
                yield _table_resource(table, entity, pages, staging)

    return quickbooks()


def _reading_resource(entity: Entity, entities: tuple[Entity, ...], reading: Reading) -> DltResource:
    @dlt.resource(name=f"{entity.table.name}_pages", selected=False)
    def pages() -> Iterator[dict[str, tuple[Path, int]]]:
        cursors: dict[str, str] = dlt.current.source_state().setdefault("cursors", {})
        outcome = reading.outcomes[entity.name] = EntityOutcome(entity)
        if entity.name in cursors:
            outcome.cursor_before = outcome.cursor_after = datetime.fromisoformat(cursors[entity.name])
        reading.prepare(entities, {name: datetime.fromisoformat(at) for name, at in cursors.items()})
        if reading.broken is not None:
            outcome.error = reading.broken
            return
        with closing(EntityFiles(entity, reading.folder)) as files:
            try:
                asked_at = _read(entity, reading, files, outcome)
            except UnavailableError as error:
                outcome.unavailable, outcome.records, outcome.lines = str(error), 0, 0
                return
            except PipelineError as error:
                outcome.error, outcome.records, outcome.lines = error, 0, 0
                if isinstance(error, ReauthorizationRequiredError | UnauthorizedError):
                    reading.broken = error
                return
            findings = reading.reader.findings(entity)
            outcome.error = outcome.error or findings.problem
            reading.gone[entity] = findings.gone
            made = {name: (path, rows) for name, path, rows in files.finish()}
        yield made
        if not outcome.ok or not reading.window.moves_cursor or asked_at is None:
            return
        if _worth_moving(outcome, asked_at, quiet=reading.reader.is_quiet):
            cursors[entity.name] = asked_at.isoformat()
            outcome.cursor_after = asked_at

    return pages


def _read(entity: Entity, reading: Reading, files: EntityFiles, outcome: EntityOutcome) -> datetime | None:
    """Write every record of the window to ``files``; return Intuit's clock at the first answer."""
    maker = RowMaker(entity, reading.realm_id, drift=outcome.drift, always_careful=reading.always_careful)
    since = reading.window.lower_bound(outcome.cursor_before)
    asked_at: datetime | None = None
    synced_at = datetime.min.replace(tzinfo=UTC)
    for page in reading.reader.pages(entity, reading.window, since):
        asked_at = outcome.asked_at = asked_at or page.time
        outcome.expected = reading.reader.findings(entity).expected
        synced_at = max(datetime.now(UTC), synced_at)
        for record in page.records:
            # Strictly growing: a record read twice, even in one page, is told apart by it, and the later one wins.
            synced_at += _TICK
            try:
                files.write(maker.rows(record, synced_at.isoformat()))
            except UnusableRecordError as error:
                # The others are loaded all the same; the entity stays red and its cursor where it is.
                outcome.error = error
        outcome.pages += 1
        outcome.records, outcome.lines = files.records, files.lines
        reading.progress(outcome)
    return asked_at


def _worth_moving(outcome: EntityOutcome, asked_at: datetime, *, quiet: bool) -> bool:
    """Say whether the cursor's move is worth a write: all move together once anything has changed, or after a day."""
    before = outcome.cursor_before
    return before is None or outcome.records > 0 or not quiet or asked_at - before > QUIET_CURSOR_AGE


def _table_resource(table: Table, entity: Entity, pages: DltResource, staging: str) -> DltResource:
    hints: dict[str, Any] = (
        {"write_disposition": _replace_lines(table, staging)}
        if table is entity.line_table
        else {"write_disposition": _upsert(table, staging), "primary_key": table.key}
    )

    def files(made: dict[str, tuple[Path, int]]) -> Iterator[Any]:
        if table.name in made:
            path, rows = made[table.name]
            yield with_file_import(str(path), "csv", rows)

    transformer: Any = dlt.transformer  # its overloads do not know hints that are made elsewhere
    resource: DltResource = transformer(
        files, data_from=pages, name=table.name, columns=_hints(table), file_format="csv", **hints
    )()
    return resource


def _hints(table: Table) -> dict[str, Any]:
    # A fresh dict per column: dlt writes into the ones it is given.
    return {
        column.name: {"data_type": _DLT_TYPES[column.kind], "nullable": column.nullable} for column in table.columns
    }


def _upsert(table: Table, staging: str) -> Any:
    """Merge parents by key; of a record that was read twice in one load, only the later reading counts."""
    same = " AND ".join(f"n.{name} = {table.name}.{name}" for name in table.key)
    return {
        "disposition": "merge",
        "strategy": "upsert",
        # An anti-join: told as an IN, the planner expects a handful of rows and turns a first load quadratic.
        "source_filter": f'NOT EXISTS (SELECT 1 FROM "{staging}"."{table.name}" n WHERE {same} '  # noqa: S608
        f"AND n.synced_at > {table.name}.synced_at)",
    }


def _replace_lines(table: Table, staging: str) -> Any:
    """Replace all lines of every transaction that was read, in one database transaction.

    A transaction whose last line went is staged as one row with position -1: it takes the old lines away with it, and
    is not copied itself.
    """
    parent = table.key[:-1]
    names = ", ".join(parent)
    return {
        "disposition": "merge",
        "strategy": "delete-insert",
        "destination_scope": f"({names}) IN (SELECT {names} FROM {{staging_table}})",  # noqa: S608 - our names
        "source_filter": f"position >= 0 AND {_latest_only(table, parent, staging)}",
    }


def _latest_only(table: Table, key: tuple[str, ...], staging: str) -> str:
    names = ", ".join(key)
    newest = f'SELECT {names}, max(synced_at) FROM "{staging}"."{table.name}" GROUP BY {names}'  # noqa: S608
    return f"({names}, synced_at) IN ({newest})"


def staging_schema(realm_id: str) -> str:
    """Return the schema dlt stages a company's rows in. One per company: a shared one loses rows, silently."""
    return f"{SCHEMA}_staging_{realm_id}"
