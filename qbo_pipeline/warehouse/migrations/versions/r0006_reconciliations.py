"""What every comparison of the warehouse with QuickBooks found has a table.

Revision ID: 0006
"""

from __future__ import annotations

from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE quickbooks.reconciliations (
            realm_id varchar(50),
            entity text,
            run_id text,
            checked_at timestamptz NOT NULL DEFAULT now(),
            quickbooks bigint,
            warehouse bigint NOT NULL,
            missing bigint NOT NULL,
            extra bigint NOT NULL,
            stale bigint NOT NULL,
            repaired boolean NOT NULL,
            status text NOT NULL,
            note text,
            PRIMARY KEY (realm_id, entity, run_id)
        );
        CREATE INDEX idx_reconciliations_latest ON quickbooks.reconciliations (realm_id, entity, checked_at)
        """
    )
    context.config.attributes["report"].append("Created quickbooks.reconciliations.")
