"""Running a sync through Dagster from this very process, so that the UI has its history without a daemon."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.defs.sensors import every_month
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.settings import EVENT_BATCHES
from qbo_pipeline.warehouse.companies import Company


def sync_now(defs: dg.Definitions, books: Books, company: Company, home: Path) -> None:
    """Sync a company in this process: everything the first time (all its months), what changed afterwards.

    ``home`` is Dagster's home folder. Raises PipelineError when the run fails; its log is in the UI.
    """
    os.environ.update(EVENT_BATCHES, DAGSTER_HOME=str(home), DAGSTER_PG_URL=books.dagster_url)
    first = company.initial_load_at is None
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.get() as instance:
        # A pool of connections: a first load plans every table for every month, and Dagster opens two for each.
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=5)
        instance.add_dynamic_partitions(str(COMPANIES.name), [company.partition_key])
        _end_killed_runs(instance, company)
        result = defs.resolve_job_def("sync").execute_in_process(
            instance=instance,
            resources={"books": books},
            run_config={**quiet, **_sync_config(books, first=first)},
            partition_key=None if first else key(company.partition_key, current_month(datetime.now(UTC))),
            tags={
                "quickbooks/realm": company.realm_id,
                _HERE: "true",
                **(every_month(company) if first else {}),
            },
            raise_on_error=False,
        )
    if not result.success:
        failures = "; ".join(_said(event) for event in result.all_events if event.is_step_failure)
        raise PipelineError(f"The sync of {company.name} failed: {failures or 'see its run in Dagster'}")


def _sync_config(books: Books, *, first: bool) -> dict[str, Any]:
    """Read everything the first time. A local QuickBooks begins anew each time: what it lacks is gone."""
    mode = {"mode": "full"} if first else {}
    believe = {"believe_deletions": True} if books.settings.environment == "local" else {}
    return {"ops": {"sync_company": {"config": {**mode, **believe}}}}


def _said(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


#: Tag of runs that happen in the process that asked for them: nobody else can notice that such a run was killed.
_HERE = "quickbooks/in_process"


def _end_killed_runs(instance: dg.DagsterInstance, company: Company) -> None:
    """Mark runs of ours that never ended as failed, or their company would wait for them for ever."""
    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED]
    filters = dg.RunsFilter(tags={_HERE: "true", "quickbooks/realm": company.realm_id}, statuses=statuses)
    for run in instance.get_runs(filters):
        instance.report_run_failed(run, "The process of this run was killed.")
