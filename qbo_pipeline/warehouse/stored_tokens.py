"""Token pairs as they are stored: what is known about each, and how a sealed one is opened.

Reading needs no key until something sealed is to be opened, so that a company whose key is lost can still be shown.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import sqlalchemy as sa

from qbo_pipeline.secret import Secret
from qbo_pipeline.warehouse.vault import Bound, Custody, is_sealed


@dataclass(frozen=True, slots=True)
class Due:
    """When a pair has to be renewed: it ends within ``margin``, or is older than ``refresh_age``."""

    refresh_age: dt.timedelta = dt.timedelta(minutes=50)
    margin: dt.timedelta = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """The pair of one company as it is now, with its times counted by the database's clock.

    ``state`` is active, refreshing, unknown (asked, and no answer kept), suspect (refused of late), needs_reauth (a
    person must connect again) or disconnected.
    """

    realm_id: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)  #: as it is stored: sealed, unless another program wrote it
    base_url: str | None
    environment: str
    state: str
    installation: str | None
    generation: int
    expires_in: dt.timedelta  # what is left of the access token; negative when it is over
    age: dt.timedelta | None  # since the pair was last renewed; None when nobody knows
    refresh_expires_in: dt.timedelta | None
    refresh_hard_expires_in: dt.timedelta | None
    retry_in: dt.timedelta | None  # until the next attempt after one that failed; None when none did
    last_error: str | None
    last_intuit_tid: str | None

    def is_due(self, due: Due) -> bool:
        """Tell whether the pair should be renewed now."""
        return self.expires_in <= due.margin or (self.age is not None and self.age >= due.refresh_age)

    def needs_an_attempt(self, due: Due) -> bool:
        """Tell whether somebody should ask QuickBooks about it who is not asking already."""
        unsettled = self.state in ("unknown", "suspect")
        return unsettled or (self.state == "active" and self.is_due(due))

    @property
    def is_sealed(self) -> bool:
        """Tell whether the refresh token is stored as an envelope, or not at all."""
        return not self.refresh_token or is_sealed(self.refresh_token)

    @property
    def hides_its_access_token(self) -> bool:
        """Tell whether the access token is stored as an envelope, as far as this was read without opening it."""
        return is_sealed(self.access_token)

    @property
    def may_try(self) -> bool:
        """Tell whether the next attempt need not wait."""
        return self.retry_in is None or self.retry_in <= dt.timedelta(0)


# A row of tokens may be younger than our own last refresh: other programs write there too.
_READ = """
SELECT t.realm_id, t.access_token, t.refresh_token, t.base_url, c.environment, c.installation, c.generation,
       CASE WHEN c.status IN ('needs_reauth', 'disconnected') THEN c.status
            WHEN c.lease_until >= now() THEN 'refreshing'
            WHEN c.status = 'active' AND c.intent_at IS NOT NULL THEN 'unknown' ELSE c.status END AS state,
       coalesce(t.expires_at - clock.utc, interval '0') AS expires_in,
       clock.utc - greatest(c.refreshed_at AT TIME ZONE 'UTC', least(t.updated_at, clock.utc)) AS age,
       t.refresh_token_expires_at - clock.utc AS refresh_expires_in,
       c.refresh_hard_expires_at - now() AS refresh_hard_expires_in,
       c.retry_at - now() AS retry_in, c.last_error, c.last_intuit_tid
FROM (SELECT now() AT TIME ZONE 'UTC' AS utc) AS clock, quickbooks.connections c
JOIN quickbooks.tokens t ON t.realm_id = c.realm_id
"""


def stored_tokens(connection: sa.Connection, realm_id: str) -> StoredTokens | None:
    """Return the pair of one company as it is stored, sealed; None when there is none."""
    found = connection.execute(sa.text(_READ + "WHERE c.realm_id = :realm_id"), {"realm_id": realm_id})
    row = found.mappings().one_or_none()
    return StoredTokens(**row) if row is not None else None


def all_tokens(connection: sa.Connection) -> list[StoredTokens]:
    """Return the pairs of all companies as they are stored."""
    return [StoredTokens(**row) for row in connection.execute(sa.text(_READ)).mappings()]


def opened_refresh_token(connection: sa.Connection, custody: Custody, tokens: StoredTokens) -> Secret | None:
    """Return the refresh token in the clear; one that is stored in the clear is sealed, in the same transaction."""
    if not tokens.refresh_token or not tokens.refresh_token.strip():
        return None
    bound = Bound(tokens.realm_id, "refresh_token", tokens.generation)
    if not is_sealed(tokens.refresh_token):
        connection.execute(
            sa.text(
                "UPDATE quickbooks.tokens SET refresh_token = :sealed "
                "WHERE realm_id = :realm_id AND refresh_token = :plain"
            ),
            {
                "realm_id": tokens.realm_id,
                "plain": tokens.refresh_token,
                "sealed": custody.vault.seal(tokens.refresh_token, bound),
            },
        )
    return custody.vault.open(tokens.refresh_token, bound)
