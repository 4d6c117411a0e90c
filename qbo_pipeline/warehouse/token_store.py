"""Where the tokens live, and how exactly one process at a time renews them.

    claim    one UPDATE on ``connections`` takes the lease and writes down the intent, before QuickBooks is asked
    commit   stores the new pair if nothing happened in between: same generation, same lease epoch (compare-and-set)
    release  gives the lease back when there is no new pair: nothing happened, or nobody knows what did
    refuse   gives it back when QuickBooks refused the token, and settles when to ask again, or that a person must

A lease is a row with an end, not a session lock: it works through a transaction pooler and outlives a dropped
connection. It is not what safety rests on; the compare-and-set is, so a holder that was asleep when its lease ended
cannot overwrite the pair of the next. Every time is the database's, so no clock of ours has to be right.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from qbo_pipeline.errors import UsageError
from qbo_pipeline.secret import Secret
from qbo_pipeline.warehouse.grants import Grant, write_tokens
from qbo_pipeline.warehouse.stored_tokens import (
    Due,
    StoredTokens,
    all_tokens,
    opened_refresh_token,
    stored_tokens,
)
from qbo_pipeline.warehouse.vault import Bound, Custody


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to present the refresh token of one company, until somebody claims after ``until``."""

    realm_id: str
    owner: str
    chain: str
    generation: int
    epoch: int
    claimed_at: dt.datetime
    until: dt.datetime
    refusals: int
    refresh_token: str | None = field(repr=False)
    #: The refresh token before this one, if it was replaced less than a day ago.
    previous: str | None = field(repr=False)


# Every claim has an epoch of its own, and the intent is on disk before QuickBooks is asked: whoever finds it with the
# lease over knows that the token was presented, and that nobody kept the answer.
_CLAIM = """
UPDATE quickbooks.connections
SET lease_owner = :owner, lease_epoch = lease_epoch + 1, intent_at = now(),
    lease_until = now() + make_interval(secs => :seconds),
    installation = :installation, chain = coalesce(chain, CAST(gen_random_uuid() AS text))
WHERE realm_id = :realm_id AND (status = 'active' OR status = 'suspect' AND retry_at <= now())
  AND (installation IS NULL OR installation = :installation) AND (lease_until IS NULL OR lease_until < now())
RETURNING chain, generation, lease_epoch AS epoch, intent_at AS claimed_at, lease_until AS until, refusals,
    CASE WHEN prev_superseded_at > now() - interval '1 day' THEN prev_refresh_token END AS previous, prev_generation
"""

_MINE = "WHERE realm_id = :realm_id AND generation = :generation AND lease_epoch = :epoch"
_FREE = "lease_owner = NULL, lease_until = NULL"

_COMMIT = f"""
UPDATE quickbooks.connections
SET prev_refresh_token = CASE WHEN :changed THEN :presented ELSE prev_refresh_token END,
    prev_generation = CASE WHEN :changed THEN generation ELSE prev_generation END,
    prev_superseded_at = CASE WHEN :changed THEN now() ELSE prev_superseded_at END,
    generation = :next, refreshed_at = :asked_at, {_FREE}, intent_at = NULL, status = 'active',
    refresh_hard_expires_at = coalesce(:asked_at + make_interval(secs => :hard), refresh_hard_expires_at),
    failures = 0, refusals = 0, suspect_since = NULL, retry_at = NULL, last_error = NULL,
    last_intuit_tid = coalesce(:intuit_tid, last_intuit_tid)
{_MINE}
"""  # noqa: S608 - constants of this file

_RELEASE = f"""
UPDATE quickbooks.connections
SET {_FREE}, intent_at = CASE WHEN :unknown THEN intent_at END,
    failures = CASE WHEN CAST(:error AS text) IS NULL THEN failures ELSE failures + 1 END,
    retry_at = CASE WHEN CAST(:error AS text) IS NULL THEN retry_at
                    ELSE now() + make_interval(mins => (ARRAY[1, 2, 4, 8, 15])[least(failures, 4) + 1]) END,
    last_error = coalesce(:error, last_error), last_intuit_tid = coalesce(:intuit_tid, last_intuit_tid)
{_MINE}
"""  # noqa: S608

# Asked again after 1, 5, 15 and then 60 minutes; refused for the seventh time, or for a day, it is a person's turn.
_REFUSE = f"""
WITH refused AS (
    UPDATE quickbooks.connections
    SET {_FREE}, intent_at = NULL, refusals = refusals + 1, suspect_since = coalesce(suspect_since, now()),
        status = CASE WHEN :for_good OR refusals >= 6 OR suspect_since < now() - interval '1 day'
                      THEN 'needs_reauth' ELSE 'suspect' END,
        retry_at = now() + make_interval(mins => coalesce((ARRAY[1, 5, 15])[refusals + 1], 60)),
        last_error = :error, last_intuit_tid = coalesce(:intuit_tid, last_intuit_tid)
    {_MINE}
    RETURNING realm_id, status
), told AS (
    UPDATE quickbooks.tokens t SET is_active = false, updated_at = now() AT TIME ZONE 'UTC' FROM refused
    WHERE t.realm_id = refused.realm_id AND refused.status = 'needs_reauth'
)
SELECT status FROM refused
"""  # noqa: S608


