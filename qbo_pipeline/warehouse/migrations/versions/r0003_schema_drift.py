"""What QuickBooks sends beyond the catalogue is noted, so that it stays visible after the run that met it.

Revision ID: 0003
"""

from __future__ import annotations

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE quickbooks.schema_drift (
            realm_id varchar(50),
            entity text,
            kind text,
            field text,
            records bigint NOT NULL,
            first_seen_at timestamptz NOT NULL DEFAULT now(),
            last_seen_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (realm_id, entity, kind, field)
        )
        """
    )
    context.config.attributes["report"].append("Created quickbooks.schema_drift.")
