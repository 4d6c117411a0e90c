"""What the materializations of a table say about it."""

import dagster as dg

from qbo_pipeline.catalog import Table
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.window import Window


def table_metadata(
    each: EntityOutcome, table: Table, window: Window, books: Books, outcome: Outcome
) -> dict[str, dg.MetadataValue]:
    """Return what a materialization of ``table`` says about one company's part of it."""
    metadata: dict[str, dg.MetadataValue] = {
        # Of this company: the partition's own count, and one that its primary key answers.
        "dagster/row_count": dg.MetadataValue.int(books.row_count(table.name, outcome.realm_id)),
        "rows_written": dg.MetadataValue.int(each.rows_of(table.name)),
        "rows_deleted": dg.MetadataValue.int(each.deleted if table is each.entity.table else 0),
        "api_calls_of_the_run": dg.MetadataValue.int(outcome.calls),
        "pages": dg.MetadataValue.int(each.pages),
        "window": dg.MetadataValue.text(str(window)),
    }
    if each.unavailable:
        metadata["not_available"] = dg.MetadataValue.text(each.unavailable)
    for name, time in (("cursor_before", each.cursor_before), ("cursor_after", each.cursor_after)):
        if time is not None:
            metadata[name] = dg.MetadataValue.timestamp(time)
    if each.drift and table is each.entity.table:
        metadata["schema_drift"] = dg.MetadataValue.json(
            [{"kind": kind, "field": field, "records": records} for kind, field, records in each.drift.report()]
        )
    return metadata
