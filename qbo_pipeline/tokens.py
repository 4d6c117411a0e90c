"""Keeping access tokens fresh: the one flow by which a token is ever renewed.

Intuit may answer a renewal with a new refresh token and void the old one, so two processes renewing at once would
disconnect the company. One takes the lease; the others wait, read again, and find the work done. The new pair is
durable before anybody uses it.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable
from datetime import timedelta

from qbo_pipeline.errors import BusyError, ReauthorizationRequiredError, RejectedError, RetryableError
from qbo_pipeline.qbo.oauth import OAuthClient
from qbo_pipeline.warehouse.token_store import Due, Lease, StoredTokens, TokenStore

#: Renew when the token is older than this, or has less than the margin left.
DUE = Due(refresh_age=timedelta(minutes=50), margin=timedelta(minutes=10))
#: How long to wait for another process that is renewing; longer than any lease.
PATIENCE = 120.0


class TokenKeeper:
    """Hands out access tokens that are good for a while, and renews those that are not."""

    def __init__(
        self,
        store: TokenStore,
        oauth: OAuthClient,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._oauth = oauth
        self._sleep = sleep
        self._monotonic = monotonic
        self._owner = f"{socket.gethostname()}:{os.getpid()}"

    def access_token(self, realm_id: str, *, refused: str | None = None) -> str:
        """Return an access token of a company; never ``refused``, the one QuickBooks has just turned down.

        Raises ReauthorizationRequiredError when a person must connect the company again, RetryableError when renewing
        failed for now and the old token is over.
        """
        tokens = self._store.read(realm_id)
        if tokens.access_token != refused and not tokens.is_due(DUE):
            return tokens.access_token
        try:
            return self.refresh(realm_id, refused=refused).access_token
        except (RetryableError, RejectedError):
            tokens = self._store.read(realm_id)
            if tokens.access_token != refused and tokens.expires_in > timedelta(minutes=1):
                return tokens.access_token  # it still works; the next call tries to renew again
            raise

    def refresh(self, realm_id: str, *, refused: str | None = None) -> StoredTokens:
        """Renew the pair of a company unless somebody else has just done it; return the pair as stored."""
        give_up_at = self._monotonic() + PATIENCE
        while True:
            tokens = self._store.read(realm_id)
            if tokens.status != "active":
                raise _reconnect(realm_id)
            if tokens.access_token != refused and not tokens.is_due(DUE):
                return tokens
            lease = self._store.claim(realm_id, self._owner, only_generation=tokens.generation)
            if lease is not None and self._renew(lease):
                return self._store.read(realm_id)
            if self._monotonic() > give_up_at:
                raise BusyError(
                    f"Another process has been renewing the tokens of company {realm_id} for {PATIENCE:.0f} seconds; "
                    "try again in a minute."
                )
            self._sleep(random.uniform(0.05, 0.5))  # noqa: S311 - spreads the waiting processes, no secret

    def _renew(self, lease: Lease) -> bool:
        """Renew and store; False when somebody overtook us, so that what is stored now is theirs."""
        if not lease.refresh_token:
            self._store.mark_needs_reauthorization(lease.realm_id, "no refresh token is stored", lease=lease)
            raise _reconnect(lease.realm_id)
        try:
            grant = self._oauth.refresh(lease.refresh_token)
        except ReauthorizationRequiredError as error:
            self._store.mark_needs_reauthorization(lease.realm_id, str(error), lease=lease)
            raise
        except Exception as error:
            self._store.release(lease, error=str(error), intuit_tid=getattr(error, "intuit_tid", None))
            raise
        # Durable before use: nobody sees the new access token until the pair is committed.
        return self._store.commit(lease, grant)


def _reconnect(realm_id: str) -> ReauthorizationRequiredError:
    return ReauthorizationRequiredError(
        f"The connection to company {realm_id} has ended; connect it again with 'qbo connect'. No data is lost."
    )
