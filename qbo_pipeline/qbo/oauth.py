"""Tokens: consent, code for tokens, renewal, revocation.

Flows in    the app's credentials, a consent code or a refresh token
Flows out   ``Grant``; or the error that says whether a person, a developer or time must act
Refuses     to retry, and to return half a grant: whether a renewal happened can be unknown, and the caller must decide

Intuit may answer a renewal with a new refresh token and void the old one. A lost or unreadable answer therefore means
"outcome unknown" (``RetryableError``); only ``invalid_grant`` says that the token is dead.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import requests

from qbo_pipeline.errors import (
    QboError,
    ReauthorizationRequiredError,
    RejectedError,
    RetryableError,
    SettingsError,
    ThrottledError,
)
from qbo_pipeline.qbo.environments import Environment
from qbo_pipeline.qbo.faults import retry_after, safe_text
from qbo_pipeline.qbo.transport import Limits, Reply, exchange
from qbo_pipeline.secret import Secret

# The only accounting scope there is; that we never write with it is kept by client.py.
ACCOUNTING = "com.intuit.quickbooks.accounting"

LIMITS = Limits(connect=5.0, read=20.0, total=30.0, max_bytes=1024 * 1024)

# What Intuit documents, for the day an answer brings tokens without lifetimes: the tokens must not be lost for that.
ACCESS_TOKEN_SECONDS = 3600
REFRESH_TOKEN_SECONDS = 100 * 86_400


@dataclass(frozen=True, slots=True)
class Grant:
    """One answer of the token endpoint. Lifetimes are seconds counted from ``sent_at``, our clock when we asked."""

    access_token: Secret
    refresh_token: Secret
    token_type: str = field(repr=False)  # whatever the server put there
    expires_in: int
    refresh_expires_in: int
    refresh_hard_expires_in: int | None
    intuit_tid: str | None
    sent_at: datetime


class OAuthClient:
    """Speaks to Intuit's token endpoint for one app."""

    def __init__(
        self,
        environment: Environment,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        auth_basic: str | None = None,
        session: requests.Session,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits = LIMITS,
    ) -> None:
        """Takes ``client_id`` and ``client_secret``, or ``auth_basic``: both already joined in base64."""
        self._environment = environment
        self._client_id, secret, self._authorization = _credentials(client_id, client_secret, auth_basic)
        self._secrets = (secret, self._authorization)
        self._session = session
        self._now = now
        self._limits = limits

    def authorize_url(self, state: str, redirect_uri: str, scopes: Sequence[str] = (ACCOUNTING,)) -> str:
        """Return the address at which a person allows this app to read one company."""
        parameters = {
            "client_id": self._client_id,
            "response_type": "code",
            "scope": " ".join(scopes),
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{self._environment.authorization_url}?{urlencode(parameters, quote_via=quote)}"

    def exchange(self, code: str, redirect_uri: str) -> Grant:
        """Trade a consent code for tokens. Once only: a second try revokes what the first one brought."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return self._grant("exchanging the consent code for tokens", form, secrets=(code,))

    def refresh(self, refresh_token: str) -> Grant:
        """Renew the access token. The grant's refresh token replaces the old one, which may be dead from now on."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token[:]}  # a Secret would show itself as stars
        return self._grant("renewing the access token", form, secrets=(refresh_token,))

    def revoke(self, token: str) -> None:
        """Take back the consent this token stands for, access and refresh token alike."""
        attempt = "revoking the company's consent"
        reply = self._send(
            attempt, self._environment.revocation_url, "application/json", msgspec.json.encode({"token": token[:]})
        )
        if not 200 <= reply.status < 300:
            raise _error_for(attempt, reply, secrets=(token, *self._secrets))

    def _grant(self, attempt: str, form: Mapping[str, str], *, secrets: tuple[str, ...]) -> Grant:
        sent_at = self._now()
        content_type = "application/x-www-form-urlencoded"
        reply = self._send(attempt, self._environment.token_url, content_type, urlencode(form).encode())
        members = _members(reply.body)
        access_token, refresh_token = members.get("access_token"), members.get("refresh_token")
        if reply.status != 200 or not _is_token(access_token) or not _is_token(refresh_token):
            raise _error_for(attempt, reply, secrets=(*secrets, *self._secrets))
        hard = _seconds(members.get("x_refresh_token_hard_expires_in"))
        return Grant(
            access_token=Secret(str(access_token)),
            refresh_token=Secret(str(refresh_token)),
            token_type=str(members.get("token_type") or "bearer"),
            expires_in=_seconds(members.get("expires_in")) or ACCESS_TOKEN_SECONDS,
            refresh_expires_in=_seconds(members.get("x_refresh_token_expires_in")) or REFRESH_TOKEN_SECONDS,
            refresh_hard_expires_in=hard,
            intuit_tid=reply.intuit_tid,
            sent_at=sent_at,
        )

    def _send(self, attempt: str, url: str, content_type: str, body: bytes) -> Reply:
        headers = {
            "Authorization": f"Basic {self._authorization}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Content-Type": content_type,
            "x-include-refresh-token-hard-expires-in": "true",  # opt-in since 2026: the end of the five years
        }
        return exchange(
            self._session,
            self._environment,
            "POST",
            url,
            attempt=attempt,
            headers=headers,
            data=body,
            limits=self._limits,
        )


def _error_for(attempt: str, reply: Reply, *, secrets: tuple[str, ...]) -> QboError:
    """Build (and return) the error for an answer that brought no tokens."""
    members = _members(reply.body)
    error = members.get("error")
    code = error if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,60}", error) else None
    secrets = (*secrets, *(value for name, value in members.items() if name.endswith("_token")))
    said = ": ".join(part for part in (code, safe_text(members.get("error_description"), secrets)) if part)
    what = f"{attempt}: Intuit answered HTTP {reply.status}" + (f" ({said})" if said else "")
    status, tid = reply.status, reply.intuit_tid

    if status == 429:
        wish = retry_after(reply.headers)
        return ThrottledError(
            f"{what}; try again in a minute", retry_after=wish, status=status, code=code, intuit_tid=tid
        )
    if status in {400, 401} and code == "invalid_grant":
        advice = (
            "the consent or its token has expired, was revoked, replaced or used before;"
            " connect the company again (qbo connect)"
        )
        return ReauthorizationRequiredError(f"{what}; {advice}", status=status, code=code, intuit_tid=tid)
    if status in {400, 401, 403} and (code == "invalid_client" or status == 401):
        advice = "the client id or client secret is wrong, or belongs to another environment; correct the app's keys"
        return RejectedError(f"{what}; {advice}", status=status, code=code, intuit_tid=tid)
    if 400 <= status < 500 and code is not None:
        return RejectedError(
            f"{what}; the same request would be refused again", status=status, code=code, intuit_tid=tid
        )
    if 300 <= status < 400:
        return RejectedError(f"{what}, a redirect, which we never follow", status=status, intuit_tid=tid)
    # Neither tokens nor a refusal OAuth knows (a gateway's page, half an answer): nobody can say what Intuit did.
    advice = "no tokens and no reason, so it is unknown whether it happened; try again"
    return RetryableError(f"{what}, {advice}", status=status, code=code, intuit_tid=tid)


def _members(body: bytes) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_token(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[!-~]{1,8192}", value) is not None


def _seconds(value: object) -> int | None:
    """Read a lifetime: a whole number of seconds, perhaps as text; None when it is none."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) else None


def _credentials(client_id: str | None, client_secret: str | None, auth_basic: str | None) -> tuple[str, str, str]:
    """Return the client id, the secret, and the two joined in base64, from either form."""
    if auth_basic:
        encoded = re.sub(r"(?i)\Abasic\s+", "", auth_basic.strip())
        try:
            found, colon, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            found = colon = secret = ""
        if not (found and colon and secret):
            raise SettingsError("the app's Basic authorization is not the base64 of 'client id:client secret'")
        return client_id or found, secret, encoded
    if not client_id or not client_secret:
        raise SettingsError("the app's client id and client secret are both needed, from developer.intuit.com (Keys)")
    return client_id, client_secret, base64.b64encode(":".join((client_id, client_secret)).encode()).decode()
