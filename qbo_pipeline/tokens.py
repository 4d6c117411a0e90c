"""Keeping access tokens fresh: the one flow by which a token is ever renewed.

    active ──claim: lease, intent──> refreshing ──200: spool, then commit──> active
                                        ├── no answer, or none we can read ──> unknown: the same token again
                                        └── invalid_grant, twice ──> suspect: again after 1, 5, 15, 60 … minutes
                                                                        └── refused to the end ──> needs_reauth

Intuit may answer a renewal with a new refresh token and void the old one, so two processes renewing at once would
disconnect the company. One takes the lease; the others wait, read again, and find the work done. The new pair is in a
file on disk as soon as it is here, and committed before anybody uses it. A process that died in between left its intent
in the database: the next one takes the pair from the file, or presents the same token again, for nothing newer exists.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
import tenacity

from qbo_pipeline.errors import (
    BusyError,
    OwnershipError,
    QboError,
    ReauthorizationRequiredError,
    RejectedError,
    RetryableError,
    SettingsError,
    WarehouseError,
)
from qbo_pipeline.qbo.oauth import Grant, OAuthClient
from qbo_pipeline.warehouse.spool import Pair, Spool
from qbo_pipeline.warehouse.stored_tokens import Due, StoredTokens
from qbo_pipeline.warehouse.token_store import Lease, TokenStore

#: Renew when the token is older than this, or has less than the margin left.
DUE = Due(refresh_age=timedelta(minutes=50), margin=timedelta(minutes=10))
#: How long to wait for another process that is renewing; longer than any lease.
PATIENCE = 120.0
#: How long to go on trying to store a pair that is spooled, while the database is away.
COMMIT_PATIENCE = 600.0
#: Before a token that was refused is presented again: Intuit has been seen to refuse good ones for a moment.
_SECOND_LOOK = 3.0
#: Refused so often (some twenty minutes), other tokens of the chain are presented, once. Not before: where the reuse of
#: a dead token ends the consent, doing that during an outage would end a good one.
_LAST_RESORT = 3

_log = logging.getLogger(__name__)


class TokenKeeper:
    """Hands out access tokens that are good for a while, and renews those that are not."""

    def __init__(
        self,
        store: TokenStore,
        oauth: OAuthClient,
        spool: Spool,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        commit_patience: float = COMMIT_PATIENCE,
    ) -> None:
        self._store = store
        self._oauth = oauth
        self._spool = spool
        self._sleep = sleep
        self._monotonic = monotonic
        self._commit_patience = commit_patience
        self._owner = f"{socket.gethostname()}:{os.getpid()}"

    def access_token(self, realm_id: str, *, refused: str | None = None) -> str:
        """Return an access token of a company; never ``refused``, the one QuickBooks has just turned down.

        Raises ReauthorizationRequiredError when a person must connect the company again, OwnershipError when another
        installation keeps it, SettingsError when its key is lost, RetryableError when renewing failed for now; the last
        three only once the old token is over.
        """
        tokens = self._store.read(realm_id)
        if _is_over(tokens):
            raise _reconnect(tokens)
        if tokens.access_token != refused and not tokens.is_due(DUE):
            return tokens.access_token
        try:
            return self.refresh(realm_id, refused=refused).access_token
        except (RetryableError, RejectedError, OwnershipError, BusyError, SettingsError):
            tokens = self._store.read(realm_id)
            if tokens.access_token != refused and tokens.expires_in > timedelta(minutes=1):
                return tokens.access_token  # it still works; the next call tries to renew again
            raise

    def refresh(self, realm_id: str, *, refused: str | None = None) -> StoredTokens:
        """Renew the pair of a company unless somebody else has just done it; return the pair as stored.

        A pair is renewed when it is due, when it is ``refused``, and when it is unsettled: an answer is missing.
        """
        give_up_at = self._monotonic() + PATIENCE
        while True:
            tokens = self._store.read(realm_id)
            if _is_over(tokens):
                raise _reconnect(tokens)
            is_good = tokens.access_token != refused and not tokens.is_due(DUE)
            if is_good and tokens.state in ("active", "refreshing"):
                return tokens
            if not self._store.is_ours(tokens):
                raise _not_ours(tokens)
            if tokens.state == "suspect" and not tokens.may_try:
                raise _suspect(tokens)
            lease = self._store.claim(realm_id, self._owner, only_generation=tokens.generation)
            if lease is not None and (recovered := self._recover(lease)) is not None:
                # Where QuickBooks has refused a token of the chain, a pair is believed once it has renewed it.
                refused = recovered.access_token if lease.refusals else refused
                continue
            if lease is not None and self._renew(lease):
                return self._store.read(realm_id)
            if self._monotonic() > give_up_at:
                raise BusyError(
                    f"Another process has been renewing the tokens of company {realm_id} for {PATIENCE:.0f} seconds; "
                    "try again in a minute."
                )
            self._sleep(random.uniform(0.05, 0.5))  # noqa: S311 - spreads the waiting processes, no secret

    def check_ours(self, realm_id: str) -> None:
        """Raise OwnershipError when another installation keeps a company's tokens."""
        tokens = self._store.read(realm_id)
        if not self._store.is_ours(tokens):
            raise _not_ours(tokens)

    def _recover(self, lease: Lease) -> Pair | None:
        """Store the pair of a process that died, or of a database that was newer; None when there is none."""
        newest = next(iter(self._spool.pairs(lease.realm_id, lease.chain)), None)
        if newest is None or newest.generation <= lease.generation:
            return None
        self._commit(lease, newest)
        return newest

    def _renew(self, lease: Lease) -> bool:
        """Renew and store; False when we were overtaken, so that what is stored now is another's."""
        with _uninterrupted():
            grant = self._ask(lease)
            if grant is None:
                return False
            pair = _pair(lease, grant)
            self._keep(pair)
        # Durable before use: nobody sees the new access token until the pair is committed.
        return self._commit(lease, pair)

    def _ask(self, lease: Lease) -> Grant | None:
        """Present the token; None when we were overtaken meanwhile. A failure gives the lease back and is raised."""
        try:
            return self._present(lease)
        except ReauthorizationRequiredError as refusal:
            status = self._store.refuse(
                lease, str(refusal), intuit_tid=refusal.intuit_tid, for_good=not lease.refresh_token
            )
            if status == "suspect":
                raise _suspect(self._store.read(lease.realm_id), refusal) from None
            if status is None:
                return None
            raise
        except QboError as error:
            # Only OAuth's own refusals say that nothing happened.
            unknown = not isinstance(error, RejectedError) or error.code is None
            self._store.release(lease, error=str(error), intuit_tid=error.intuit_tid, unknown=unknown)
            raise
        except Exception as error:
            self._store.release(lease, error=type(error).__name__, unknown=True)
            raise

    def _present(self, lease: Lease) -> Grant | None:
        """Ask QuickBooks; a refusal is believed when it is repeated, and nobody has stored a newer pair meanwhile."""
        if not lease.refresh_token:
            raise ReauthorizationRequiredError(f"No refresh token of company {lease.realm_id} is stored")
        if not self._store.holds(lease):
            return None  # this process slept past its lease: the token may be spent, and presenting it a reuse
        try:
            return self._oauth.refresh(lease.refresh_token)
        except ReauthorizationRequiredError:
            self._sleep(_SECOND_LOOK)
            if not self._store.holds(lease):
                return None
        try:
            return self._oauth.refresh(lease.refresh_token)
        except ReauthorizationRequiredError as refusal:
            for token in self._last_resort(lease):
                try:
                    return self._oauth.refresh(token)
                except ReauthorizationRequiredError:
                    _log.warning("QuickBooks refused an earlier token of company %s as well.", lease.realm_id)
            raise refusal from None

    def _last_resort(self, lease: Lease) -> list[str]:
        """Return other tokens of the chain that may be the right one: another program, or QuickBooks, went back."""
        if lease.refusals != _LAST_RESORT:
            return []
        known = [pair.refresh_token for pair in self._spool.pairs(lease.realm_id, lease.chain)]
        known += [lease.previous] if lease.previous else []
        return [token for token in dict.fromkeys(known) if token != lease.refresh_token]

    def _keep(self, pair: Pair) -> None:
        try:
            self._spool.keep(pair)
        except OSError as error:  # a full disk: the commit is now the only place it will be kept
            _log.warning("The new tokens of company %s could not be spooled: %s.", pair.realm_id, error.strerror)

    def _commit(self, lease: Lease, pair: Pair) -> bool:
        """Store the pair, again and again while the database is away; False when we were overtaken."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((sa.exc.OperationalError, sa.exc.InterfaceError)),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
            stop=tenacity.stop_after_delay(self._commit_patience),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            stored: bool = retrying(self._store.commit, lease, pair, generation=pair.generation, asked_at=pair.asked_at)
        except (sa.exc.OperationalError, sa.exc.InterfaceError):
            raise WarehouseError(
                f"Postgres was away when the renewed tokens of company {lease.realm_id} were to be stored. They are "
                "spooled on this machine, and the next refresh stores them."
            ) from None
        return stored


def _pair(lease: Lease, grant: Grant) -> Pair:
    return Pair(
        realm_id=lease.realm_id,
        chain=lease.chain,
        generation=lease.generation + 1,
        epoch=lease.epoch,
        asked_at=lease.claimed_at,
        access_token=grant.access_token[:],
        refresh_token=grant.refresh_token[:],
        expires_in=grant.expires_in,
        refresh_expires_in=grant.refresh_expires_in,
        refresh_hard_expires_in=grant.refresh_hard_expires_in,
        intuit_tid=grant.intuit_tid,
    )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM to the end of the block: half a minute at most, and a token may hang on it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda came_now, _: came.append(came_now)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])


def _is_over(tokens: StoredTokens) -> bool:
    return tokens.state in ("needs_reauth", "disconnected")


def _reconnect(tokens: StoredTokens) -> ReauthorizationRequiredError:
    why = "was disconnected" if tokens.state == "disconnected" else "has ended"
    return ReauthorizationRequiredError(
        f"The connection to company {tokens.realm_id} {why}; connect it again with 'qbo connect'. No data is lost.",
        intuit_tid=tokens.last_intuit_tid,
    )


def _suspect(tokens: StoredTokens, refusal: QboError | None = None) -> RetryableError:
    minutes = max(1, round((tokens.retry_in or timedelta()) / timedelta(minutes=1)))
    return RetryableError(
        f"QuickBooks refuses the refresh token of company {tokens.realm_id} (invalid_grant). It is asked again in "
        f"{minutes} minute{'' if minutes == 1 else 's'}; if the company was disconnected in QuickBooks, connect it "
        "again now with 'qbo connect'. No data is lost",
        status=refusal.status if refusal else None,
        code="invalid_grant",
        intuit_tid=refusal.intuit_tid if refusal else tokens.last_intuit_tid,
    )


def _not_ours(tokens: StoredTokens) -> OwnershipError:
    return OwnershipError(
        f"The tokens of company {tokens.realm_id} are kept by the installation '{tokens.installation}'; this one may "
        "use them and must not renew them. If that one is gone for good, 'qbo token take-ownership' makes this one "
        "the keeper; if this database is a copy, connect another company, or leave it as it is."
    )
