"""The tables we own in schema ``quickbooks``; the tables of QuickBooks entities come from the catalogue instead.

``companies`` and ``tokens`` have the shape that other programs already read and write, to the letter: their timestamps
have no time zone and are always UTC. Everything of our own has one. What is described here is made by ``migrations``
(a test keeps the two in step); the comments go to Postgres from here, for whoever looks with ``\\d+``.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from qbo_pipeline.warehouse.sql import literal

SCHEMA = "quickbooks"

metadata = sa.MetaData(schema=SCHEMA)

_NOW = sa.text("now()")
_ZERO = sa.text("0")


def _stamps() -> list[sa.Column[dt.datetime]]:
    names = ("created_at", "updated_at", "last_updated")
    return [sa.Column(name, sa.TIMESTAMP(), server_default=_NOW) for name in names]


companies = sa.Table(
    "companies",
    metadata,
    sa.Column("id", sa.String(50), primary_key=True, comment="What tokens.company_id points to; the realm id."),
    sa.Column("name", sa.String(255), nullable=False),
    *_stamps(),
    comment="QuickBooks companies, one row each. Times are UTC.",
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("company_id", sa.String(50), nullable=False, comment="companies.id"),
    sa.Column("access_token", sa.Text, nullable=False, comment="Bearer token for the API; lives an hour."),
    sa.Column("refresh_token", sa.Text, comment="Renews the pair; sealed: whoever used it elsewhere would end it."),
    sa.Column("token_type", sa.String(50), server_default=sa.text("'Bearer'")),
    sa.Column("scope", sa.Text),
    sa.Column("expires_at", sa.TIMESTAMP(), comment="When access_token ends, UTC."),
    sa.Column("refresh_token_expires_at", sa.TIMESTAMP(), comment="When refresh_token ends, UTC."),
    sa.Column("realm_id", sa.String(50), comment="The company, as QuickBooks' API calls it."),
    sa.Column("base_url", sa.String(500), comment="Root of the API: production, sandbox or a local QuickBooks."),
    sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), comment="False: a person must connect again."),
    *_stamps(),
    sa.Index("idx_tokens_realm", "realm_id"),
    sa.Index("idx_tokens_active", "is_active"),
    sa.Index("uq_tokens_realm", "realm_id", unique=True),
    comment="The token pair of each company; at most one row per realm. Times are UTC.",
)

connections = sa.Table(
    "connections",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True, comment="The company, as QuickBooks' API calls it."),
    sa.Column("environment", sa.Text, nullable=False, comment="production, sandbox or local; never changes."),
    sa.Column("partition_key", sa.Text, nullable=False, comment="Its key in Dagster; frozen at first connect."),
    sa.Column(
        "status",
        sa.Text,
        nullable=False,
        server_default=sa.text("'active'"),
        comment="active, suspect (refused of late), needs_reauth (a person must connect again) or disconnected.",
    ),
    sa.Column("connected_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("books_since", sa.Date, comment="When the company was made in QuickBooks: its first month in Dagster."),
    sa.Column("initial_load_at", sa.TIMESTAMP(timezone=True), comment="When the first full sync finished."),
    sa.Column(
        "generation",
        sa.BigInteger,
        nullable=False,
        server_default=_ZERO,
        comment="Plus one with every token pair stored: the version that compare-and-set compares.",
    ),
    sa.Column("refreshed_at", sa.TIMESTAMP(timezone=True), comment="When the current pair was asked for."),
    sa.Column("lease_owner", sa.Text, comment="Who is refreshing right now."),
    sa.Column(
        "lease_epoch",
        sa.BigInteger,
        nullable=False,
        server_default=_ZERO,
        comment="Plus one with every claim: a late holder is recognised by its old number.",
    ),
    sa.Column("lease_until", sa.TIMESTAMP(timezone=True), comment="After this another may claim."),
    sa.Column("intent_at", sa.TIMESTAMP(timezone=True), comment="Set before the token is presented: outcome unknown."),
    sa.Column("last_error", sa.Text, comment="Why the latest refresh failed; empty once one has worked."),
    sa.Column("last_intuit_tid", sa.Text, comment="Intuit's id of the latest answer, for their support."),
    sa.Column("installation", sa.Text, comment="Who may refresh; any other, such as a copy of this database, may not."),
    sa.Column("chain", sa.Text, comment="All pairs that descend from one consent; a new consent has another."),
    sa.Column("prev_refresh_token", sa.Text, comment="The refresh token before this one, sealed."),
    sa.Column("prev_generation", sa.BigInteger, comment="The generation it was sealed under."),
    sa.Column("prev_superseded_at", sa.TIMESTAMP(timezone=True), comment="When it was replaced."),
    sa.Column("refresh_hard_expires_at", sa.TIMESTAMP(timezone=True), comment="End of the consent's five years."),
    sa.Column("failures", sa.Integer, nullable=False, server_default=_ZERO, comment="In a row, for passing reasons."),
    sa.Column("refusals", sa.Integer, nullable=False, server_default=_ZERO, comment="In a row: invalid_grant."),
    sa.Column("suspect_since", sa.TIMESTAMP(timezone=True), comment="When the first of them came."),
    sa.Column("retry_at", sa.TIMESTAMP(timezone=True), comment="When to try again after one of either."),
    sa.UniqueConstraint("partition_key", name="uq_connections_partition_key"),
    comment="What this pipeline knows of each company it syncs, beyond companies and tokens.",
)

tokens_archive = sa.Table(
    "tokens_archive",
    metadata,
    sa.Column("archive_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("token_id", sa.BigInteger, comment="tokens.id, as it was."),
    sa.Column("realm_id", sa.String(50)),
    sa.Column("token", JSONB, nullable=False, comment="The whole row, also columns that other programs added."),
    sa.Column("archived_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("reason", sa.Text, nullable=False, comment="Why the row left tokens."),
    comment="Rows that had to leave tokens, whole: nothing is ever dropped.",
)

sync_runs = sa.Table(
    "sync_runs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True, comment="Dagster's run id, or the command line's own."),
    sa.Column("realm_id", sa.String(50), nullable=False),
    sa.Column("trigger", sa.Text, nullable=False, comment="What asked for it: schedule, webhook, person …"),
    sa.Column("mode", sa.Text, nullable=False, comment="incremental, full, reconcile, or created DAY to DAY."),
    sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("finished_at", sa.TIMESTAMP(timezone=True), comment="Empty while running, or when the run was killed."),
    sa.Column("status", sa.Text, nullable=False, comment="running, succeeded, partial or failed."),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default=_ZERO, comment="Rows loaded."),
    sa.Column("calls", sa.Integer, nullable=False, server_default=_ZERO, comment="API calls spent."),
    sa.Column(
        "detail",
        JSONB,
        nullable=False,
        server_default=sa.text("'{}'::jsonb"),
        comment="Records per entity that was read.",
    ),
    sa.Column("error", sa.Text),
    sa.Index("idx_sync_runs_realm", "realm_id", "started_at"),
    comment="One row per sync of one company.",
)

api_calls = sa.Table(
    "api_calls",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True, comment="Empty for calls outside a sync."),
    sa.Column("month", sa.Date, primary_key=True, comment="First day of the month, UTC."),
    sa.Column("kind", sa.Text, primary_key=True, comment="query, read, cdc …"),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Index("idx_api_calls_month", "month"),
    comment="The ledger of QuickBooks API calls: Intuit meters reads by the month.",
)

unavailable_entities = sa.Table(
    "unavailable_entities",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True, comment="The entity, as QuickBooks calls it."),
    sa.Column("reason", sa.Text, nullable=False, comment="What QuickBooks answered."),
    sa.Column("asked_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    comment="Entities a company does not have (its plan, its region); asked for again after a week.",
)

schema_drift = sa.Table(
    "schema_drift",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True, comment="The entity, as QuickBooks calls it."),
    sa.Column("kind", sa.Text, primary_key=True, comment="unknown field, unusual value or unknown choice."),
    sa.Column("field", sa.Text, primary_key=True, comment="Where in the record; for a choice, and the value met."),
    sa.Column("records", sa.BigInteger, nullable=False, comment="In how many readings of records and lines."),
    sa.Column("first_seen_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("last_seen_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    comment="What QuickBooks sent that the catalogue does not know; its values are in the tables' extra.",
)

deleted_records = sa.Table(
    "deleted_records",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True, comment="QuickBooks company the record belonged to."),
    sa.Column("entity", sa.Text, primary_key=True, comment="The entity, as QuickBooks calls it."),
    sa.Column("id", sa.Text, primary_key=True, comment="The record's id."),
    sa.Column("deleted_at", sa.TIMESTAMP(timezone=True), comment="When, as QuickBooks says; empty if it does not."),
    sa.Column(
        "detected_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW, comment="When we noticed."
    ),
    sa.Column("detected_by", sa.Text, nullable=False, comment="cdc, full read, range read or read by id."),
    sa.Column("record", JSONB, comment="Its last image, in QuickBooks' JSON; empty if it was never seen alive."),
    comment="Records QuickBooks no longer has; they are in no other table.",
)

polls = sa.Table(
    "polls",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True, comment="An entity that change data capture does not cover."),
    sa.Column("asked_at", sa.TIMESTAMP(timezone=True), nullable=False, comment="When it was last asked for."),
    sa.Column("changed_at", sa.TIMESTAMP(timezone=True), comment="When that last brought something."),
    comment="When entities with a rhythm of their own were asked for, and found changed.",
)


company_leases = sa.Table(
    "company_leases",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True),
    sa.Column("holder", sa.Text, comment="Who writes the company's books, or wrote them last: what, where, process."),
    sa.Column(
        "epoch",
        sa.BigInteger,
        nullable=False,
        server_default=_ZERO,
        comment="Plus one with every claim: a late holder is recognised by its old number and can write nothing.",
    ),
    sa.Column("acquired_at", sa.TIMESTAMP(timezone=True), comment="When the holder claimed the company."),
    sa.Column("until", sa.TIMESTAMP(timezone=True), comment="After this another may claim. Empty: nobody holds it."),
    comment="Who may write the books of a company: one row each, renewed while a sync runs.",
)

reconciliations = sa.Table(
    "reconciliations",
    metadata,
    sa.Column("realm_id", sa.String(50), primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True, comment="The entity, as QuickBooks calls it."),
    sa.Column("run_id", sa.Text, primary_key=True, comment="The run that compared, as in sync_runs."),
    sa.Column("checked_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("quickbooks", sa.BigInteger, comment="Records QuickBooks counts; empty where it cannot count them."),
    sa.Column("warehouse", sa.BigInteger, nullable=False, comment="Rows of ours, after any repair."),
    sa.Column("missing", sa.BigInteger, nullable=False, comment="Records we did not have before the repair."),
    sa.Column("extra", sa.BigInteger, nullable=False, comment="Rows that QuickBooks no longer had."),
    sa.Column("stale", sa.BigInteger, nullable=False, comment="Rows that were not as QuickBooks has them."),
    sa.Column("repaired", sa.Boolean, nullable=False, comment="Whether a full read mended something."),
    sa.Column("status", sa.Text, nullable=False, comment="equal, repaired, differs, not counted or failed."),
    sa.Column("note", sa.Text, comment="Why, in a sentence."),
    sa.Index("idx_reconciliations_latest", "realm_id", "entity", "checked_at"),
    comment="What every comparison with QuickBooks found, per entity; kept for 90 days.",
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("event_key", sa.Text, primary_key=True, comment="The same for every delivery: a CloudEvent's id."),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False, comment="Order of arrival, roughly."),
    sa.Column("realm_id", sa.String(50), comment="The company it is about, where it names one."),
    sa.Column("entity", sa.Text, comment="The entity, as the catalogue calls it; empty where it is none of ours."),
    sa.Column("record_id", sa.Text, comment="The record that changed."),
    sa.Column("operation", sa.Text, comment="created, updated, deleted, merged, voided or emailed."),
    sa.Column("happened_at", sa.TIMESTAMP(timezone=True), comment="When, as QuickBooks says."),
    sa.Column("deleted_id", sa.Text, comment="Of a merge: the record that is no more."),
    sa.Column("raw", sa.LargeBinary, nullable=False, comment="What was signed, of this event alone."),
    sa.Column("status", sa.Text, nullable=False, comment="waiting, done, ignored (too old) or dead (see note)."),
    sa.Column("note", sa.Text, comment="Why it is dead or waits again, in a sentence."),
    sa.Column("attempts", sa.Integer, nullable=False, server_default=_ZERO, comment="How often a run took it up."),
    sa.Column("failures", sa.Integer, nullable=False, server_default=_ZERO, comment="Those that it is to blame for."),
    sa.Column("received_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW),
    sa.Column("due_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=_NOW, comment="When to act on it."),
    sa.Column("processed_at", sa.TIMESTAMP(timezone=True), comment="When it was done with; what it led to is there."),
    sa.Index("idx_webhook_events_waiting", "realm_id", "due_at", postgresql_where=sa.text("status = 'waiting'")),
    sa.Index("idx_webhook_events_dead", "received_at", postgresql_where=sa.text("status = 'dead'")),
    sa.Index("idx_webhook_events_processed", "processed_at"),
    comment="The inbox of QuickBooks' webhooks; what is done stays for 35 days, so that no event is acted on twice.",
)


def comment_statements(*, owned_only: bool) -> str:
    """Return COMMENT ON statements for all our tables, without those that are other programs' too if ``owned_only``."""
    statements = []
    for table in metadata.sorted_tables:
        if owned_only and table in (companies, tokens):
            continue
        if table.comment:
            statements.append(f"COMMENT ON TABLE {table.fullname} IS {literal(table.comment)}")
        statements += [
            f'COMMENT ON COLUMN {table.fullname}."{column.name}" IS {literal(column.comment)}'
            for column in table.columns
            if column.comment
        ]
    return ";\n".join(statements)
