"""Connecting a company: send a person to Intuit's consent page, and store what comes back. And the way out again.

``begin`` makes the address to visit, with a random ``state``; ``complete`` takes what Intuit sent back to our redirect
address. A state is good once, for ten minutes, and only in the process that made it: a callback nobody here asked for
is refused.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

import msgspec

from qbo_pipeline.errors import QboError, RejectedError, RetryableError
from qbo_pipeline.qbo.environments import Environment
from qbo_pipeline.qbo.oauth import Grant, OAuthClient
from qbo_pipeline.warehouse.companies import Company, CompanyStore
from qbo_pipeline.warehouse.vault import Custody

STATE_SECONDS = 600


class _MetaData(msgspec.Struct, frozen=True):
    created: datetime | None = msgspec.field(name="CreateTime", default=None)


class _Info(msgspec.Struct):
    company_name: str | None = msgspec.field(name="CompanyName", default=None)
    legal_name: str | None = msgspec.field(name="LegalName", default=None)
    metadata: _MetaData = msgspec.field(name="MetaData", default=_MetaData())


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that somebody is about to answer at Intuit."""

    until: float
    again: Company | None


class NamesCompany(Protocol):
    """Asks QuickBooks for a company's own record with a token that is not stored yet; returns its raw JSON."""

    def __call__(self, realm_id: str, access_token: str) -> msgspec.Raw: ...


class Connector:
    """The consent flow of one app."""

    def __init__(
        self,
        environment: Environment,
        oauth: OAuthClient,
        companies: CompanyStore,
        custody: Custody,
        company_info: NamesCompany,
        *,
        redirect_uri: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._oauth = oauth
        self._companies = companies
        self._custody = custody
        self._company_info = company_info
        self._redirect_uri = redirect_uri
        self._monotonic = monotonic
        self._states: dict[str, _Asked] = {}

    def begin(self, again: Company | None = None) -> str:
        """Return the address at which a person consents; with ``again``, to that company and no other."""
        now = self._monotonic()
        self._states = {state: asked for state, asked in self._states.items() if asked.until > now}
        state = secrets.token_urlsafe(32)
        self._states[state] = _Asked(now + STATE_SECONDS, again)
        return self._oauth.authorize_url(state, self._redirect_uri)

    def complete(self, answer: Mapping[str, str]) -> Company:
        """Store the company that the query parameters of the callback speak of, and return it.

        Raises RejectedError when consent was refused or the answer is not one to a request of ours.
        """
        asked = self._states.pop(answer.get("state", ""), None)
        if asked is None or asked.until < self._monotonic():
            raise RejectedError(
                "This answer from Intuit belongs to no request of ours, or to one older than ten minutes. "
                "Start again with 'qbo connect'."
            )
        if error := answer.get("error"):
            if error == "access_denied":
                raise RejectedError("Consent was refused at QuickBooks, so nothing was connected.")
            raise RejectedError(f"QuickBooks refused to connect: {error[:100]!r}. Check the app's keys and scopes.")
        code, realm_id = answer.get("code", ""), answer.get("realmId", "")
        if not code or not realm_id.isdecimal() or len(realm_id) > 32:
            raise RejectedError("Intuit's answer names no company or brings no code. Start again with 'qbo connect'.")
        if asked.again is not None and realm_id != asked.again.realm_id:
            raise RejectedError(
                f"{asked.again.name} ({asked.again.realm_id}) was to be connected again, and company {realm_id} was "
                "chosen at QuickBooks: nothing was changed. Start again and choose the right one, or connect the other "
                "by itself."
            )
        grant = self._oauth.exchange(code, self._redirect_uri)
        info = self._info(realm_id, grant)
        return self._companies.connect(
            realm_id,
            info.company_name or info.legal_name or f"Company {realm_id}",
            environment=self._environment.name,
            base_url=self._environment.api_url,
            grant=grant,
            custody=self._custody,
            books_since=_day(info.metadata.created),
        )

    def _info(self, realm_id: str, grant: Grant) -> _Info:
        """Ask for the company's name. The code is spent by now, so a company without a readable one connects too.

        But not one that these tokens do not open: its number in the callback is only what a browser said.
        """
        try:
            return msgspec.json.decode(self._company_info(realm_id, grant.access_token), type=_Info)
        except RejectedError as error:
            if error.status == 403:
                raise RejectedError(
                    f"QuickBooks' consent does not open company {realm_id}, although its answer names it; nothing was "
                    "connected. Start again with 'qbo connect'.",
                    status=error.status,
                    code=error.code,
                    intuit_tid=error.intuit_tid,
                ) from None
            return _Info()
        except (msgspec.ValidationError, RetryableError):
            return _Info()


def revoke(oauth: OAuthClient, tokens: Sequence[str]) -> bool:
    """Take a company's consent back at QuickBooks; False when it knows none of its tokens any more.

    Raises QboError when it cannot be asked: then nothing may be wiped, or nobody could ask again.
    """
    for token in tokens:
        try:
            oauth.revoke(token)
        except QboError as error:
            if error.status != 400:
                raise
        else:
            return True
    return False


def _day(time: datetime | None) -> date | None:
    try:
        return time.astimezone(UTC).date() if time and time.tzinfo else None
    except OverflowError:
        return None