class TokenStore:
    """The token pairs in ``quickbooks.tokens``, and the leases by which they are renewed."""

    def __init__(self, engine: sa.Engine, custody: Custody) -> None:
        self._engine = engine
        self._custody = custody

    def read(self, realm_id: str) -> StoredTokens:
        """Return the pair of one company, its access token open."""
        with self._engine.connect() as connection:
            found = stored_tokens(connection, realm_id)
        if found is None:
            raise UsageError(f"There are no tokens of company {realm_id}: connect it (`qbo connect`).")
        bound = Bound(realm_id, "access_token", found.generation)
        return replace(found, access_token=self._custody.vault.open(found.access_token, bound))

    def is_ours(self, tokens: StoredTokens) -> bool:
        """Tell whether this installation may renew a pair."""
        return tokens.installation in (None, self._custody.installation)

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
        whoever waited for another to finish finds the work done. A refresh token that another program left in the open
        is sealed on the way.
        """
        with self._transaction() as connection:
            parameters = {"realm_id": realm_id, "owner": owner, "seconds": lease_seconds}
            parameters["installation"] = self._custody.installation
            claimed = connection.execute(sa.text(_CLAIM), parameters).mappings().one_or_none()
            tokens = stored_tokens(connection, realm_id) if claimed is not None else None
            needed = (
                tokens is not None
                and (only_if_due is None or tokens.is_due(only_if_due))
                and only_generation in (None, tokens.generation)
            )
            if claimed is None or tokens is None or not needed:
                connection.rollback()
                return None
            found = dict(claimed)
            previous, generation = found.pop("previous"), found.pop("prev_generation")
            return Lease(
                realm_id=realm_id,
                owner=owner,
                refresh_token=opened_refresh_token(connection, self._custody, tokens),
                previous=previous and self._open(realm_id, previous, generation),
                **found,
            )

    def commit(
        self,
        lease: Lease,
        grant: Grant,
        *,
        base_url: str | None = None,
        generation: int | None = None,
        asked_at: dt.datetime | None = None,
    ) -> bool:
        """Store the new pair and give the lease back; False when another has renewed or reconnected meanwhile.

        May be repeated when the answer to it was lost: the same pair, stored already, counts as stored. ``generation``
        and ``asked_at`` are those of a recovered pair.
        """
        refresh_token = (grant.refresh_token or "").strip() or lease.refresh_token
        next_generation, asked_at = generation or lease.generation + 1, asked_at or lease.claimed_at
        presented = Bound(lease.realm_id, "refresh_token", lease.generation)
        parameters = _identity(lease) | {
            "next": next_generation,
            "asked_at": asked_at,
            "changed": lease.refresh_token is not None and refresh_token != lease.refresh_token,
            "presented": self._custody.vault.seal(lease.refresh_token, presented) if lease.refresh_token else None,
            "hard": grant.refresh_hard_expires_in,
            "intuit_tid": grant.intuit_tid,
        }
        with self._transaction() as connection:
            if connection.execute(sa.text(_COMMIT), parameters).rowcount == 0:
                stored = stored_tokens(connection, lease.realm_id)
                return stored is not None and self._holds(stored, grant.access_token)
            write_tokens(
                connection,
                lease.realm_id,
                grant,
                custody=self._custody,
                generation=next_generation,
                refresh_token=refresh_token,
                base_url=base_url,
                asked_at=asked_at,
            )
            return True

    def holds(self, lease: Lease) -> bool:
        """Tell whether nobody has claimed, renewed or reconnected since."""
        with self._engine.connect() as connection:
            asked = sa.text(f"SELECT 1 FROM quickbooks.connections {_MINE} AND lease_owner IS NOT NULL")  # noqa: S608
            return connection.execute(asked, _identity(lease)).first() is not None

    def release(
        self, lease: Lease, *, error: str | None = None, intuit_tid: str | None = None, unknown: bool = False
    ) -> None:
        """Give the lease back without a new pair, with what went wrong; nothing happens if it is no longer ours.

        ``unknown`` keeps the intent: QuickBooks may have renewed the pair, and the answer did not come.
        """
        parameters = _identity(lease) | {"error": error, "intuit_tid": intuit_tid, "unknown": unknown}
        with self._transaction() as connection:
            connection.execute(sa.text(_RELEASE), parameters)

    def refuse(self, lease: Lease, reason: str, *, intuit_tid: str | None = None, for_good: bool = False) -> str | None:
        """Note that QuickBooks refused the token; return the status that follows: suspect or needs_reauth.

        None if the lease is no longer ours: a late verdict does not disconnect a company that was connected again.
        """
        parameters = _identity(lease) | {"error": reason, "intuit_tid": intuit_tid, "for_good": for_good}
        with self._transaction() as connection:
            return connection.execute(sa.text(_REFUSE), parameters).scalar_one_or_none()

    def due(self, due: Due | None = None) -> list[str]:
        """Return the realms that are to be renewed, or asked about again, now and by us; the most urgent first."""
        rule = due or Due()
        with self._engine.connect() as connection:
            found = sorted(all_tokens(connection), key=lambda tokens: tokens.expires_in)
        return [each.realm_id for each in found if each.needs_an_attempt(rule) and each.may_try and self.is_ours(each)]

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """Give a transaction whose end is on the disk, whatever the database is set to."""
        with self._engine.begin() as connection:
            connection.execute(sa.text("SET LOCAL synchronous_commit = on"))
            yield connection

    def _open(self, realm_id: str, sealed: str, generation: int) -> Secret:
        return self._custody.vault.open(sealed, Bound(realm_id, "refresh_token", generation))

    def _holds(self, stored: StoredTokens, access_token: str) -> bool:
        bound = Bound(stored.realm_id, "access_token", stored.generation)
        return self._custody.vault.open(stored.access_token, bound) == access_token


def _identity(lease: Lease) -> dict[str, Any]:
    return {"realm_id": lease.realm_id, "generation": lease.generation, "epoch": lease.epoch}
