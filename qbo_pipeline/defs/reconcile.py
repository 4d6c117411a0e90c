"""The comparison with QuickBooks as an asset: one partition per company, materialized daily and on demand."""

import dagster as dg

from qbo_pipeline.catalog import ENTITIES, SCHEMA, entity_named
from qbo_pipeline.defs.boundary import told_safely
from qbo_pipeline.defs.partitions import COMPANIES
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.sync.comparison import Reconciliation
from qbo_pipeline.sync.outcome import EntityOutcome

RECONCILIATIONS = dg.AssetKey([SCHEMA, "reconciliations"])


class ReconcileConfig(dg.Config):
    """How close to look."""

    sample: int = 0
    """how many records of each entity to look at, drawn at random; 0: only count them"""
    full: bool = False
    """read and compare every record"""
    yes: bool = False
    """take QuickBooks' word however much it says is deleted: somebody has looked"""
    entities: list[str] = []  # noqa: RUF012 - pydantic copies defaults
    """only these, by their QuickBooks name; all when empty"""


@dg.asset(
    key=RECONCILIATIONS,
    description="Does the warehouse hold what QuickBooks has? Counted per entity, and repaired where it does not.",
    group_name="company",
    kinds={"quickbooks", "postgres"},
    owners=["team:finance-data"],
    partitions_def=COMPANIES,
    metadata={"dagster/table_name": f"{SCHEMA}.reconciliations"},
)
def reconciliations(
    context: dg.AssetExecutionContext, config: ReconcileConfig, books: dg.ResourceParam[Books]
) -> dg.MaterializeResult[None]:
    """Compare one company with QuickBooks."""

    def say(progress: EntityOutcome) -> None:
        context.log.info("%s: page %d, %d records so far", progress.entity.name, progress.pages, progress.records)

    with told_safely():
        wanted = {entity_named(word) for word in config.entities}
        found = books.reconcile(
            context.partition_key,
            tuple(entity for entity in ENTITIES if not wanted or entity in wanted),
            trigger="dagster",
            run_id=context.run.run_id,
            sample=config.sample,
            full=config.full,
            believe_deletions=config.yes,
            progress=say,
            step=context.log.info,
        )
    for each in found.problems:
        context.log.error("%s: %s", each.entity.name, each.note)
    return dg.MaterializeResult(metadata=_metadata(found))


def _metadata(found: Reconciliation) -> dict[str, dg.MetadataValue]:
    frame = found.frame().astype(object)
    frame = frame.where(frame.notna(), "")
    records = [dict(zip(frame.columns, map(str, row), strict=True)) for row in frame.to_numpy()]
    counts = {status: found.count(status) for status in ("equal", "repaired", "differs", "failed")}
    return {
        "dagster/row_count": dg.MetadataValue.int(len(found.entities)),
        "comparison": dg.MetadataValue.table([dg.TableRecord(record) for record in records]),
        "summary": dg.MetadataValue.md("\n".join([f"**{found.summary}**", "", *_problems(found)])),
        "api_calls": dg.MetadataValue.int(found.calls),
        "rows_written": dg.MetadataValue.int(found.rows),
        **{status: dg.MetadataValue.int(count) for status, count in counts.items()},
    }


def _problems(found: Reconciliation) -> list[str]:
    return [f"- {each.entity.name}: {each.note}" for each in found.problems]
