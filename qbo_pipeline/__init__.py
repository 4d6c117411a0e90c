"""QuickBooks Online books in your own Postgres."""
