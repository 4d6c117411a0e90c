"""The assets: one per table of the books, all made by one op per company, so that a run signs in once."""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from qbo_pipeline.catalog import ENTITIES, SCHEMA, Entity, Table
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.views import VIEWS
from qbo_pipeline.defs.boundary import told_safely
from qbo_pipeline.defs.drift import drift_checks, drift_results
from qbo_pipeline.defs.hourly import sync_companies
from qbo_pipeline.defs.keys import SOURCE, source_key, table_key
from qbo_pipeline.defs.metadata import table_metadata
from qbo_pipeline.defs.partitions import COMPANY_MONTHS, Selection, selection
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.secret import scrub
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.progress import Progress
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window, created_between
from qbo_pipeline.warehouse.tables import deleted_records


class SyncConfig(dg.Config):
    """How much to read."""

    mode: str = "auto"
    """auto (the current month: what changed; other months: what was created in them), incremental, full, or webhook
    (what QuickBooks told of by webhooks and nobody has read yet)"""

    believe_deletions: bool = False
    """Remove however many records QuickBooks no longer has. Without it, more than 20 or a tenth stop their table."""

    companies: list[str] | None = None
    """Several companies, by partition key, to be brought up to date by a run that has no partition: the hourly one of
    many companies. Their rows are counted to the month we are in."""


def source_specs() -> list[dg.AssetSpec]:
    """Return the external assets upstream: QuickBooks' own entities, as lineage shows where data comes from."""
    return [
        dg.AssetSpec(
            source_key(entity),
            description=f"{entity.name} in QuickBooks Online, read through its Accounting API.",
            group_name=SOURCE,
            kinds={"quickbooks"},
            partitions_def=COMPANY_MONTHS,
        )
        for entity in ENTITIES
    ]


def table_specs() -> list[dg.AssetSpec]:
    """Return one asset spec per table, line tables too."""
    return [_spec(table, entity) for entity in ENTITIES for table in entity.tables]


def view_specs() -> list[dg.AssetSpec]:
    """Return the views: always as fresh as their tables, so nothing ever materializes them."""
    return [
        dg.AssetSpec(
            table_key(view),
            deps=sorted({table_key(branch.table) for branch in view.branches(ENTITIES)}),
            description=view.description,
            group_name="lists",
            kinds={"postgres", "view"},
            owners=["team:finance-data"],
            metadata={
                "dagster/table_name": f"{SCHEMA}.{view.name}",
                "dagster/column_schema": _column_schema(view.columns, key=()),
            },
        )
        for view in VIEWS
    ]


def archive_spec() -> dg.AssetSpec:
    """Return the archive of deleted records: every sync writes it, whatever tables it is for."""
    return dg.AssetSpec(
        [SCHEMA, deleted_records.name],
        description=str(deleted_records.comment),
        group_name="lists",
        kinds={"postgres"},
        owners=["team:finance-data"],
        metadata={"dagster/table_name": f"{SCHEMA}.{deleted_records.name}"},
    )


def _column_schema(columns: tuple[Column, ...], key: tuple[str, ...]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.kind,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=False),
                tags={"primary_key": ""} if column.name in key else {},
            )
            for column in columns
        ]
    )


def _spec(table: Table, entity: Entity) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_key(table),
        deps=[source_key(entity)],
        description=table.description,
        group_name=entity.group,
        kinds={"dlt", "postgres"},
        owners=["team:finance-data"],
        skippable=True,
        metadata={
            "dagster/table_name": f"{SCHEMA}.{table.name}",
            "dagster/column_schema": _column_schema(table.columns, table.key),
        },
    )


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # BackfillPolicy has been in beta for years

    @dg.multi_asset(
        name="sync_company",
        specs=table_specs(),
        check_specs=drift_checks(),
        can_subset=True,
        partitions_def=COMPANY_MONTHS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def quickbooks_tables(
        context: dg.AssetExecutionContext, config: SyncConfig, books: dg.ResourceParam[Books]
    ) -> Iterator[Any]:
        """Keep one company's tables in step with QuickBooks, or those of several."""
        entities = tuple(
            entity for entity in ENTITIES if any(table_key(t) in context.selected_asset_keys for t in entity.tables)
        )
        if not (context.has_partition_key or context.has_partition_key_range):
            if not config.companies:
                raise dg.Failure(
                    "This run has no partition, so no company: choose one and its months under 'Materialize', or give "
                    "the partition keys of several as 'companies' in its config.",
                    allow_retries=False,
                )
            yield from sync_companies(context, config.companies, entities, books)
            return
        chosen = selection(context.partition_keys)
        progress = Progress(len(entities))
        if (budget := books.budget()).is_low:
            context.log.warning("%s", budget)

        def say(each: EntityOutcome) -> None:
            context.log.info(progress.line(each))

        if config.mode == "webhook":
            with told_safely():
                acted = books.act_on_webhooks(chosen.company, entities, run_id=context.run.run_id, progress=say)
            if acted is None:
                context.log.info("Nothing waits any more of what webhooks told.")
                return
            outcome, window = acted.outcome, acted.window
            context.log.info("Webhooks told of %d changes; %d are in the tables now.", acted.events, acted.done)
        else:
            window = _window(config.mode, chosen)
            context.log.info("Syncing %s: %d entities, %s", chosen.company, len(entities), window)
            with told_safely():
                outcome = books.sync(
                    chosen.company,
                    entities,
                    window,
                    run_id=context.run.run_id,
                    trigger="dagster",
                    believe_deletions=config.believe_deletions,
                    progress=say,
                )
        yield from _results(outcome, window, context, books)
        yield from drift_results(outcome, {check.asset_key for check in context.selected_asset_check_keys})
        if outcome.failed:
            failures = (f"{each.entity.name}: {each.error}" for each in outcome.failed)
            raise dg.Failure(scrub("; ".join(failures)), allow_retries=False)


def _window(mode: str, chosen: Selection) -> Window:
    match mode:
        case "full":
            return FULL
        case "incremental":
            return INCREMENTAL
        case "auto":
            if chosen.is_current_month(datetime.now(UTC)):
                return INCREMENTAL
            return created_between(chosen.since, chosen.until)
        case _:
            raise dg.Failure(f"mode is {mode!r}; it must be auto, incremental, full or webhook.", allow_retries=False)


def _results(
    outcome: Outcome, window: Window, context: dg.AssetExecutionContext, books: Books
) -> Iterator[dg.MaterializeResult[None]]:
    for each in outcome.entities:
        if not each.ok or each.resting:
            continue
        for table in each.entity.tables:
            if table_key(table) in context.selected_asset_keys:
                yield dg.MaterializeResult(
                    asset_key=table_key(table), metadata=table_metadata(each, table, window, books, outcome)
                )
