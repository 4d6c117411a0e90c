"""What one would otherwise write to get the same invoices into Postgres; each module is a program of its own."""
