"""The hourly sync, of few companies a run for each, and of many up to fifty to a run; the daily comparison."""

from collections.abc import Iterator

import dagster as dg

from qbo_pipeline.defs.jobs import reconcile, sync
from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
from qbo_pipeline.defs.reconcile import reconciliations
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.defs.tables import quickbooks_tables
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.warehouse.companies import Company

#: Up to so many companies have an hourly run each, which shows in their own partition whether it failed. A run costs
#: three CPU seconds before it does anything: more companies share runs.
ALONE = 5
#: Companies in one run that is shared.
TOGETHER = 50
#: How many records of each entity the Sunday's comparison looks at, beyond counting them.
SUNDAY_SAMPLE = 50


@dg.schedule(
    job=sync,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sync every connected company. Hours missed are caught up by the next run, because the cursor knows.",
)
def hourly(
    context: dg.ScheduleEvaluationContext, books: dg.ResourceParam[Books]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for a run for each company that is connected and has had its first load; deal many to as few as hold them."""
    try:
        ready, connected = books.hourly_companies(), books.connected()
    except PipelineError as error:
        yield dg.SkipReason(str(error))
        return
    # The companies sensor adds a partition within a minute; a run for one that is missing would stop all the others.
    known = set(context.instance.get_dynamic_partitions(str(COMPANIES.name)))
    ready = [company for company in ready if company.partition_key in known]
    for company in connected:
        if not company.is_active:
            context.log.warning("%s needs to be connected again (qbo connect): no sync.", company.partition_key)
    if not ready:
        budget = books.budget()
        yield dg.SkipReason(str(budget) if budget.is_spent else "No company is connected and loaded yet.")
    tick = context.scheduled_execution_time
    if len(ready) <= ALONE:
        for company in ready:
            yield dg.RunRequest(
                run_key=f"{company.realm_id}:{tick:%Y-%m-%dT%H}",
                partition_key=key(company.partition_key, current_month(tick)),
                tags={"quickbooks/realm": company.realm_id},
            )
        return
    keys = sorted(company.partition_key for company in ready)
    runs = -(-len(keys) // TOGETHER)
    for number in range(runs):
        companies = keys[number::runs]
        yield dg.RunRequest(
            run_key=f"{tick:%Y-%m-%dT%H}:{number + 1} of {runs}",
            tags={"quickbooks/companies": str(len(companies))},
            run_config={"ops": {quickbooks_tables.op.name: {"config": {"companies": companies}}}},
        )


@dg.schedule(
    job=reconcile,
    cron_schedule="35 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compare every connected company with QuickBooks; on Sundays look at a sample of its records too.",
)
def daily(
    context: dg.ScheduleEvaluationContext, books: dg.ResourceParam[Books]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for one comparison per company that is connected and has had its first load."""
    ready = _ready(context, books)
    if not isinstance(ready, dg.SkipReason) and (budget := books.budget()).is_spent:
        ready = dg.SkipReason(f"No comparison today. {budget}")
    if isinstance(ready, dg.SkipReason):
        yield ready
        return
    tick = context.scheduled_execution_time
    sample = SUNDAY_SAMPLE if tick.isoweekday() == 7 else 0
    for company in ready:
        yield dg.RunRequest(
            run_key=f"{company.realm_id}:{tick:%Y-%m-%d}",
            partition_key=company.partition_key,
            tags={"quickbooks/realm": company.realm_id},
            run_config={"ops": {reconciliations.op.name: {"config": {"sample": sample}}}},
        )


def _ready(context: dg.ScheduleEvaluationContext, books: Books) -> list[Company] | dg.SkipReason:
    """Return the companies that can be asked about now, or why there are none."""
    try:
        ready = [company for company in books.connected() if company.is_active and company.initial_load_at]
    except PipelineError as error:
        return dg.SkipReason(str(error))
    # The companies sensor adds a partition within a minute; a run for one that is missing would stop all the others.
    known = set(context.instance.get_dynamic_partitions(str(COMPANIES.name)))
    ready = [company for company in ready if company.partition_key in known]
    return ready or dg.SkipReason("No company is connected and loaded yet.")
