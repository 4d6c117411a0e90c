"""What a token chain has to remember: whose it is, what came before, how often it was refused, when to try again.

Revision ID: 0007
"""

from __future__ import annotations

from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.execute(
        """
        ALTER TABLE quickbooks.connections
            ADD COLUMN installation text,
            ADD COLUMN chain text,
            ADD COLUMN prev_refresh_token text,
            ADD COLUMN prev_generation bigint,
            ADD COLUMN prev_superseded_at timestamptz,
            ADD COLUMN refresh_hard_expires_at timestamptz,
            ADD COLUMN failures integer NOT NULL DEFAULT 0,
            ADD COLUMN refusals integer NOT NULL DEFAULT 0,
            ADD COLUMN suspect_since timestamptz,
            ADD COLUMN retry_at timestamptz;
        UPDATE quickbooks.connections SET status = 'needs_reauth' WHERE status = 'needs_reauthorization'
        """
    )
    context.config.attributes["report"].append("Gave quickbooks.connections the columns of the token chain.")
