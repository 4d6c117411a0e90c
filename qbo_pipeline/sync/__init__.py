"""QuickBooks -> rows -> dlt -> Postgres: the flow that keeps a company's tables in step with its books.

dlt reads these settings when it is first imported, so they are made here, before any module below imports it.
"""

import os

os.environ.update(
    RUNTIME__DLTHUB_TELEMETRY="false",
    # dlt logs whole rows when Postgres refuses them; what failed is in our own errors, without the rows.
    RUNTIME__LOG_LEVEL="CRITICAL",
    # Ctrl-C and Dagster's cancel are ours to handle; dlt would turn them into a failed load.
    RUNTIME__INTERCEPT_SIGNALS="false",
    LOAD__TRUNCATE_STAGING_DATASET="true",
    LOAD__WORKERS="4",
    NORMALIZE__WORKERS="1",
)
