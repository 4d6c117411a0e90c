"""One writer per company: a lease with an end and an epoch takes the place of a lock held by a session.

Revision ID: 0005
"""

from __future__ import annotations

from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE quickbooks.company_leases (
            realm_id varchar(50) PRIMARY KEY,
            holder text,
            epoch bigint NOT NULL DEFAULT 0,
            acquired_at timestamptz,
            until timestamptz
        )
        """
    )
    context.config.attributes["report"].append("Created quickbooks.company_leases.")
