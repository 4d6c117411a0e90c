"""A database as the old Node service left it: its own DDL, rows, and things that hang on its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

SEED = """
CREATE SCHEMA quickbooks;
CREATE TABLE quickbooks.companies (
    id varchar(50) PRIMARY KEY, name varchar(255) NOT NULL,
    created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now(), last_updated timestamp DEFAULT now()
);
CREATE TABLE quickbooks.tokens (
    id bigint PRIMARY KEY, company_id varchar(50) NOT NULL, access_token text NOT NULL, refresh_token text,
    token_type varchar(50) DEFAULT 'Bearer', scope text, expires_at timestamp, refresh_token_expires_at timestamp,
    realm_id varchar(50), base_url varchar(500), is_active boolean DEFAULT true, created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(), last_updated timestamp DEFAULT now()
);
CREATE TABLE quickbooks.customers (
    id varchar(50) NOT NULL, company_id varchar(50) NOT NULL REFERENCES quickbooks.companies ON DELETE CASCADE,
    display_name varchar(255) NOT NULL, email varchar(255), balance double precision DEFAULT 0,
    active boolean DEFAULT true, raw jsonb, created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now(),
    last_updated timestamp DEFAULT now(), PRIMARY KEY (company_id, id), CHECK (display_name <> '')
);
CREATE INDEX idx_customers_name ON quickbooks.customers (lower(display_name));
CREATE TABLE quickbooks.items (
    id varchar(50) PRIMARY KEY, company_id varchar(50) REFERENCES quickbooks.companies, name varchar(255),
    unit_price numeric(12, 2), raw jsonb, last_updated timestamp DEFAULT now()
);
CREATE TABLE quickbooks.invoices (
    row_id serial PRIMARY KEY, id varchar(50) NOT NULL, company_id varchar(50) NOT NULL, customer_id varchar(50),
    doc_number varchar(50), txn_date date, total_amt numeric(15, 2), line_items jsonb, last_updated timestamp,
    UNIQUE (company_id, id),
    FOREIGN KEY (company_id, customer_id) REFERENCES quickbooks.customers (company_id, id)
);
CREATE TABLE quickbooks.estimates (LIKE quickbooks.invoices INCLUDING ALL);
CREATE TABLE quickbooks.invoice_reminders (
    invoice int REFERENCES quickbooks.invoices (row_id), sent_at timestamp DEFAULT now()
);
CREATE SEQUENCE quickbooks.sync_number;
CREATE VIEW quickbooks.open_invoices AS
    SELECT c.display_name, i.total_amt FROM quickbooks.invoices i
    JOIN quickbooks.customers c ON c.company_id = i.company_id AND c.id = i.customer_id;
CREATE FUNCTION quickbooks.touch() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.last_updated := ''2026-05-05''; RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON quickbooks.invoices FOR EACH ROW EXECUTE FUNCTION quickbooks.touch();

INSERT INTO quickbooks.companies (id, name) VALUES ('c1', 'Craig''s Landscaping'), ('c2', 'Ed''s Diner');
INSERT INTO quickbooks.tokens (id, company_id, access_token, refresh_token, realm_id, base_url, updated_at) VALUES
    (1, 'c1', 'a1', 'r1', '9130', 'https://sandbox-quickbooks.api.intuit.com', '2026-01-01'),
    (2, 'c1', 'a2', 'r2', '9130', 'https://sandbox-quickbooks.api.intuit.com', '2026-02-01'),
    (3, 'c2', 'a3', 'r3', '9140', 'https://sandbox-quickbooks.api.intuit.com', '2026-02-01');
INSERT INTO quickbooks.customers (id, company_id, display_name, balance)
    SELECT n::text, 'c1', 'Customer ' || n, n * 1.5 FROM generate_series(1, 40) n;
INSERT INTO quickbooks.items (id, company_id, name) SELECT n::text, 'c1', 'Item ' || n FROM generate_series(1, 12) n;
INSERT INTO quickbooks.invoices (id, company_id, customer_id, total_amt)
    SELECT n::text, 'c1', (n % 40 + 1)::text, n FROM generate_series(1, 100) n;
INSERT INTO quickbooks.invoice_reminders (invoice) SELECT row_id FROM quickbooks.invoices WHERE row_id <= 5;
"""

#: What the old service has under names of ours, and how many rows.
COUNTS = {"customers": 40, "estimates": 0, "invoices": 100, "items": 12}


def rows(engine: sa.Engine, question: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(question))]


def run(engine: sa.Engine, statements: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statements.replace("%", "%%"))


def count(engine: sa.Engine, table: str) -> int:
    return int(rows(engine, f"SELECT count(*) FROM {table}")[0][0])


def everything(engine: sa.Engine) -> dict[str, Sequence[Any]]:
    """Return the whole database but Postgres' own: every object, definition, comment, right and row."""
    ours = "n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'"
    found: dict[str, Sequence[Any]] = {
        "schemas": rows(engine, f"SELECT nspname, nspacl::text FROM pg_namespace n WHERE {ours} ORDER BY 1"),
        "relations": rows(
            engine,
            "SELECT n.nspname, c.relname, c.relkind::text, c.relacl::text, obj_description(c.oid), c.oid "
            f"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours} ORDER BY 1, 2",
        ),
        "columns": rows(
            engine,
            "SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text, "
            "pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum) FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE {ours} ORDER BY 1, 2",
        ),
        "indexes": rows(engine, "SELECT schemaname, indexdef FROM pg_indexes ORDER BY 1, 2"),
        "constraints": rows(
            engine,
            "SELECT r.conrelid, r.conname, pg_get_constraintdef(r.oid) FROM pg_constraint r "
            f"JOIN pg_namespace n ON n.oid = r.connamespace WHERE {ours} ORDER BY 1, 2",
        ),
    }
    for schema, name, kind, *_ in found["relations"]:
        if kind in "rvmS":
            cells = "last_value, is_called" if kind == "S" else "t::text"
            found[f"{schema}.{name}"] = rows(engine, f'SELECT {cells} FROM "{schema}"."{name}" t ORDER BY 1')
    return found
