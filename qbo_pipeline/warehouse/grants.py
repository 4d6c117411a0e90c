"""What QuickBooks grants (a token pair), and the one statement that writes it to ``quickbooks.tokens``."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

import sqlalchemy as sa

from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.vault import Bound, Custody


class Grant(Protocol):
    """A token pair as the token endpoint answers it; whatever has these attributes will do."""

    @property
    def access_token(self) -> str: ...

    @property
    def refresh_token(self) -> str | None: ...

    @property
    def expires_in(self) -> int:
        """Seconds the access token lives."""

    @property
    def refresh_expires_in(self) -> int | None:
        """Seconds the refresh token lives (Intuit's ``x_refresh_token_expires_in``)."""

    @property
    def refresh_hard_expires_in(self) -> int | None:
        """Seconds until the end of the consent's five years, where Intuit tells."""

    @property
    def intuit_tid(self) -> str | None:
        """Intuit's id of the answer."""


# The id: other programs give their rows ids of their own choice, so the identity may lag behind them.
_WRITE = """
INSERT INTO quickbooks.tokens AS t (id, company_id, realm_id, access_token, refresh_token, token_type, scope,
    expires_at, refresh_token_expires_at, base_url, is_active, created_at, updated_at, last_updated)
SELECT greatest(nextval(pg_get_serial_sequence('quickbooks.tokens', 'id')),
                (SELECT coalesce(max(id), 0) + 1 FROM quickbooks.tokens)),
    :realm_id, :realm_id, :access_token, :refresh_token, 'Bearer', :scope,
    asked.at + make_interval(secs => :expires_in), asked.at + make_interval(secs => :refresh_expires_in),
    :base_url, true, clock.utc, clock.utc, clock.utc
FROM (SELECT now() AT TIME ZONE 'UTC' AS utc) AS clock,
     (SELECT coalesce(CAST(:asked_at AS timestamptz), now()) AT TIME ZONE 'UTC' AS at) AS asked
ON CONFLICT (realm_id) DO UPDATE SET
    access_token = excluded.access_token,
    refresh_token = excluded.refresh_token,
    token_type = coalesce(t.token_type, excluded.token_type),
    scope = coalesce(excluded.scope, t.scope),
    expires_at = excluded.expires_at,
    refresh_token_expires_at = coalesce(excluded.refresh_token_expires_at, t.refresh_token_expires_at),
    base_url = coalesce(excluded.base_url, t.base_url),
    is_active = true,
    updated_at = excluded.updated_at,
    last_updated = excluded.last_updated
"""


def write_tokens(
    connection: sa.Connection,
    realm_id: str,
    grant: Grant,
    *,
    custody: Custody,
    generation: int,
    refresh_token: str | None,
    base_url: str | None = None,
    scope: str | None = None,
    asked_at: dt.datetime | None = None,
) -> None:
    """Write the pair of one company. Its life counts from ``asked_at`` (the database's clock) or from now.

    ``refresh_token`` is the grant's, or the one to keep where it brings none: an answer without one does not mean that
    there is none. ``generation`` is the one the pair is sealed under.
    """
    if not grant.access_token.strip():
        raise WarehouseError(f"QuickBooks granted company {realm_id} an empty access token; nothing was stored.")
    access, refresh = (Bound(realm_id, column, generation) for column in ("access_token", "refresh_token"))
    connection.execute(
        sa.text(_WRITE),
        {
            "realm_id": realm_id,
            "access_token": custody.sealed_access(grant.access_token, access),
            "refresh_token": custody.vault.seal(refresh_token, refresh) if refresh_token else None,
            "scope": scope,
            "expires_in": grant.expires_in,
            "refresh_expires_in": grant.refresh_expires_in,
            "base_url": base_url,
            "asked_at": asked_at,
        },
    )
