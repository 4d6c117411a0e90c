"""Where the tokens live, and how exactly one process at a time renews them.

    claim    one UPDATE on ``connections`` takes the lease and writes down the intent, before QuickBooks is asked
    commit   stores the new pair if nothing happened in between: same generation, same lease epoch (compare-and-set)
    release  gives the lease back when there is no new pair

A lease is a row with an end, not a session lock: it works through a transaction pooler and outlives a dropped
connection. It is not what safety rests on; the compare-and-set is, so a holder that was asleep when its lease ended
cannot overwrite the pair of the next. Every time is the database's, so no clock of ours has to be right.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from qbo_pipeline.errors import UsageError
from qbo_pipeline.warehouse.grants import Grant, write_tokens

_NONE = dt.timedelta(0)


@dataclass(frozen=True, slots=True)
class Due:
    """When a pair has to be renewed: it ends within ``margin``, or is older than ``refresh_age``."""

    refresh_age: dt.timedelta = dt.timedelta(minutes=50)
    margin: dt.timedelta = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """The pair of one company as it is now, with its times counted by the database's clock."""

    realm_id: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    base_url: str | None
    environment: str
    status: str
    generation: int
    expires_in: dt.timedelta  # what is left of the access token; negative when it is over
    age: dt.timedelta | None  # since the pair was last renewed; None when nobody knows
    refresh_expires_in: dt.timedelta | None

    def is_due(self, due: Due) -> bool:
        """Tell whether the pair should be renewed now."""
        return self.expires_in <= due.margin or (self.age is not None and self.age >= due.refresh_age)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to present the refresh token of one company, until somebody claims after ``until``."""

    realm_id: str
    owner: str
    generation: int
    epoch: int
    claimed_at: dt.datetime
    until: dt.datetime
    refresh_token: str | None = field(repr=False)


# A row of tokens may be younger than our own last refresh: other programs write there too.
_READ = """
SELECT t.realm_id, t.access_token, t.refresh_token, t.base_url, c.environment, c.status, c.generation,
       coalesce(t.expires_at - clock.utc, interval '0') AS expires_in,
       clock.utc - greatest(c.refreshed_at AT TIME ZONE 'UTC', least(t.updated_at, clock.utc)) AS age,
       t.refresh_token_expires_at - clock.utc AS refresh_expires_in
FROM (SELECT now() AT TIME ZONE 'UTC' AS utc) AS clock, quickbooks.connections c
JOIN quickbooks.tokens t ON t.realm_id = c.realm_id
"""

_CLAIM = """
UPDATE quickbooks.connections
SET lease_owner = :owner, lease_epoch = lease_epoch + 1, intent_at = now(),
    lease_until = now() + make_interval(secs => :seconds)
WHERE realm_id = :realm_id AND status = 'active' AND (lease_until IS NULL OR lease_until < now())
RETURNING generation, lease_epoch AS epoch, intent_at AS claimed_at, lease_until AS until
"""

_COMMIT = """
UPDATE quickbooks.connections
SET generation = generation + 1, refreshed_at = :claimed_at, lease_owner = NULL, lease_until = NULL, intent_at = NULL,
    last_error = NULL, last_intuit_tid = NULL
WHERE realm_id = :realm_id AND generation = :generation AND lease_epoch = :epoch
"""

_RELEASE = """
UPDATE quickbooks.connections
SET lease_owner = NULL, lease_until = NULL, intent_at = NULL,
    last_error = coalesce(:error, last_error), last_intuit_tid = coalesce(:intuit_tid, last_intuit_tid)
