"""Writing through the API, and what it does to other records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.hand import Sandbox

MEMBERS = st.sampled_from(
    [
        "Id",
        "SyncToken",
        "Line",
        "Amount",
        "LinkedTxn",
        "TxnId",
        "TxnType",
        "CustomerRef",
        "value",
        "TotalAmt",
        "DisplayName",
        "MetaData",
        "DetailType",
        "sparse",
        "TxnTaxDetail",
        "TotalTax",
        "BatchItemRequest",
        "Invoice",
        "operation",
        "Query",
        "CDCQuery",
        "ParentRef",
        "Active",
        "DocNumber",
    ]
)


def _line(amount: float) -> dict[str, Any]:
    return {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "1"}}}


def _post(sandbox: Sandbox, path: str, record: dict[str, Any], realm: str, *, status: int = 200) -> Any:
    answer = sandbox.call("POST", path, realm=realm, json=record)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def realm(sandbox: Sandbox) -> str:
    sandbox.control("POST", "/clock", {"at": "2026-12-01T12:00:00-08:00", "freeze": True})
    return sandbox.empty_company()


@pytest.fixture
def customer(sandbox: Sandbox, realm: str) -> dict[str, Any]:
    found: dict[str, Any] = _post(sandbox, "customer", {"DisplayName": "Larch House"}, realm)["Customer"]
    return found


@pytest.fixture
def invoice(sandbox: Sandbox, realm: str, customer: dict[str, Any]) -> dict[str, Any]:
    record = {"CustomerRef": {"value": customer["Id"]}, "Line": [_line(75), _line(25.5)]}
    found: dict[str, Any] = _post(sandbox, "invoice", record, realm)["Invoice"]
    return found


def _read(sandbox: Sandbox, realm: str, path: str) -> Any:
    return next(iter(sandbox.call("GET", path, realm=realm).json().values()))


def _later(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/clock", {"advance_seconds": 60})


def test_a_created_invoice_is_completed(invoice: dict[str, Any]) -> None:
    assert (invoice["SyncToken"], invoice["TotalAmt"], invoice["Balance"]) == ("0", 100.5, 100.5)
    assert invoice["CustomerRef"]["name"] == "Larch House"
    assert [line["DetailType"] for line in invoice["Line"]][-1] == "SubTotalLineDetail"
    assert invoice["MetaData"]["CreateTime"] == "2026-12-01T12:00:00-08:00"


def test_an_update_raises_the_sync_token_and_a_stale_one_is_refused(
    sandbox: Sandbox, realm: str, customer: dict[str, Any]
) -> None:
    _later(sandbox)
    change = {"Id": customer["Id"], "SyncToken": "0", "sparse": True, "Notes": "Ring first"}
    updated = _post(sandbox, "customer", change, realm)["Customer"]
    assert (updated["SyncToken"], updated["DisplayName"], updated["Notes"]) == ("1", "Larch House", "Ring first")
    assert updated["MetaData"]["LastUpdatedTime"] == "2026-12-01T12:01:00-08:00"
    refused = _post(sandbox, "customer", change, realm, status=400)
    assert refused["Fault"]["Error"][0]["code"] == "5010"


def test_a_full_update_clears_what_it_leaves_out(sandbox: Sandbox, realm: str, customer: dict[str, Any]) -> None:
    noted = {"Id": customer["Id"], "SyncToken": "0", "DisplayName": "Larch House", "Notes": "Ring first"}
    assert "Notes" in _post(sandbox, "customer", noted, realm)["Customer"]
    plain = {"Id": customer["Id"], "SyncToken": "1", "DisplayName": "Larch House"}
    assert "Notes" not in _post(sandbox, "customer", plain, realm)["Customer"]


def test_an_invoice_moves_its_customers_balance_and_time_but_not_its_token(
    sandbox: Sandbox, realm: str, customer: dict[str, Any]
) -> None:
    _later(sandbox)
    _post(sandbox, "invoice", {"CustomerRef": {"value": customer["Id"]}, "Line": [_line(40)]}, realm)
    moved = _read(sandbox, realm, f"customer/{customer['Id']}")
    assert (moved["Balance"], moved["SyncToken"]) == (40, "0")
    assert moved["MetaData"]["LastUpdatedTime"] == "2026-12-01T12:01:00-08:00"


def test_a_payment_settles_an_invoice_and_its_deletion_reopens_it(
    sandbox: Sandbox, realm: str, customer: dict[str, Any], invoice: dict[str, Any]
) -> None:
    _later(sandbox)
    link = {"Amount": 60, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
    record = {"CustomerRef": {"value": customer["Id"]}, "TotalAmt": 70, "Line": [link]}
    payment = _post(sandbox, "payment", record, realm)["Payment"]
    assert payment["UnappliedAmt"] == 10
    paid = _read(sandbox, realm, f"invoice/{invoice['Id']}")
    assert (paid["Balance"], paid["SyncToken"]) == (40.5, "0")
    assert paid["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "Payment"}]
    assert paid["MetaData"]["LastUpdatedTime"] == "2026-12-01T12:01:00-08:00"
    assert _read(sandbox, realm, f"customer/{customer['Id']}")["Balance"] == 30.5

    _post(sandbox, "payment?operation=delete", {"Id": payment["Id"], "SyncToken": "0"}, realm)
    reopened = _read(sandbox, realm, f"invoice/{invoice['Id']}")
    assert (reopened["Balance"], reopened["LinkedTxn"]) == (100.5, [])
    assert _read(sandbox, realm, f"customer/{customer['Id']}")["Balance"] == 100.5


def test_a_deleted_invoice_answers_as_recorded_and_is_gone(
    sandbox: Sandbox, realm: str, customer: dict[str, Any], invoice: dict[str, Any]
) -> None:
    answer = _post(sandbox, "invoice?operation=delete", {"Id": invoice["Id"], "SyncToken": "0"}, realm)
    assert answer["Invoice"] == {"domain": "QBO", "status": "Deleted", "Id": invoice["Id"]}
    assert sandbox.call("GET", f"invoice/{invoice['Id']}", realm=realm).json()["Fault"]["Error"][0]["code"] == "610"
    assert sandbox.ids("select * from Invoice", realm=realm) == []
    assert _read(sandbox, realm, f"customer/{customer['Id']}")["Balance"] == 0


@pytest.mark.parametrize("how", ["operation=void", "operation=update&include=void"])
def test_a_void_keeps_the_invoice_and_takes_the_money_out(
    sandbox: Sandbox, realm: str, customer: dict[str, Any], invoice: dict[str, Any], how: str
) -> None:
    voided = _post(sandbox, f"invoice?{how}", {"Id": invoice["Id"], "SyncToken": "0"}, realm)["Invoice"]
    assert (voided["SyncToken"], voided["PrivateNote"], voided["TotalAmt"], voided["Balance"]) == ("1", "Voided", 0, 0)
    assert all(line["Amount"] == 0 for line in voided["Line"])
    assert _read(sandbox, realm, f"customer/{customer['Id']}")["Balance"] == 0


def test_voiding_what_cannot_be_voided_does_what_a_live_sandbox_does(sandbox: Sandbox, realm: str) -> None:
    bill, journal, transfer = sandbox.edit(
        *[{"op": "create", "entity": name, "record": {}} for name in ("Bill", "JournalEntry", "Transfer")], realm=realm
    )
    body = {"SyncToken": "0"}
    assert "Fault" in _post(sandbox, "bill?operation=void", body | {"Id": bill["Id"]}, realm)
    nothing = _post(sandbox, "journalentry?operation=void", body | {"Id": journal["Id"]}, realm)
    assert nothing["BatchItemResponse"] == []
    _post(sandbox, "transfer?operation=void", body | {"Id": transfer["Id"]}, realm, status=400)


def test_an_inactive_name_gets_the_suffix(sandbox: Sandbox, realm: str, customer: dict[str, Any]) -> None:
    change = {"Id": customer["Id"], "SyncToken": "0", "sparse": True, "Active": False}
    gone = _post(sandbox, "customer", change, realm)["Customer"]
    assert (gone["Active"], gone["DisplayName"]) == (False, "Larch House (deleted)")
    assert sandbox.ids("select * from Customer", realm=realm) == []


@pytest.mark.parametrize(
    ("path", "record", "code"),
    [
        ("invoice", {"CustomerRef": {"value": "1"}}, "2020"),
        ("invoice", {"BadJson": 1}, "2010"),
        ("invoice", {"CustomerRef": {"value": "999"}, "Line": [{"Amount": 1}]}, "2500"),
        ("vendor", {"DisplayName": "larch house"}, "6240"),
        ("customer?operation=delete", {"Id": "1", "SyncToken": "0"}, "500"),
        ("invoice?operation=delete", {"Id": "999", "SyncToken": "0"}, "610"),
        ("nonsense", {"Id": "1"}, "500"),
    ],
)
def test_refused_writes_carry_intuits_code(
    sandbox: Sandbox, realm: str, customer: dict[str, Any], path: str, record: dict[str, Any], code: str
) -> None:
    assert _post(sandbox, path, record, realm, status=400)["Fault"]["Error"][0]["code"] == code


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(MEMBERS, inner, max_size=4)),
    max_leaves=12,
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(("invoice", "payment", "customer", "batch", "bill")), json_values)
def test_no_body_whatever_breaks_the_server(sandbox: Sandbox, path: str, body: Any) -> None:
    assert sandbox.call("POST", path, json=body).status_code < 500
    record = {
        "CustomerRef": {"value": "1"},
        "VendorRef": {"value": "1"},
        "TotalAmt": 5,
        "DisplayName": "x",
        "Line": body,
    }
    assert sandbox.call("POST", path, json=record).status_code < 500


def test_a_batch_answers_item_by_item(sandbox: Sandbox, realm: str, customer: dict[str, Any]) -> None:
    items: list[dict[str, Any]] = [
        {"bId": "1", "operation": "create", "Vendor": {"DisplayName": "Fir Supplies"}},
        {"bId": "2", "Query": "select * from Customer"},
        {"bId": "3", "Query": "select * from"},
        {"bId": "4", "operation": "update", "Customer": {"Id": customer["Id"], "SyncToken": "7", "sparse": True}},
        {"bId": "5", "operation": "delete", "Invoice": {"Id": "999", "SyncToken": "0"}},
    ]
    answers = _post(sandbox, "batch", {"BatchItemRequest": items}, realm)["BatchItemResponse"]
    assert [answer["bId"] for answer in answers] == ["1", "2", "3", "4", "5"]
    assert answers[0]["Vendor"]["DisplayName"] == "Fir Supplies"
    assert len(answers[1]["QueryResponse"]["Customer"]) == 1
    assert [answer["Fault"]["Error"][0]["code"] for answer in answers[2:]] == ["4000", "5010", "610"]
    too_many = {"BatchItemRequest": items * 7}
    assert _post(sandbox, "batch", too_many, realm, status=400)["Fault"]["Error"][0]["code"] == "1040"
