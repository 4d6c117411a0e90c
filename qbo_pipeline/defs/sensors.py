"""Three watchers: of new companies, which get partitions and a first load; of ageing tokens; of runs that fail."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from qbo_pipeline.defs.jobs import refresh_tokens, sync
from qbo_pipeline.defs.partitions import COMPANIES, FIRST_MONTH, current_month, key
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.warehouse.companies import Company

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    job=sync,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Give newly connected companies their partitions, and load their books for the first time.",
)
def companies(context: dg.SensorEvaluationContext, books: dg.ResourceParam[Books]) -> dg.SensorResult | dg.SkipReason:
    """Partitions of disconnected companies stay: their history is still worth looking at."""
    try:
        connected = books.connected()
    except PipelineError as error:
        return dg.SkipReason(str(error))
    known = set(context.instance.get_dynamic_partitions(str(COMPANIES.name)))
    new = [company.partition_key for company in connected if company.partition_key not in known]
    first_loads = [
        company
        for company in connected
        if company.is_active and company.initial_load_at is None and not _is_running(context, company)
    ]
    return dg.SensorResult(
        dynamic_partitions_requests=[COMPANIES.build_add_request(new)] if new else [],
        run_requests=[first_load_request(company) for company in first_loads],
    )


def first_load_request(company: Company) -> dg.RunRequest:
    """Ask for one run over every month of a company, so that the partition colours are honest from the start.

    One that fails is tried again in the next hour.
    """
    return dg.RunRequest(
        run_key=f"first-load:{company.realm_id}:{datetime.now(UTC):%Y-%m-%dT%H}",
        tags={**every_month(company), "quickbooks/realm": company.realm_id},
        run_config=FULL_SYNC,
    )


def _is_running(context: dg.SensorEvaluationContext, company: Company) -> bool:
    filters = dg.RunsFilter(tags={"quickbooks/realm": company.realm_id}, statuses=UNFINISHED)
    return bool(context.instance.get_runs(filters, limit=1))


#: Run config of a sync that reads everything.
FULL_SYNC = {"ops": {"sync_company": {"config": {"mode": "full"}}}}


def every_month(company: Company) -> dict[str, str]:
    """Return the run tags that select all months of a company, from its first to the one we are in.

    Not from further back: Dagster notes every table for every month, and a decade of empty ones takes minutes.
    """
    now = current_month(datetime.now(UTC))
    first = f"{company.books_since:%Y-%m-01}" if company.books_since else FIRST_MONTH
    return {
        ASSET_PARTITION_RANGE_START_TAG: str(key(company.partition_key, min(max(first, FIRST_MONTH), now))),
        ASSET_PARTITION_RANGE_END_TAG: str(key(company.partition_key, now)),
    }


@dg.sensor(
    job=refresh_tokens,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Renew access tokens older than 50 minutes, or with less than 10 minutes left.",
)
def token_freshness(
    context: dg.SensorEvaluationContext, books: dg.ResourceParam[Books]
) -> dg.RunRequest | dg.SkipReason:
    """Only look and ask for a run: the tick has little time, and the run leaves evidence in the UI.

    A company whose refresh failed waits for its next attempt; the others do not wait with it.
    """
    try:
        due = books.due_for_refresh()
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if not due:
        return dg.SkipReason("Every access token is fresh, or its next attempt has to wait.")
    filters = dg.RunsFilter(job_name=refresh_tokens.name, statuses=UNFINISHED)
    if context.instance.get_runs(filters, limit=1):
        return dg.SkipReason("A refresh is under way.")
    return dg.RunRequest(tags={"quickbooks/companies": ", ".join(company.partition_key for company in due)})


@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tell people of a run that failed, where QBO_ALERT_WEBHOOK_URL says.",
)
def alert(context: dg.RunFailureSensorContext, books: dg.ResourceParam[Books]) -> dg.SkipReason | None:
    """Say which run, and what to do about any connection; the reason itself stays in Dagster."""
    run = context.dagster_run
    context.log.warning("Run %s of %s failed.", run.run_id, run.job_name)
    try:
        told = books.alert(run.job_name, run.run_id)
    except PipelineError as error:
        return dg.SkipReason(str(error))
    return None if told else dg.SkipReason("QBO_ALERT_WEBHOOK_URL is not set, or did not take it.")
