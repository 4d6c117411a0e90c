"""What QuickBooks' webhooks told has an inbox, so that nothing told is lost while nobody acts on it.

Revision ID: 0008
"""

from __future__ import annotations

from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, with an index for each question it is asked."""
    op.execute(
        """
        CREATE TABLE quickbooks.webhook_events (
            event_key text PRIMARY KEY,
            seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
            realm_id varchar(50),
            entity text,
            record_id text,
            operation text,
            happened_at timestamptz,
            deleted_id text,
            raw bytea NOT NULL,
            status text NOT NULL,
            note text,
            attempts integer NOT NULL DEFAULT 0,
            failures integer NOT NULL DEFAULT 0,
            received_at timestamptz NOT NULL DEFAULT now(),
            due_at timestamptz NOT NULL DEFAULT now(),
            processed_at timestamptz
        );
        CREATE INDEX idx_webhook_events_waiting ON quickbooks.webhook_events (realm_id, due_at)
            WHERE status = 'waiting';
        CREATE INDEX idx_webhook_events_dead ON quickbooks.webhook_events (received_at) WHERE status = 'dead';
        CREATE INDEX idx_webhook_events_processed ON quickbooks.webhook_events (processed_at)
        """
    )
    context.config.attributes["report"].append("Created quickbooks.webhook_events.")
