"""Where QuickBooks lives, and the only hosts a token may ever be sent to.

Flows in    nothing but constants, and one loopback address for a local QuickBooks
Flows out   ``Environment``: the five addresses a client needs
Refuses     any other host, port or scheme, whatever a configuration file or a ``base_url`` column says
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from qbo_pipeline.errors import SettingsError

INTUIT_HOSTS = frozenset(
    {
        "quickbooks.api.intuit.com",
        "sandbox-quickbooks.api.intuit.com",
        "appcenter.intuit.com",
        "oauth.platform.intuit.com",
        "developer.api.intuit.com",
        "accounts.platform.intuit.com",
        "sandbox-accounts.platform.intuit.com",
    }
)

# One strict shape, matched whole, instead of a URL parser: where two parsers disagree about the host (user-info, a
# backslash, a control character) a check made with one of them says nothing about where the other one connects.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[::1\])(?::(?P<port>[0-9]{1,5}))?(?:[/?][!-\[\]-~]*)?"
)


@dataclass(frozen=True, slots=True)
class Environment:
    """One QuickBooks: Intuit's sandbox, Intuit's production, or a local one on this machine."""

    name: str
    api_url: str
    authorization_url: str
    token_url: str
    revocation_url: str
    userinfo_url: str

    def __post_init__(self) -> None:
        for url in (self.api_url, self.authorization_url, self.token_url, self.revocation_url, self.userinfo_url):
            check_host(url, local=self.is_local)

    @property
    def is_local(self) -> bool:
        """Does this environment live on this machine (and only there)?"""
        return self.name == "local"

    def check_host(self, url: str) -> None:
        """Raise unless ``url`` is one a client of this environment may send a token to."""
        check_host(url, local=self.is_local)

    def check_file_host(self, url: str) -> None:
        """Raise unless ``url`` may be fetched as a file, without any token: QuickBooks keeps files with others."""
        check_file_host(url, local=self.is_local)

    def company_url(self, realm_id: str) -> str:
        """Return the address below which everything of one company lives."""
        if not re.fullmatch(r"[0-9]{1,32}", realm_id):
            raise SettingsError(f"a QuickBooks company is named by digits only, not by {realm_id[:40]!r}")
        return f"{self.api_url}/v3/company/{realm_id}"


def check_host(url: str, *, local: bool = False) -> None:
    """Raise unless ``url`` names one of Intuit's own hosts over https, or (``local``) this machine.

    Called before every request, so that no configuration, database row or redirect can carry a token elsewhere.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise SettingsError("refusing to call an address that is not a plain http(s) URL; nothing was sent")
    host, port = match["host"].lower(), match["port"]
    if local:
        if not _is_loopback(host):
            raise SettingsError(f"a local QuickBooks must be on this machine (127.0.0.1, localhost), not {host[:80]!r}")
        if port is not None and not 1 <= int(port) <= 65535:
            raise SettingsError(f"port {port} of the local QuickBooks does not exist; use one from 1 to 65535")
    elif match["scheme"] != "https" or host not in INTUIT_HOSTS or port not in {None, "443"}:
        raise SettingsError(
            f"refusing to call {match['scheme']}://{host[:80]}{':' + port if port else ''}: tokens go to Intuit's own"
            " hosts over https only; nothing was sent"
        )


def check_file_host(url: str, *, local: bool = False) -> None:
    """Raise unless ``url`` is a public https address, or (``local``) on this machine.

    Which hosts Intuit keeps files with is its own business and may change, so no list of them: nothing secret is sent
    there. But an address inside this network is never one of them, and nobody may make us call it.
    """
    match = _URL.fullmatch(url)
    host, port = (match["host"].lower(), match["port"]) if match else ("", None)
    if local:
        good = match is not None and _is_loopback(host)
    else:
        named = re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*", host) is not None
        good = match is not None and match["scheme"] == "https" and port in {None, "443"} and named
        good = good and not host.endswith((".local", ".localhost", ".internal"))
    if not good:
        raise SettingsError(
            f"refusing to fetch a file from {host[:80] or 'an odd address'}: only public https addresses are fetched"
        )


def local(base_url: str) -> Environment:
    """Describe a local QuickBooks whose API, consent page and token endpoint share one loopback address."""
    base = base_url.rstrip("/")
    return Environment(
        name="local",
        api_url=base,
        authorization_url=f"{base}/connect/oauth2",
        token_url=f"{base}/oauth2/v1/tokens/bearer",
        revocation_url=f"{base}/v2/oauth2/tokens/revoke",
        userinfo_url=f"{base}/v1/openid_connect/userinfo",
    )


def _is_loopback(host: str) -> bool:
    if host in {"localhost", "[::1]"}:
        return True
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


SANDBOX = Environment(
    name="sandbox",
    api_url="https://sandbox-quickbooks.api.intuit.com",
    authorization_url="https://appcenter.intuit.com/connect/oauth2",
    token_url="https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",  # noqa: S106 - an address, not a password
    revocation_url="https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
    userinfo_url="https://sandbox-accounts.platform.intuit.com/v1/openid_connect/userinfo",
)

PRODUCTION = Environment(
    name="production",
    api_url="https://quickbooks.api.intuit.com",
    authorization_url="https://appcenter.intuit.com/connect/oauth2",
    token_url="https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",  # noqa: S106 - an address, not a password
    revocation_url="https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
    userinfo_url="https://accounts.platform.intuit.com/v1/openid_connect/userinfo",
)
