"""The watcher of the inbox: what QuickBooks' webhooks told becomes one small run per company."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.defs.jobs import sync
from qbo_pipeline.defs.keys import table_key
from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.defs.sensors import UNFINISHED
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.inbox import Due

#: Tag of runs that act on webhooks.
_WEBHOOK = {"quickbooks/webhook": "true"}


@dg.sensor(
    job=sync,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Read what QuickBooks' webhooks tell of: one run per company, for the tables they name.",
)
def webhook_inbox(
    context: dg.SensorEvaluationContext, books: dg.ResourceParam[Books]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for a run for every company with something to act on, unless one is under way.

    What waits is in the inbox alone. The cursor only shows the latest event that was seen: numbers are given before
    they are committed, so whoever went by them would pass over one that came late.
    """
    try:
        due = books.inbox.due()
        if not due:
            return dg.SkipReason("Nothing waits.")
        if (budget := books.budget()).is_spent:
            return dg.SkipReason(str(budget))
        companies = {each.realm_id: each for each in books.connected() if each.is_active and each.initial_load_at}
    except PipelineError as error:
        return dg.SkipReason(str(error))
    known = set(context.instance.get_dynamic_partitions(str(COMPANIES.name)))
    ready = [(each, companies[each.realm_id]) for each in due if each.realm_id in companies]
    ready = [(each, company) for each, company in ready if company.partition_key in known]
    requests = list(_requests(ready, _busy(context)))
    cursor = str(max(each.latest for each in due))
    if not requests:
        return dg.SensorResult(
            skip_reason="Runs for what waits are under way, or wait for a first load.", cursor=cursor
        )
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _busy(context: dg.SensorEvaluationContext) -> set[str]:
    runs = context.instance.get_runs(dg.RunsFilter(tags=_WEBHOOK, statuses=UNFINISHED))
    return {run.tags["quickbooks/realm"] for run in runs}


def _requests(ready: list[tuple[Due, Company]], busy: set[str]) -> Iterator[dg.RunRequest]:
    now = datetime.now(UTC)
    for due, company in ready:
        if company.realm_id in busy:
            continue  # its next run takes up what came meanwhile
        entities = [entity_named(name) for name in due.entities]
        yield dg.RunRequest(
            # The minute: a run that was killed before it could take anything up must not be the last one.
            run_key=f"webhook:{company.realm_id}:{due.latest}:{now:%Y-%m-%dT%H:%M}",
            partition_key=key(company.partition_key, current_month(now)),
            asset_selection=[table_key(table) for entity in entities for table in entity.tables],
            tags={"quickbooks/realm": company.realm_id, **_WEBHOOK},
            run_config={"ops": {"sync_company": {"config": {"mode": "webhook"}}}},
        )
