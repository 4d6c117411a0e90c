"""Entities a company does not have are noted, so that they are asked for once a week and not every hour.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE quickbooks.unavailable_entities (
            realm_id varchar(50),
            entity text,
            reason text NOT NULL,
            asked_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (realm_id, entity)
        )
        """
    )
    context.config.attributes["report"].append("Created quickbooks.unavailable_entities.")
