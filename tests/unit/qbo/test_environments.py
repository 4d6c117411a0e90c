"""No configuration, database row or redirect can carry a token to a host that is not Intuit's (T8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.errors import SettingsError
from qbo_pipeline.qbo.environments import INTUIT_HOSTS, PRODUCTION, SANDBOX, Environment, check_host, local

EVIL = [
    "https://quickbooks.api.intuit.com@evil.example/v3",
    "https://quickbooks.api.intuit.com:443@evil.example/v3",
    "https://user:pass@quickbooks.api.intuit.com/v3",
    "https://quickbooks.api.intuit.com.evil.example/v3",
    "https://evil.example/quickbooks.api.intuit.com",
    "https://evilquickbooks.api.intuit.com/v3",
    "https://quickbooks.api.intuit.com:8443/v3",
    "https://quickbooks.api.intuit.com./v3",
    "http://quickbooks.api.intuit.com/v3",
    "ftp://quickbooks.api.intuit.com/v3",
    "//quickbooks.api.intuit.com/v3",
    "quickbooks.api.intuit.com/v3",
    "https:/quickbooks.api.intuit.com/v3",
    "https:\\\\quickbooks.api.intuit.com",
    "https://quickbooks.api.intuit.com\\@evil.example/",
    "https://quickbooks.api.intuit.com\\.evil.example/",
    "https://quickbooks.api.intuit.com#@evil.example/",
    "https://evil.example#quickbooks.api.intuit.com/",
    "https://evil.example?quickbooks.api.intuit.com/",
    "https://quickbooks.api.intuit.com /v3",
    "https://quickbooks.api.intuit.com\t.evil.example/",
    "https://quickbooks.api.intuit.com\n",
    " https://quickbooks.api.intuit.com",
    "https://quickbooks.api.intuit.com%2eevil.example/",
    "https://quickbooks。api.intuit.com/",
    "https://quickbooks.api.intuit.com\u0000.evil.example/",
    "https://127.0.0.1/v3",
    "https://localhost/v3",
    "https://[::1]/v3",
    "https://169.254.169.254/latest/meta-data",
    "https://2130706433/",
    "https://10.0.0.1/",
    "",
]


@pytest.mark.parametrize("url", EVIL)
def test_an_address_that_is_not_intuits_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        check_host(url)


@pytest.mark.parametrize("host", sorted(INTUIT_HOSTS))
def test_intuits_own_hosts_are_allowed_over_https_only(host: str) -> None:
    check_host(f"https://{host}/v3/company/1/query?query=select%20%2A%20from%20Invoice&x=a@b")
    check_host(f"https://{host.upper()}:443")
    with pytest.raises(SettingsError):
        check_host(f"http://{host}/")


@given(st.text(max_size=60))
def test_only_the_listed_hosts_pass_whatever_the_text(text: str) -> None:
    """Guards against a prefix or substring test: text glued to a good URL's host never passes."""
    glued = f"https://quickbooks.api.intuit.com{text}"
    try:
        check_host(glued)
    except SettingsError:
        return
    assert text == "" or text.startswith(("/", "?", ":443/", ":443?")) or text == ":443"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8600", "http://127.9.9.9", "http://localhost:1/", "https://[::1]:5", "http://127.0.0.1:1/x/"],
)
def test_a_local_quickbooks_lives_on_this_machine(url: str) -> None:
    environment = local(url)
    base = url.rstrip("/")
    assert environment.is_local
    assert environment.company_url("12") == f"{base}/v3/company/12"
    assert environment.authorization_url == f"{base}/connect/oauth2"
    assert environment.token_url == f"{base}/oauth2/v1/tokens/bearer"
    assert environment.revocation_url == f"{base}/v2/oauth2/tokens/revoke"
    assert environment.userinfo_url == f"{base}/v1/openid_connect/userinfo"


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.5:8600",
        "http://0.0.0.0:8600",
        "http://127.1:80",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "http://localhost.evil.example",
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "https://quickbooks.api.intuit.com",
    ],
)
def test_a_local_quickbooks_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        local(url)


def test_an_environment_with_a_foreign_address_cannot_be_made() -> None:
    """The base_url column of a tokens table must not become an address to send tokens to."""
    for name in ("sandbox", "production", "anything"):
        with pytest.raises(SettingsError):
            Environment(
                name,
                "https://evil.example",
                SANDBOX.authorization_url,
                SANDBOX.token_url,
                SANDBOX.revocation_url,
                SANDBOX.userinfo_url,
            )


@pytest.mark.parametrize("realm", ["", "12/../34", "1?x=", "１２", "12\n", "abc", "9" * 40])
def test_a_realm_that_is_not_digits_is_refused(realm: str) -> None:
    with pytest.raises(SettingsError):
        PRODUCTION.company_url(realm)


def test_intuits_addresses_are_those_of_its_discovery_documents() -> None:
    assert PRODUCTION.company_url("1") == "https://quickbooks.api.intuit.com/v3/company/1"
    assert SANDBOX.company_url("1") == "https://sandbox-quickbooks.api.intuit.com/v3/company/1"
    assert PRODUCTION.token_url == SANDBOX.token_url == "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"


@pytest.mark.parametrize(
    "url",
    [
        "https://intuit-qbo-prod-23.s3.amazonaws.com/1/a%20b.pdf?X-Amz-Expires=900&X-Amz-Signature=ab%2Bc",
        "https://files.intuit.com:443/x",
    ],
)
def test_a_file_may_be_anywhere_public(url: str) -> None:
    SANDBOX.check_file_host(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://intuit-qbo-prod-23.s3.amazonaws.com/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://localhost/x",
        "https://127.0.0.1/x",
        "https://2130706433/x",
        "https://printer.local/x",
        "https://vault.internal/x",
        "https://a.example:8443/x",
        "https://user@a.example/x",
        "https://a.example\\@b.example/x",
        "file:///etc/passwd",
        "ftp://a.example/x",
        "",
    ],
)
def test_a_file_is_never_fetched_from_inside_our_own_network(url: str) -> None:
    with pytest.raises(SettingsError, match="refusing to fetch"):
        SANDBOX.check_file_host(url)


def test_a_local_quickbooks_keeps_its_files_here_too() -> None:
    here = local("http://127.0.0.1:8600")
    here.check_file_host("http://127.0.0.1:8600/files/1")
    with pytest.raises(SettingsError):
        here.check_file_host("https://a.example/x")
