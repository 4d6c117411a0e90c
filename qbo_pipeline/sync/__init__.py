"""QuickBooks -> rows -> dlt -> Postgres: the flow that keeps a company's tables in step with its books."""
