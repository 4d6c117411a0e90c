"""The jobs: sync a company's tables, or those of many; compare them with QuickBooks; renew access tokens."""

import dagster as dg

from qbo_pipeline.defs.checks import book_checks
from qbo_pipeline.defs.reconcile import reconciliations
from qbo_pipeline.defs.tables import quickbooks_tables
from qbo_pipeline.defs.tokens import tokens

sync = dg.define_asset_job(
    "sync",
    # Its own checks only: those of the whole books belong to the daily comparison, not to every hour.
    selection=dg.AssetSelection.assets(quickbooks_tables).without_checks()
    | dg.AssetSelection.checks(*quickbooks_tables.check_keys),
    description="Bring one company's tables up to date.",
    executor_def=dg.in_process_executor,
)

reconcile = dg.define_asset_job(
    "reconcile",
    selection=dg.AssetSelection.assets(reconciliations) | dg.AssetSelection.checks(book_checks),
    description="Compare one company with QuickBooks, repair what differs, then check the books of all.",
    executor_def=dg.in_process_executor,
)

refresh_tokens = dg.define_asset_job(
    "refresh_tokens",
    selection=dg.AssetSelection.assets(tokens),
    description="Renew the access tokens that are due; the run is the evidence.",
    executor_def=dg.in_process_executor,
)
