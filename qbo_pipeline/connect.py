"""Connecting a company: send a person to Intuit's consent page, and store what comes back.

``begin`` makes the address to visit, with a random ``state``; ``complete`` takes what Intuit sent back to our redirect
address. A state is good once, for ten minutes, and only in the process that made it: a callback nobody here asked for
is refused.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Protocol

import msgspec

from qbo_pipeline.errors import RejectedError, RetryableError
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
        self._states: dict[str, float] = {}

    def begin(self) -> str:
        """Return the address at which a person consents."""
        now = self._monotonic()
        self._states = {state: end for state, end in self._states.items() if end > now}
        state = secrets.token_urlsafe(32)
        self._states[state] = now + STATE_SECONDS
        return self._oauth.authorize_url(state, self._redirect_uri)

    def complete(self, answer: Mapping[str, str]) -> Company:
        """Store the company that the query parameters of the callback speak of, and return it.

        Raises RejectedError when consent was refused or the answer is not one to a request of ours.
        """
        end = self._states.pop(answer.get("state", ""), None)
        if end is None or end < self._monotonic():
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
        """Ask for the company's name. The code is spent by now, so a company without a readable one connects too."""
        try:
            return msgspec.json.decode(self._company_info(realm_id, grant.access_token), type=_Info)
        except (msgspec.ValidationError, RetryableError, RejectedError):
            return _Info()


def _day(time: datetime | None) -> date | None:
    try:
        return time.astimezone(UTC).date() if time and time.tzinfo else None
    except OverflowError:
        return None