WHERE realm_id = :realm_id AND generation = :generation AND lease_epoch = :epoch
"""

_NEEDS_REAUTHORIZATION = """
WITH dead AS (
    UPDATE quickbooks.connections
    SET status = 'needs_reauthorization', last_error = :reason, lease_owner = NULL, lease_until = NULL, intent_at = NULL
    WHERE realm_id = :realm_id AND (CAST(:epoch AS bigint) IS NULL OR lease_epoch = :epoch)
    RETURNING realm_id
)
UPDATE quickbooks.tokens t SET is_active = false, updated_at = now() AT TIME ZONE 'UTC' FROM dead
WHERE t.realm_id = dead.realm_id
"""


class TokenStore:
    """The token pairs in ``quickbooks.tokens``, and the leases by which they are renewed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def read(self, realm_id: str) -> StoredTokens:
        """Return the pair of one company."""
        with self._engine.connect() as connection:
            if (tokens := _read(connection, realm_id)) is not None:
                return tokens
        raise UsageError(f"There are no tokens of company {realm_id}: connect it (`qbo connect`).")

    def claim(
        self,
        realm_id: str,
        owner: str,
        *,
        lease_seconds: float = 90,
        only_if_due: Due | None = None,
        only_generation: int | None = None,
    ) -> Lease | None:
        """Take the lease, or return None: another has it, the company waits for a person, or there is no need.

        ``only_if_due`` and ``only_generation`` say when there is a need. They are looked at with the lease in hand:
        whoever waited for another to finish finds the work done.
        """
        with self._engine.connect() as connection, connection.begin() as transaction:
            connection.execute(sa.text("SET LOCAL synchronous_commit = on"))
            parameters = {"realm_id": realm_id, "owner": owner, "seconds": lease_seconds}
            claimed = connection.execute(sa.text(_CLAIM), parameters).one_or_none()
            tokens = _read(connection, realm_id) if claimed is not None else None
            needed = (
                tokens is not None
                and (only_if_due is None or tokens.is_due(only_if_due))
                and only_generation in (None, tokens.generation)
            )
            if claimed is None or tokens is None or not needed:
                transaction.rollback()
                return None
            return Lease(realm_id=realm_id, owner=owner, refresh_token=tokens.refresh_token, **claimed._mapping)

    def commit(self, lease: Lease, grant: Grant, *, base_url: str | None = None) -> bool:
        """Store the new pair and give the lease back; False when another has renewed or reconnected meanwhile.

        May be repeated when the answer to it was lost: the same pair, stored already, counts as stored.
        """
        with self._engine.begin() as connection:
            connection.execute(sa.text("SET LOCAL synchronous_commit = on"))
            if connection.execute(sa.text(_COMMIT), _identity(lease) | {"claimed_at": lease.claimed_at}).rowcount == 0:
                stored = _read(connection, lease.realm_id)
                return stored is not None and stored.access_token == grant.access_token
            write_tokens(connection, lease.realm_id, grant, base_url=base_url, asked_at=lease.claimed_at)
            return True

    def release(self, lease: Lease, *, error: str | None = None, intuit_tid: str | None = None) -> None:
        """Give the lease back without a new pair, with what went wrong; nothing happens if it is no longer ours."""
        with self._engine.begin() as connection:
            connection.execute(sa.text(_RELEASE), _identity(lease) | {"error": error, "intuit_tid": intuit_tid})

    def mark_needs_reauthorization(self, realm_id: str, reason: str, *, lease: Lease | None = None) -> None:
        """Note that only a person can help. With ``lease``, only if nobody claimed or reconnected since."""
        parameters = {"realm_id": realm_id, "reason": reason, "epoch": lease.epoch if lease else None}
        with self._engine.begin() as connection:
            connection.execute(sa.text(_NEEDS_REAUTHORIZATION), parameters)

    def due(self, due: Due | None = None) -> list[str]:
        """Return the realms whose pairs have to be renewed now, the most urgent first."""
        rule = due or Due()
        with self._engine.connect() as connection:
            rows = connection.execute(sa.text(_READ + "WHERE c.status = 'active'")).mappings()
            found = sorted((_tokens(dict(row)) for row in rows), key=lambda tokens: tokens.expires_in)
        return [tokens.realm_id for tokens in found if tokens.is_due(rule)]


def _identity(lease: Lease) -> dict[str, Any]:
    return {"realm_id": lease.realm_id, "generation": lease.generation, "epoch": lease.epoch}


def _read(connection: sa.Connection, realm_id: str) -> StoredTokens | None:
    found = connection.execute(sa.text(_READ + "WHERE c.realm_id = :realm_id"), {"realm_id": realm_id})
    row = found.mappings().one_or_none()
    return _tokens(dict(row)) if row is not None else None


def _tokens(row: dict[str, Any]) -> StoredTokens:
    return StoredTokens(**row)
