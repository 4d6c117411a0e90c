"""Tokens are never lost, never half, never shown; and only invalid_grant says that a person must act."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.errors import (
    QboError,
    ReauthorizationRequiredError,
    RejectedError,
    RetryableError,
    SettingsError,
    ThrottledError,
)
from qbo_pipeline.qbo.environments import PRODUCTION
from qbo_pipeline.qbo.oauth import Grant, OAuthClient
from qbo_pipeline.secret import Secret
from tests.unit.qbo.fakes import Answer, FakeQuickBooks

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CALLBACK = "http://localhost:8000/callback?x=1"
SECRETS = ("canary-secret", "RT1-canary-refresh", "canary-code")
TOKENS: dict[str, Any] = {
    "token_type": "bearer",
    "access_token": "eyJcanary.access",
    "expires_in": 3600,
    "refresh_token": "RT1-canary-new",
    "x_refresh_token_expires_in": 8726400,
    "x_refresh_token_hard_expires_in": 157000000,
}


def client(*answers: Answer | Exception) -> tuple[OAuthClient, FakeQuickBooks]:
    quickbooks = FakeQuickBooks(answers)
    session = quickbooks.session()
    oauth = OAuthClient(PRODUCTION, client_id="id+/1", client_secret="canary-secret", session=session, now=lambda: NOW)
    return oauth, quickbooks


def tokens(**members: Any) -> Answer:
    return Answer(json.dumps({**TOKENS, **members}).encode(), headers={"Intuit-Tid": "1-abc"})


def body_of(request: requests.PreparedRequest) -> str:
    assert isinstance(request.body, bytes)
    return request.body.decode()


EVERY_GRANT: list[Callable[[OAuthClient], Grant]] = [
    lambda oauth: oauth.refresh("RT1-canary-refresh"),
    lambda oauth: oauth.exchange("canary-code", CALLBACK),
]


def test_a_renewal_brings_everything_intuit_says_about_the_tokens() -> None:
    oauth, quickbooks = client(tokens())
    assert oauth.refresh("RT1-canary-refresh") == Grant(
        access_token=Secret("eyJcanary.access"),
        refresh_token=Secret("RT1-canary-new"),
        token_type="bearer",
        expires_in=3600,
        refresh_expires_in=8726400,
        refresh_hard_expires_in=157000000,
        intuit_tid="1-abc",
        sent_at=NOW,
    )
    (request,) = quickbooks.seen
    assert (request.method, request.url) == ("POST", PRODUCTION.token_url)
    assert parse_qs(body_of(request)) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["RT1-canary-refresh"],
    }
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"id+/1:canary-secret").decode()
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["x-include-refresh-token-hard-expires-in"] == "true"


def test_a_code_is_exchanged_with_the_address_it_was_asked_for() -> None:
    oauth, quickbooks = client(tokens())
    oauth.exchange("canary-code", CALLBACK)
    assert parse_qs(body_of(quickbooks.seen[0])) == {
        "grant_type": ["authorization_code"],
        "code": ["canary-code"],
        "redirect_uri": [CALLBACK],
    }


def test_a_grant_without_the_hard_expiry_says_so() -> None:
    oauth, _ = client(tokens(x_refresh_token_hard_expires_in=None, expires_in="3600"))
    grant = oauth.refresh("x")
    assert (grant.refresh_hard_expires_in, grant.expires_in) == (None, 3600)


@pytest.mark.parametrize("lifetime", [None, "soon", -1, 0, True, {}])
def test_new_tokens_are_not_thrown_away_for_want_of_a_lifetime(lifetime: Any) -> None:
    """Intuit has voided the old token by then: an error here would lose the only live one."""
    oauth, _ = client(tokens(expires_in=lifetime, x_refresh_token_expires_in=lifetime))
    grant = oauth.refresh("x")
    assert (grant.expires_in, grant.refresh_expires_in) == (3600, 8640000)


def test_tokens_alone_are_a_grant_and_are_masked_when_shown() -> None:
    oauth, _ = client(Answer(b'{"access_token":"eyJcanary.access","refresh_token":"RT1-canary-new"}'))
    grant = oauth.refresh("x")
    assert (grant.access_token, grant.refresh_token) == ("eyJcanary.access", "RT1-canary-new")
    assert (grant.token_type, grant.expires_in, grant.refresh_expires_in) == ("bearer", 3600, 8640000)
    assert "canary" not in f"{grant!r} {grant}"


@pytest.mark.parametrize("ask", EVERY_GRANT)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(b""),
        Answer(b"<html>maintenance</html>"),
        Answer(b"null"),
        Answer(b"[]"),
        Answer(b"{}"),
        Answer(json.dumps(TOKENS).encode()[:60]),
        tokens(access_token=None),
        tokens(refresh_token=""),
        tokens(refresh_token=17),
        tokens(access_token="with a space"),
        tokens(access_token="with\nbreak"),
        Answer(b'{"error":"invalid_grant"}', 200),
        Answer(b'{"error":"invalid_grant"}', 503),
        Answer(b"<html>forbidden</html>", 403),
        Answer(b"", 400),
        Answer(b"", 500),
        Answer(b"", 502),
        Answer(b"", 504),
        Answer(b"x" * 2_000_000, 503, {"Content-Length": "3000000"}),
        requests.ConnectionError("x"),
        requests.ReadTimeout("x"),
        requests.exceptions.ChunkedEncodingError("x"),
    ],
)
def test_an_answer_that_is_neither_tokens_nor_a_refusal_leaves_the_outcome_unknown(
    ask: Callable[[OAuthClient], Grant], answer: Answer | Exception
) -> None:
    """Never half a grant, never a verdict on the token, and no second try: that is for the caller to decide."""
    oauth, quickbooks = client(answer)
    with pytest.raises(QboError) as caught:
        ask(oauth)
    assert not isinstance(caught.value, ReauthorizationRequiredError)
    if not (isinstance(answer, Answer) and len(answer.body) > 1_000_000):
        assert isinstance(caught.value, RetryableError)
    assert len(quickbooks.seen) == 1


@pytest.mark.parametrize("ask", EVERY_GRANT)
@pytest.mark.parametrize("status", [400, 401])
def test_invalid_grant_means_that_a_person_must_connect_again(ask: Callable[[OAuthClient], Grant], status: int) -> None:
    body = b'{"error":"invalid_grant","error_description":"Incorrect or invalid refresh token"}'
    oauth, _ = client(Answer(body, status, {"intuit_tid": "1-abc"}))
    with pytest.raises(ReauthorizationRequiredError, match=r"connect the company again.*1-abc") as caught:
        ask(oauth)
    assert (caught.value.status, caught.value.code, caught.value.intuit_tid) == (status, "invalid_grant", "1-abc")


@pytest.mark.parametrize(
    ("status", "body"), [(401, b'{"error":"invalid_client"}'), (400, b'{"error":"invalid_client"}'), (401, b"")]
)
def test_wrong_keys_are_not_a_dead_token(status: int, body: bytes) -> None:
    oauth, _ = client(Answer(body, status))
    with pytest.raises(RejectedError, match="client secret is wrong"):
        oauth.refresh("x")


@pytest.mark.parametrize("code", ["invalid_request", "unsupported_grant_type", "unauthorized_client", "invalid_scope"])
def test_a_malformed_request_is_rejected(code: str) -> None:
    oauth, _ = client(Answer(json.dumps({"error": code}).encode(), 400))
    with pytest.raises(RejectedError) as caught:
        oauth.refresh("x")
    assert caught.value.code == code


def test_a_throttled_renewal_says_how_long_to_wait() -> None:
    oauth, quickbooks = client(Answer(b"", 429, {"Retry-After": "9"}))
    with pytest.raises(ThrottledError) as caught:
        oauth.refresh("x")
    assert caught.value.retry_after == 9
    assert len(quickbooks.seen) == 1


def test_a_redirect_does_not_carry_the_tokens_away() -> None:
    oauth, quickbooks = client(Answer(b"", 307, {"Location": "https://evil.example/"}), tokens())
    with pytest.raises(RejectedError, match="redirect"):
        oauth.refresh("x")
    assert len(quickbooks.seen) == 1


def test_a_token_is_revoked_in_json() -> None:
    oauth, quickbooks = client(Answer(b""))
    oauth.revoke("RT1-canary-refresh")
    (request,) = quickbooks.seen
    assert request.url == PRODUCTION.revocation_url
    assert json.loads(body_of(request)) == {"token": "RT1-canary-refresh"}
    oauth, _ = client(Answer(b'{"error":"invalid_request"}', 400))
    with pytest.raises(RejectedError):
        oauth.revoke("RT1-canary-refresh")


def test_the_consent_page_is_asked_for_exactly_what_is_needed() -> None:
    oauth, _ = client(tokens())
    url = oauth.authorize_url("st&te", CALLBACK)
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://appcenter.intuit.com/connect/oauth2"
    assert parse_qs(parts.query) == {
        "client_id": ["id+/1"],
        "response_type": ["code"],
        "scope": ["com.intuit.quickbooks.accounting"],
        "redirect_uri": [CALLBACK],
        "state": ["st&te"],
    }
    assert "canary-secret" not in url
    assert "scope=openid%20email" in oauth.authorize_url("s", CALLBACK, ["openid", "email"])


@pytest.mark.parametrize("form", ["{}", "Basic {}", "basic  {}", " {} "])
def test_credentials_may_come_already_joined(form: str) -> None:
    joined = base64.b64encode(b"id:canary:secret").decode()
    quickbooks = FakeQuickBooks([tokens()])
    oauth = OAuthClient(PRODUCTION, auth_basic=form.format(joined), session=quickbooks.session())
    oauth.refresh("x")
    assert quickbooks.seen[0].headers["Authorization"] == f"Basic {joined}"
    assert "client_id=id&" in oauth.authorize_url("s", CALLBACK)


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"client_id": "x"},
        {"client_secret": "x"},
        {"auth_basic": "canary!"},
        {"auth_basic": "aWQ="},
        {"auth_basic": "Omlk"},
    ],
)
def test_missing_or_broken_credentials_are_named(credentials: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        OAuthClient(PRODUCTION, session=requests.Session(), **credentials)  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)


@given(
    st.integers(200, 599),
    st.binary(max_size=100)
    | st.dictionaries(
        st.sampled_from(["error", "error_description", *TOKENS]),
        st.none()
        | st.integers()
        | st.lists(st.text(max_size=3), max_size=2)
        | st.text(max_size=10)
        | st.sampled_from(SECRETS),
    ).map(lambda members: json.dumps(members).encode()),
)
def test_any_answer_is_a_whole_grant_or_one_of_our_errors_and_shows_nothing(status: int, body: bytes) -> None:
    for ask, sent in zip(EVERY_GRANT, ("RT1-canary-refresh", "canary-code"), strict=True):
        oauth, _ = client(Answer(body, status))
        try:
            grant = ask(oauth)
        except QboError as error:
            shown = f"{error} {error!r} {vars(error)}"
            whole = None
        else:
            shown, whole = repr(grant), grant
        assert whole is None or (whole.access_token and whole.refresh_token and status == 200)
        for secret in ("canary-secret", sent, *(TOKENS[name] for name in ("access_token", "refresh_token") if whole)):
            assert secret not in shown


@pytest.mark.parametrize("secret", ["RT1-canary-refresh", "canary-code"])
def test_a_description_that_quotes_the_token_is_scrubbed(secret: str) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": f"Token {secret} invalid"}).encode()
    for ask in EVERY_GRANT:
        oauth, _ = client(Answer(body, 400))
        with pytest.raises(ReauthorizationRequiredError) as caught:
            ask(oauth)
        sent_something_else = (secret == "canary-code") is (ask is EVERY_GRANT[0])
        assert sent_something_else or secret not in str(caught.value)


def test_real_token_answers_are_understood(samples: Path) -> None:
    files = sorted((samples / "oauth").rglob("*.json"))
    if not files:
        pytest.skip(f"NO REAL TOKEN ANSWERS in {samples / 'oauth'}")
    for file in files:
        is_error = file.parent.name == "error"
        oauth, _ = client(Answer(file.read_bytes(), 400 if is_error else 200))
        if is_error:
            with pytest.raises(ReauthorizationRequiredError):
                oauth.refresh("x")
        else:
            assert oauth.refresh("x").refresh_expires_in == 8726400
