"""Deleted records have an archive; how often an entity is asked for by itself is remembered.

Revision ID: 0004
"""

from __future__ import annotations

from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute(
        """
        CREATE TABLE quickbooks.deleted_records (
            realm_id varchar(50),
            entity text,
            id text,
            deleted_at timestamptz,
            detected_at timestamptz NOT NULL DEFAULT now(),
            detected_by text NOT NULL,
            record jsonb,
            PRIMARY KEY (realm_id, entity, id)
        );
        CREATE TABLE quickbooks.polls (
            realm_id varchar(50),
            entity text,
            asked_at timestamptz NOT NULL,
            changed_at timestamptz,
            PRIMARY KEY (realm_id, entity)
        )
        """
    )
    context.config.attributes["report"].append("Created quickbooks.deleted_records and quickbooks.polls.")
