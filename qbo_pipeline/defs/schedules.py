"""The hourly sync: one run per connected company, on the month we are in."""

from collections.abc import Iterator

import dagster as dg

from qbo_pipeline.defs.jobs import sync
from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.errors import PipelineError


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
    """Ask for one run per company that is connected and has had its first load."""
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
        waiting = [company for company in connected if company.is_active and company.initial_load_at]
        yield dg.SkipReason(str(books.budget()) if waiting else "No company is connected and loaded yet.")
    tick = context.scheduled_execution_time
    for company in ready:
        yield dg.RunRequest(
            run_key=f"{company.realm_id}:{tick:%Y-%m-%dT%H}",
            partition_key=key(company.partition_key, current_month(tick)),
            tags={"quickbooks/realm": company.realm_id},
        )
