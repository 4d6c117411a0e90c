"""Consent, tokens, rotation and revocation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.hand import CALLBACK, CLIENT, REALM, Sandbox

DAY = 86_400


def _landed(sandbox: Sandbox, **params: str) -> dict[str, list[str]]:
    answer = sandbox.authorize(**params)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(CALLBACK)
    return parse_qs(urlsplit(answer.headers["location"]).query)


def _error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("name", ["openid_configuration", "openid_sandbox_configuration", "openid_configuration/"])
def test_discovery_points_at_this_server_with_intuits_paths(sandbox: Sandbox, name: str) -> None:
    found = sandbox.session.get(f"{sandbox.url}/.well-known/{name}", timeout=30).json()
    assert found["token_endpoint"] == f"{sandbox.url}/oauth2/v1/tokens/bearer"
    assert found["authorization_endpoint"] == f"{sandbox.url}/connect/oauth2"
    assert found["revocation_endpoint"] == f"{sandbox.url}/v2/oauth2/tokens/revoke"
    assert found["userinfo_endpoint"] == f"{sandbox.url}/v1/openid_connect/userinfo"
    assert found["issuer"] == f"{sandbox.url}/op/v1"


def test_consent_returns_code_state_and_realm(sandbox: Sandbox) -> None:
    found = _landed(sandbox, realm=REALM, state="abc")
    assert (found["state"], found["realmId"]) == (["abc"], [REALM])
    assert found["code"]


def test_a_person_sees_a_page_with_companies_and_two_buttons(sandbox: Sandbox) -> None:
    page = sandbox.authorize(auto="").text
    assert "Connect</button>" in page
    assert "Deny</button>" in page
    assert REALM in page


def test_denied_and_misasked_consents(sandbox: Sandbox) -> None:
    assert _landed(sandbox, auto="deny") == {"error": ["access_denied"], "state": ["s1"]}
    assert _landed(sandbox, scope="com.intuit.everything")["error"] == ["invalid_scope"]
    assert sandbox.authorize(client_id="somebody").status_code == 400
    assert sandbox.authorize(state="").status_code == 400


def test_a_code_buys_tokens(sandbox: Sandbox) -> None:
    tokens = sandbox.exchange(sandbox.code()).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 3600)
    assert tokens["x_refresh_token_expires_in"] == 8_726_400
    assert "x_refresh_token_hard_expires_in" not in tokens
    assert "id_token" not in tokens


def test_the_hard_expiry_comes_only_when_asked_for(sandbox: Sandbox) -> None:
    form = {"grant_type": "authorization_code", "code": sandbox.code(), "redirect_uri": CALLBACK}
    headers = {"x-include-refresh-token-hard-expires-in": "true"}
    url = f"{sandbox.url}/oauth2/v1/tokens/bearer"
    found = sandbox.session.post(url, data=form, auth=CLIENT, headers=headers, timeout=30).json()
    assert found["x_refresh_token_hard_expires_in"] > 0


def test_a_code_used_twice_kills_the_tokens_of_the_first_use(sandbox: Sandbox) -> None:
    code = sandbox.code()
    tokens = sandbox.exchange(code).json()
    assert _error(sandbox.exchange(code)) == (400, "invalid_grant")
    assert _error(sandbox.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


def test_a_code_needs_its_own_redirect_uri_and_is_short_lived(sandbox: Sandbox) -> None:
    wrong = sandbox.token(grant_type="authorization_code", code=sandbox.code(), redirect_uri="http://localhost/other")
    assert _error(wrong) == (400, "invalid_grant")
    late = sandbox.code()
    sandbox.control("POST", "/clock", {"advance_seconds": 601})
    assert _error(sandbox.exchange(late)) == (400, "invalid_grant")


def test_errors_of_the_token_endpoint(sandbox: Sandbox) -> None:
    assert _error(sandbox.token(grant_type="refresh_token", refresh_token="x", auth=("a", "b"))) == (
        401,
        "invalid_client",
    )
    assert _error(sandbox.token(grant_type="password")) == (400, "unsupported_grant_type")
    assert _error(sandbox.token(nothing="1")) == (400, "invalid_request")
    unknown = sandbox.refresh("RT1-unknown")
    assert unknown.content == b'{"error":"invalid_grant"}'
    assert unknown.headers["intuit_tid"].startswith("1-")


def test_client_credentials_in_the_body_are_a_knob(sandbox: Sandbox) -> None:
    tokens = sandbox.connect()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    form |= {"client_id": CLIENT[0], "client_secret": CLIENT[1]}
    assert sandbox.token(auth=None, **form).status_code == 200
    sandbox.control("POST", "/tokens/policy", {"client_auth": "basic_only"})
    assert _error(sandbox.token(auth=None, **form)) == (401, "invalid_client")


def test_a_refresh_token_keeps_its_value_for_a_day_then_changes(sandbox: Sandbox) -> None:
    first = sandbox.connect()["refresh_token"]
    same = sandbox.refresh(first).json()
    assert same["refresh_token"] == first
    sandbox.control("POST", "/clock", {"advance_seconds": DAY + 1})
    changed = sandbox.refresh(first).json()
    assert changed["refresh_token"] != first
    assert _error(sandbox.refresh(first)) == (400, "invalid_grant")
    assert sandbox.refresh(changed["refresh_token"]).status_code == 200


def test_the_rolling_expiry_counts_down_while_the_value_stays(sandbox: Sandbox) -> None:
    first = sandbox.connect()
    sandbox.control("POST", "/clock", {"advance_seconds": 1000})
    again = sandbox.refresh(first["refresh_token"]).json()
    assert again["x_refresh_token_expires_in"] <= first["x_refresh_token_expires_in"] - 1000


def test_a_refresh_token_left_alone_for_101_days_is_dead(sandbox: Sandbox) -> None:
    first = sandbox.connect()["refresh_token"]
    sandbox.control("POST", "/clock", {"advance_seconds": 101 * DAY + 1})
    assert _error(sandbox.refresh(first)) == (400, "invalid_grant")


def test_rotation_at_every_call_with_and_without_grace(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/tokens/policy", {"rotation": "every_call"})
    first = sandbox.connect()["refresh_token"]
    second = sandbox.refresh(first).json()["refresh_token"]
    assert second != first
    assert _error(sandbox.refresh(first)) == (400, "invalid_grant")
    sandbox.control("POST", "/tokens/policy", {"grace_seconds": DAY})
    assert sandbox.refresh(first).json()["refresh_token"] == second


def test_reuse_of_a_dead_token_may_kill_the_family(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/tokens/policy", {"rotation": "every_call", "revoke_on_reuse": True})
    first = sandbox.connect()["refresh_token"]
    second = sandbox.refresh(first).json()["refresh_token"]
    assert _error(sandbox.refresh(first)) == (400, "invalid_grant")
    assert _error(sandbox.refresh(second)) == (400, "invalid_grant")
    assert sandbox.control("GET", "/tokens")["reuses"] == 1


def test_access_tokens_expire_by_the_sandboxs_clock(sandbox: Sandbox) -> None:
    sandbox.connect()
    assert sandbox.call("GET", "preferences").status_code == 200
    sandbox.control("POST", "/clock", {"advance_seconds": 3601})
    refused = sandbox.call("GET", "preferences")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="Intuit", error="invalid_token"'


def test_access_tokens_can_be_expired_and_companies_disconnected_from_outside(sandbox: Sandbox) -> None:
    tokens = sandbox.connect()
    assert sandbox.control("POST", "/tokens/expire")["expired"] == 1
    assert sandbox.call("GET", "preferences").status_code == 401
    sandbox.tokens[REALM] = sandbox.refresh(tokens["refresh_token"]).json()
    assert sandbox.call("GET", "preferences").status_code == 200
    assert sandbox.control("POST", "/tokens/revoke", {"realm": REALM})["revoked"] == 1
    assert _error(sandbox.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
def test_revoking_either_token_ends_the_grant(sandbox: Sandbox, which: str) -> None:
    tokens = sandbox.connect()
    url = f"{sandbox.url}/v2/oauth2/tokens/revoke"
    assert sandbox.session.post(url, json={"token": tokens[which]}, auth=CLIENT, timeout=30).status_code == 200
    assert sandbox.session.post(url, json={"token": tokens[which]}, auth=CLIENT, timeout=30).status_code == 400
    assert sandbox.call("GET", "preferences").status_code == 401


def test_a_token_opens_its_own_company_only(sandbox: Sandbox) -> None:
    other = sandbox.empty_company()
    token = sandbox.connect()["access_token"]
    url = f"{sandbox.url}/v3/company/{other}/preferences"
    refused = sandbox.session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert refused.status_code == 403
    assert refused.json()["fault"]["error"][0]["code"] == "3100"


def test_userinfo_tells_who_consented(sandbox: Sandbox) -> None:
    token = sandbox.connect()["access_token"]
    url = f"{sandbox.url}/v1/openid_connect/userinfo"
    assert "email" in sandbox.session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30).json()
    assert sandbox.session.get(url, headers={"Authorization": "Bearer x"}, timeout=30).status_code == 401


def test_a_policy_has_a_name(sandbox: Sandbox) -> None:
    turned = sandbox.control(
        "POST", "/tokens/policy", {"name": "every call, reuse revokes", "access_token_seconds": 60}
    )
    assert (turned["rotation"], turned["revoke_on_reuse"], turned["access_token_seconds"]) == ("every_call", True, 60)
    again = sandbox.control("POST", "/tokens/policy", {"name": "daily, 24 h grace"})
    assert (again["rotation"], again["grace_seconds"], again["revoke_on_reuse"]) == ("daily", DAY, False)


def test_a_rotation_can_be_forgotten(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/tokens/policy", {"rotation": "every_call"})
    first = sandbox.connect()["refresh_token"]
    second = sandbox.refresh(first).json()["refresh_token"]
    assert sandbox.control("POST", "/tokens/forget", {"realm": REALM}) == {"forgotten": 1}
    assert _error(sandbox.refresh(second)) == (400, "invalid_grant")
    assert sandbox.refresh(first).status_code == 200


def test_token_calls_under_way_together_are_counted(sandbox: Sandbox) -> None:
    token = sandbox.connect()["refresh_token"]
    assert sandbox.control("GET", "/tokens")["most_at_once"] == 1
    sandbox.control("POST", "/faults", {"fault": "slow", "seconds": 0.5, "times": 0, "match": {"path": "bearer"}})
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: sandbox.refresh(token), range(2)))
    assert sandbox.control("GET", "/tokens")["most_at_once"] == 2


def test_the_callback_can_name_another_company(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/tokens/policy", {"callback_realm": "42"})
    assert _landed(sandbox, auto="1")["realmId"] == ["42"]
