"""The jobs: sync a company's tables, and renew access tokens."""

import dagster as dg

from qbo_pipeline.defs.companies import tokens
from qbo_pipeline.defs.tables import quickbooks_tables

sync = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.assets(quickbooks_tables),
    description="Bring one company's tables up to date.",
    executor_def=dg.in_process_executor,
)

refresh_tokens = dg.define_asset_job(
    "refresh_tokens",
    selection=dg.AssetSelection.assets(tokens),
    description="Renew the access tokens that are due; the run is the evidence.",
    executor_def=dg.in_process_executor,
)
