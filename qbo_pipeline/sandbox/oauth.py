"""Grants and tokens: what Intuit's identity service remembers.

Codes are single use; the refresh token keeps its value for about a day and then changes, after which the old value is
dead (Intuit knowledge base "Validity of Refresh Token"; Intuit staff in oauth-jsclient issues 74 and 173). Everything
disputed is a knob of ``TokenPolicy``. Lifetimes run on the sandbox's clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.settings import TokenPolicy

ACCOUNTING = "com.intuit.quickbooks.accounting"
SCOPES = frozenset({ACCOUNTING, "com.intuit.quickbooks.payment", "openid", "profile", "email", "phone", "address"})


class TokenRefusedError(Exception):
    """The token endpoint says no; ``error`` is OAuth's word for it."""

    def __init__(self, error: str, description: str | None = None, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


@dataclass
class Grant:
    """One consent of one company: it owns refresh tokens and access tokens."""

    realm: str
    scopes: tuple[str, ...]
    consented_at: float
    refresh_token: str = ""
    refresh_issued_at: float = 0.0
    previous: dict[str, float] = field(default_factory=dict)  # dead refresh tokens, and since when
    access_tokens: dict[str, float] = field(default_factory=dict)  # and when each expires
    revoked: bool = False


@dataclass
class Code:
    """An authorization code."""

    grant: Grant
    redirect_uri: str
    issued_at: float
    used: bool = False


class Identity:
    """Issues and judges tokens for one app."""

    def __init__(self, clock: Clock, client_id: str, client_secret: str) -> None:
        self.clock = clock
        self.client_id = client_id
        self.client_secret = client_secret
        self.policy = TokenPolicy()
        self.refreshes = 0
        self.reuses = 0
        self.asking = 0  # calls of the token endpoint that have not been answered yet
        self.most_asking = 0
        self._codes: dict[str, Code] = {}
        self._grants: list[Grant] = []
        self._by_access: dict[str, Grant] = {}

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a call of the token endpoint while it is being answered."""
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            yield
        finally:
            self.asking -= 1

    def consent(self, realm: str, scopes: tuple[str, ...], redirect_uri: str) -> str:
        """A person pressed Connect: return the code the callback carries."""
        grant = Grant(realm, scopes, self.clock.now())
        self._grants.append(grant)
        code = "AB1" + secrets.token_hex(22)
        self._codes[code] = Code(grant, redirect_uri, self.clock.now())
        return code

    def exchange(self, code: str, redirect_uri: str, *, hard: bool) -> dict[str, Any]:
        """Swap a code for tokens."""
        found = self._codes.get(code)
        if found is None or found.redirect_uri != redirect_uri:
            raise self._invalid_grant("Invalid authorization code")
        if found.used:
            if self.policy.code_reuse_revokes:
                found.grant.revoked = True
            raise self._invalid_grant("Authorization code was used before")
        if self.clock.now() - found.issued_at > self.policy.code_seconds:
            raise self._invalid_grant("Authorization code expired")
        found.used = True
        return self._issue(found.grant, new_refresh_token=True, hard=hard)

    def refresh(self, token: str, *, hard: bool) -> dict[str, Any]:
        """Renew the access token, and now and then the refresh token itself."""
        grant = next((each for each in self._grants if token and token in (each.refresh_token, *each.previous)), None)
        if grant is None or grant.revoked:
            raise self._invalid_grant()
        now = self.clock.now()
        if token != grant.refresh_token:
            if now - grant.previous[token] >= self.policy.grace_seconds:
                self.reuses += 1
                grant.revoked = grant.revoked or self.policy.revoke_on_reuse
                raise self._invalid_grant()
            return self._issue(grant, new_refresh_token=False, hard=hard)
        age = now - grant.refresh_issued_at
        if age >= self.policy.rolling_seconds or now - grant.consented_at >= self.policy.hard_seconds:
            raise self._invalid_grant("Token expired")
        self.refreshes += 1
        return self._issue(grant, new_refresh_token=self._rotates(age), hard=hard)

    def _rotates(self, age: float) -> bool:
        match self.policy.rotation:
            case "every_call":
                return True
            case "daily":
                return age >= self.policy.rotate_after_seconds
            case "never":
                return False

    def _issue(self, grant: Grant, *, new_refresh_token: bool, hard: bool) -> dict[str, Any]:
        now = self.clock.now()
        if new_refresh_token:
            if grant.refresh_token:
                grant.previous[grant.refresh_token] = now
            grant.refresh_token = f"RT1-{secrets.randbelow(90) + 10}-H0-{int(now)}{secrets.token_hex(10)}"
            grant.refresh_issued_at = now
        access = "eyJlbmMi" + secrets.token_urlsafe(120)
        grant.access_tokens[access] = now + self.policy.access_token_seconds
        self._by_access[access] = grant
        spent = 0 if self.policy.rolling_expiry == "constant" else int(now - grant.refresh_issued_at)
        answer: dict[str, Any] = {
            "token_type": "bearer",
            "access_token": access,
            "expires_in": self.policy.access_token_seconds,
            "refresh_token": grant.refresh_token,
            "x_refresh_token_expires_in": self.policy.rolling_seconds - spent,
        }
        if self.policy.hard_expiry_field == "always" or (hard and self.policy.hard_expiry_field == "opt_in"):
            answer["x_refresh_token_hard_expires_in"] = self.policy.hard_seconds - int(now - grant.consented_at)
        return answer

    def _invalid_grant(self, description: str = "Incorrect or invalid refresh token") -> TokenRefusedError:
        return TokenRefusedError("invalid_grant", description if self.policy.error_description else None)

    def revoke(self, token: str) -> bool:
        """Kill the whole grant a refresh or access token belongs to (Intuit: OAuth 2.0, revoke)."""
        for grant in self._grants:
            if not grant.revoked and token and (token == grant.refresh_token or token in grant.access_tokens):
                grant.revoked = True
                return True
        return False

    def grant_of(self, access_token: str) -> Grant | None:
        """Return the grant behind a valid access token."""
        grant = self._by_access.get(access_token)
        if grant is None or grant.revoked or grant.access_tokens[access_token] <= self.clock.now():
            return None
        return grant

    def grants(self, realm: str | None = None) -> list[Grant]:
        return [grant for grant in self._grants if realm in {None, grant.realm}]

    def expire_access_tokens(self, realm: str | None = None) -> int:
        """Let every access token (of a company) expire now; return how many did."""
        now, expired = self.clock.now(), 0
        for grant in self.grants(realm):
            for token, until in grant.access_tokens.items():
                expired += until > now
                grant.access_tokens[token] = min(until, now)
        return expired

    def forget_rotation(self, realm: str | None = None) -> int:
        """Go back to the refresh token before this one, as a provider does that fails over; return how many did."""
        back = [grant for grant in self.grants(realm) if grant.previous and not grant.revoked]
        for grant in back:
            grant.refresh_token, grant.refresh_issued_at = grant.previous.popitem()
        return len(back)

    def revoke_grants(self, realm: str | None = None) -> int:
        """Disconnect (a company), as its owner can inside QuickBooks; return how many grants died."""
        live = [grant for grant in self.grants(realm) if not grant.revoked]
        for grant in live:
            grant.revoked = True
        return len(live)
