"""Consent, renewal and revocation as the local QuickBooks grants them."""

from __future__ import annotations

import pytest
import requests

from qbo_pipeline.errors import ReauthorizationRequiredError, RejectedError, RetryableError, UnauthorizedError
from qbo_pipeline.qbo.environments import Environment
from qbo_pipeline.qbo.oauth import OAuthClient
from qbo_pipeline.qbo.query import Select
from tests.contract.conftest import CALLBACK, Connection, Sandbox


def test_a_person_consents_and_the_company_is_connected(sandbox: Sandbox, oauth: OAuthClient) -> None:
    callback = sandbox.consent(oauth, state="state-1")
    assert callback["state"] == "state-1"
    assert callback["realmId"].isdigit()
    grant = oauth.exchange(callback["code"], CALLBACK)
    assert (grant.token_type.lower(), grant.expires_in) == ("bearer", 3600)
    assert grant.refresh_expires_in > 90 * 86_400
    assert grant.refresh_hard_expires_in is not None
    assert grant.refresh_hard_expires_in > 4 * 365 * 86_400
    assert grant.intuit_tid
    assert grant.access_token not in repr(grant)
    assert grant.refresh_token not in repr(grant)


def test_a_renewed_token_works(company: Connection) -> None:
    company.grant = company.oauth.refresh(company.grant.refresh_token)
    assert company.client.query(Select("Invoice").page(1, 1)).records


def test_the_refresh_token_rotates_and_the_old_one_is_dead(sandbox: Sandbox, company: Connection) -> None:
    sandbox.tell("/tokens/policy", {"rotation": "every_call"})
    renewed = company.oauth.refresh(company.grant.refresh_token)
    assert renewed.refresh_token != company.grant.refresh_token
    with pytest.raises(ReauthorizationRequiredError) as caught:
        company.oauth.refresh(company.grant.refresh_token)
    assert caught.value.code == "invalid_grant"
    assert company.oauth.refresh(renewed.refresh_token).access_token


def test_a_code_is_good_once(sandbox: Sandbox, oauth: OAuthClient) -> None:
    code = sandbox.consent(oauth)["code"]
    oauth.exchange(code, CALLBACK)
    with pytest.raises(ReauthorizationRequiredError):
        oauth.exchange(code, CALLBACK)


def test_wrong_keys_are_told_apart_from_a_dead_token(
    sandbox: Sandbox, environment: Environment, session: requests.Session, company: Connection
) -> None:
    stranger = OAuthClient(environment, client_id="sandbox-client", client_secret="not-it", session=session)
    with pytest.raises(RejectedError) as caught:
        stranger.refresh(company.grant.refresh_token)
    assert caught.value.code == "invalid_client"
    assert company.oauth.refresh(company.grant.refresh_token)


def test_a_revoked_company_must_be_connected_again(company: Connection) -> None:
    company.oauth.revoke(company.grant.refresh_token)
    with pytest.raises(ReauthorizationRequiredError):
        company.oauth.refresh(company.grant.refresh_token)
    with pytest.raises((UnauthorizedError, ReauthorizationRequiredError)):
        company.client.query(Select("Invoice").page(1, 1))


@pytest.mark.parametrize("fault", ["http_500", "http_503_html", "drop_connection", "truncated_json", "http_429"])
def test_a_renewal_whose_answer_is_lost_is_tried_once_and_left_to_the_caller(
    sandbox: Sandbox, company: Connection, fault: str
) -> None:
    """``processed``: QuickBooks did rotate the token, only its answer was lost."""
    sandbox.tell("/calls", method="DELETE")
    sandbox.break_calls(fault, match={"path": "tokens/bearer"}, times=0, processed=True)
    with pytest.raises(RetryableError):
        company.oauth.refresh(company.grant.refresh_token)
    assert sum("tokens/bearer" in call["path"] for call in sandbox.tell("/calls")["calls"]) == 1
