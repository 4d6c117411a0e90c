"""Everything Dagster loads, as a table of contents.

Loads with an empty environment: settings are read and connections opened only when something runs.
"""

from __future__ import annotations

import dagster as dg

from qbo_pipeline.defs.checks import book_checks
from qbo_pipeline.defs.companies import connected_companies
from qbo_pipeline.defs.inbox import webhook_inbox
from qbo_pipeline.defs.jobs import reconcile, refresh_tokens, sync
from qbo_pipeline.defs.reconcile import reconciliations
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.defs.schedules import daily, hourly
from qbo_pipeline.defs.sensors import alert, companies, token_freshness
from qbo_pipeline.defs.tables import archive_spec, quickbooks_tables, source_specs, view_specs
from qbo_pipeline.defs.tokens import tokens
from qbo_pipeline.secret import keep_secrets_out_of_logs

keep_secrets_out_of_logs()

defs = dg.Definitions(
    assets=[
        *source_specs(),
        quickbooks_tables,
        *view_specs(),
        archive_spec(),
        connected_companies,
        tokens,
        reconciliations,
    ],
    asset_checks=[book_checks],
    jobs=[sync, reconcile, refresh_tokens],
    schedules=[hourly, daily],
    sensors=[companies, webhook_inbox, token_freshness, alert],
    resources={"books": Books()},
    # One process per run: the default starts one per step, at 26 times the CPU of the run itself.
    executor=dg.in_process_executor,
)
