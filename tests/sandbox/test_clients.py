"""Real clients talk to it: Intuit's own OAuth client and python-quickbooks."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from tests.sandbox.hand import CALLBACK, CLIENT, REALM, Sandbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from intuitlib.client import AuthClient
    from intuitlib.enums import Scopes
    from intuitlib.exceptions import AuthClientError
    from quickbooks import QuickBooks
    from quickbooks.cdc import change_data_capture
    from quickbooks.exceptions import ObjectNotFoundException, QuickbooksException
    from quickbooks.objects import Customer, Invoice

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def auth(sandbox: Sandbox) -> Any:
    return AuthClient(*CLIENT, CALLBACK, f"{sandbox.url}/.well-known/openid_sandbox_configuration")


@pytest.fixture
def client(sandbox: Sandbox, auth: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(QuickBooks, "api_url_v3", f"{sandbox.url}/v3")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # it insists on https otherwise, even on loopback
    auth.get_bearer_token(sandbox.code(), realm_id=REALM)
    return QuickBooks(auth_client=auth, refresh_token=auth.refresh_token, company_id=REALM, minorversion=75)


def test_intuits_oauth_client_connects_refreshes_and_revokes(sandbox: Sandbox, auth: Any) -> None:
    url = auth.get_authorization_url([Scopes.ACCOUNTING])
    assert url.startswith(f"{sandbox.url}/connect/oauth2?")
    page = sandbox.session.get(url, timeout=30)
    assert page.status_code == 200
    auth.get_bearer_token(sandbox.code(), realm_id=REALM)
    first = auth.access_token
    auth.refresh()
    assert auth.access_token != first
    assert auth.revoke(token=auth.refresh_token)
    with pytest.raises(AuthClientError, match="invalid_grant"):
        auth.refresh()


def test_intuits_oauth_client_verifies_our_id_token_and_reads_the_user(sandbox: Sandbox, auth: Any) -> None:
    code = sandbox.code(scope="com.intuit.quickbooks.accounting openid email")
    auth.get_bearer_token(code, realm_id=REALM)
    assert auth.id_token
    assert auth.get_user_info().json()["email"] == "owner@sandbox.example"


def test_python_quickbooks_queries_and_reads(sandbox: Sandbox, client: Any) -> None:
    assert Invoice.count(qb=client) == 200
    page = Invoice.all(max_results=10, qb=client)
    assert len(page) == 10
    assert Invoice.get(page[0].Id, qb=client).TotalAmt == page[0].TotalAmt
    named = Customer.filter(DisplayName=page[0].CustomerRef.name, qb=client)
    assert [customer.Id for customer in named] == [page[0].CustomerRef.value]
    with pytest.raises(ObjectNotFoundException):
        Invoice.get(999_999, qb=client)
    with pytest.raises(QuickbooksException):
        Invoice.query("select * from Custmoer", qb=client)


def test_python_quickbooks_writes_and_captures_changes(sandbox: Sandbox, client: Any) -> None:
    since = sandbox.control("GET", "/clock")["time"]
    sandbox.control("POST", "/clock", {"advance_seconds": 60})
    customer = Customer()
    customer.DisplayName = "Rowan's Yard"
    customer.save(qb=client)
    customer.Notes = "Deep snow"
    customer.save(qb=client)
    doomed = Invoice.all(max_results=1, qb=client)[0]
    doomed.delete(qb=client)
    changes = change_data_capture([Customer, Invoice], since[:19] + since[23:], qb=client)
    assert customer.Id in [each.Id for each in changes.Customer]
    gone = [each for each in changes.Invoice if getattr(each, "status", None) == "Deleted"]
    assert [each.Id for each in gone] == [doomed.Id]
