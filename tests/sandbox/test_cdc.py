"""Change data capture over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.hand import Sandbox

DAY = 86_400


@pytest.fixture
def realm(sandbox: Sandbox) -> str:
    sandbox.control("POST", "/clock", {"at": "2026-12-01T12:00:00-08:00", "freeze": True})
    return sandbox.empty_company()


def _create(entity: str, **record: Any) -> dict[str, Any]:
    return {"op": "create", "entity": entity, "record": record}


def _cdc(sandbox: Sandbox, realm: str, entities: str, since: str = "2026-12-01T00:00:00-08:00") -> Any:
    answer = sandbox.call("GET", "cdc", realm=realm, params={"entities": entities, "changedSince": since})
    return answer.json()


def _blocks(answer: Any) -> dict[str, Any]:
    (response,) = answer["CDCResponse"]
    return {name: block for block in response["QueryResponse"] for name in block if isinstance(block[name], list)}


def test_changes_come_whole_and_deletes_as_stubs_after_them(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(_create("Bill", Line=[]), _create("Bill", Line=[]), realm=realm)
    sandbox.control("POST", "/clock", {"advance_seconds": 60})
    sandbox.edit({"op": "delete", "entity": "Bill", "id": made[0]["Id"]}, realm=realm)
    block = _blocks(_cdc(sandbox, realm, "Bill"))["Bill"]
    assert list(block) == ["Bill", "startPosition", "maxResults", "totalCount"]
    live, stub = block["Bill"]
    assert live["Id"] == made[1]["Id"]
    assert stub == {
        "domain": "QBO",
        "status": "Deleted",
        "Id": made[0]["Id"],
        "MetaData": {"LastUpdatedTime": "2026-12-01T12:01:00-08:00"},
    }


def test_an_entity_without_changes_is_an_empty_block(sandbox: Sandbox, realm: str) -> None:
    assert _cdc(sandbox, realm, "Invoice,Customer")["CDCResponse"] == [{"QueryResponse": [{}, {}]}]
    sandbox.control("POST", "/settings", {"cdc_unchanged": "omit"})
    assert _cdc(sandbox, realm, "Invoice,Customer")["CDCResponse"] == [{"QueryResponse": [{}]}]


def test_a_change_in_the_very_second_asked_for_is_included(sandbox: Sandbox, realm: str) -> None:
    sandbox.edit(_create("Term", Name="Net 9"), realm=realm)
    now = "2026-12-01T12:00:00-08:00"
    assert "Term" in _blocks(_cdc(sandbox, realm, "Term", now))
    sandbox.control("POST", "/settings", {"cdc_inclusive": False})
    assert _blocks(_cdc(sandbox, realm, "Term", now)) == {}


def test_a_thousand_objects_at_most_and_stubs_are_cut_first(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(*[_create("Bill", Line=[]) for _ in range(1003)], realm=realm)
    sandbox.edit(*[{"op": "delete", "entity": "Bill", "id": each["Id"]} for each in made[:5]], realm=realm)
    sandbox.edit(_create("Term", Name="Net 9"), realm=realm)
    block = _blocks(_cdc(sandbox, realm, "Bill"))["Bill"]
    assert (len(block["Bill"]), block["totalCount"]) == (1000, 1003)
    assert sum(row.get("status") == "Deleted" for row in block["Bill"]) == 2
    assert "Term" not in _blocks(_cdc(sandbox, realm, "Bill,Term"))
    sandbox.control("POST", "/settings", {"cdc_cap_scope": "entity"})
    assert "Term" in _blocks(_cdc(sandbox, realm, "Bill,Term"))


def test_inactive_names_are_changes_too(sandbox: Sandbox, realm: str) -> None:
    (made,) = sandbox.edit(_create("Customer", DisplayName="Copse"), realm=realm)
    sandbox.edit({"op": "deactivate", "entity": "Customer", "id": made["Id"]}, realm=realm)
    (row,) = _blocks(_cdc(sandbox, realm, "customer"))["Customer"]["Customer"]
    assert (row["Active"], row["DisplayName"]) == (False, "Copse (deleted)")


def test_what_change_data_capture_refuses(sandbox: Sandbox, realm: str) -> None:
    for entities in ("TaxCode", "Invoice,TaxRate", "JournalCode", "Nonsense"):
        error = _cdc(sandbox, realm, entities)["Fault"]["Error"][0]
        assert (error["code"], error["Message"]) == ("500", "Unsupported Operation")
    old = "2026-10-30T00:00:00-07:00"
    assert _cdc(sandbox, realm, "Invoice", old)["Fault"]["Error"][0]["Detail"] == (
        f"Operation cdc with changedSince date {old} which is older than fixed days is not supported."
    )
    sandbox.control("POST", "/settings", {"cdc_too_old": "serve", "cdc_unsupported": "omit"})
    assert "CDCResponse" in _cdc(sandbox, realm, "Invoice,TaxRate", old)


@pytest.mark.parametrize(("knob", "shown"), [("stub", "Deleted"), ("inactive", False), ("nothing", None)])
def test_a_merge_shows_as_the_knob_says_and_repoints_transactions(
    sandbox: Sandbox, realm: str, knob: str, shown: object
) -> None:
    sandbox.control("POST", "/settings", {"cdc_merge": knob})
    winner, loser = sandbox.edit(*[_create("Customer", DisplayName=name) for name in ("Ash", "Oak")], realm=realm)
    (invoice,) = sandbox.edit(_create("Invoice", CustomerRef={"value": loser["Id"]}, Line=[]), realm=realm)
    merge = {"op": "merge", "entity": "Customer", "id": loser["Id"], "into": winner["Id"]}
    assert sandbox.edit(merge, realm=realm)[0]["repointed"] == 1
    answer = sandbox.call("GET", f"invoice/{invoice['Id']}", realm=realm).json()["Invoice"]
    assert answer["CustomerRef"] == {"value": winner["Id"], "name": "Ash"}
    rows = _blocks(_cdc(sandbox, realm, "Customer"))["Customer"]["Customer"]
    found: dict[str, Any] = next((row for row in rows if row["Id"] == loser["Id"]), {})
    assert found.get("status", found.get("Active")) == shown


def test_what_change_data_capture_does_not_cover_may_be_left_out_in_silence(sandbox: Sandbox, realm: str) -> None:
    sandbox.edit(_create("Term", Name="Net 9"), _create("TimeActivity", Hours=1), realm=realm)
    assert set(_blocks(_cdc(sandbox, realm, "Term,TimeActivity"))) == {"Term", "TimeActivity"}
    sandbox.control("POST", "/settings", {"cdc_time_activity": False})
    assert _cdc(sandbox, realm, "Term,TimeActivity")["Fault"]["Error"][0]["code"] == "500"
    sandbox.control("POST", "/settings", {"cdc_unsupported": "omit"})
    assert set(_blocks(_cdc(sandbox, realm, "Term,TimeActivity,TaxCode"))) == {"Term"}
    assert _cdc(sandbox, realm, "TaxCode")["CDCResponse"] == [{"QueryResponse": []}]


def test_too_old_a_date_may_be_served_with_thirty_days_of_it(sandbox: Sandbox, realm: str) -> None:
    """Forty-five days later: of what happened before the last thirty there is no trace, and nobody says so."""
    made = sandbox.edit(*[_create("Bill", Line=[]) for _ in range(2)], realm=realm)
    sandbox.edit({"op": "delete", "entity": "Bill", "id": made[0]["Id"]}, realm=realm)
    sandbox.control("POST", "/clock", {"advance_seconds": 45 * DAY})
    sandbox.connect(realm)
    (late,) = sandbox.edit(_create("Bill", Line=[]), realm=realm)
    assert "older than fixed days" in str(_cdc(sandbox, realm, "Bill"))
    sandbox.control("POST", "/settings", {"cdc_too_old": "serve"})
    answer = _cdc(sandbox, realm, "Bill")
    assert [row["Id"] for row in _blocks(answer)["Bill"]["Bill"]] == [late["Id"]]
    assert answer["time"].startswith("2027-01-15T12:00:00")


def test_blocks_come_in_any_order_unless_told_otherwise(sandbox: Sandbox, realm: str) -> None:
    names = ["Term", "PaymentMethod", "Department", "Class"]
    sandbox.edit(*[_create(name, Name="One") for name in names], realm=realm)
    orders = {tuple(_blocks(_cdc(sandbox, realm, ",".join(names)))) for _ in range(12)}
    assert len(orders) > 1
    sandbox.control("POST", "/settings", {"cdc_shuffle": False})
    assert {tuple(_blocks(_cdc(sandbox, realm, ",".join(names)))) for _ in range(12)} == {tuple(names)}


def test_stubs_may_come_first_and_then_live_objects_are_cut(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(*[_create("Bill", Line=[]) for _ in range(4)], realm=realm)
    sandbox.edit({"op": "delete", "entity": "Bill", "id": made[0]["Id"]}, realm=realm)
    sandbox.control("POST", "/settings", {"cdc_stubs_first": True, "cdc_cap": 3})
    rows = _blocks(_cdc(sandbox, realm, "Bill"))["Bill"]["Bill"]
    assert [row["Id"] for row in rows] == [each["Id"] for each in made[:3]]
    assert [row.get("status") for row in rows] == ["Deleted", None, None]


def test_everything_may_come_twice(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(_create("Bill", Line=[]), _create("Bill", Line=[]), realm=realm)
    sandbox.edit({"op": "delete", "entity": "Bill", "id": made[0]["Id"]}, realm=realm)
    sandbox.control("POST", "/settings", {"cdc_duplicates": True})
    block = _blocks(_cdc(sandbox, realm, "Bill"))["Bill"]
    keys = [row["Id"] for row in block["Bill"]]
    assert keys == [made[1]["Id"]] * 2 + [made[0]["Id"]] * 2
    assert (block["maxResults"], block["totalCount"]) == (4, 4)
    sandbox.control("POST", "/settings", {"cdc_cap": 3})
    assert len(_blocks(_cdc(sandbox, realm, "Bill"))["Bill"]["Bill"]) == 3, "the cap counts what is sent"


def test_a_live_record_may_be_shown_as_deleted(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(_create("Bill", Line=[]), _create("Bill", Line=[]), realm=realm)
    sandbox.control("POST", "/clock", {"advance_seconds": 3600})
    sandbox.control("POST", "/settings", {"cdc_false_stubs": [f"Bill/{made[0]['Id']}", "Bill/999", "Term/1"]})
    rows = _blocks(_cdc(sandbox, realm, "Bill"))["Bill"]["Bill"]
    assert [(row["Id"], row.get("status")) for row in rows] == [(made[1]["Id"], None), (made[0]["Id"], "Deleted")]
    assert rows[1]["MetaData"]["LastUpdatedTime"] == "2026-12-01T13:00:00-08:00", "as if it had just been deleted"
    (row,) = _blocks(_cdc(sandbox, realm, "Bill", "2026-12-01T12:30:00-08:00"))["Bill"]["Bill"]
    assert row["status"] == "Deleted", "in whatever time was asked for"
    assert sandbox.ids("select * from Bill orderby Id", realm=realm) == [each["Id"] for each in made]
    assert "deleted" not in str(sandbox.books(realm)).lower()


def test_card_payments_are_keyed_as_transactions_whatever_they_are_asked_as(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(*[_create("CreditCardPaymentTxn", Amount=5) for _ in range(2)], realm=realm)
    sandbox.edit({"op": "delete", "entity": "CreditCardPaymentTxn", "id": made[0]["Id"]}, realm=realm)
    for word in ("CreditCardPayment", "creditcardpaymenttxn"):
        block = _blocks(_cdc(sandbox, realm, word))["CreditCardPaymentTxn"]
        assert [row["Id"] for row in block["CreditCardPaymentTxn"]] == [made[1]["Id"], made[0]["Id"]]


def test_templates_come_wrapped_and_so_do_their_stubs(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(
        *[_create("RecurringTransaction", Bill={"TotalAmt": 5, "RecurringInfo": {"Name": name}}) for name in "AB"],
        realm=realm,
    )
    sandbox.edit({"op": "delete", "entity": "RecurringTransaction", "id": made[0]["Id"]}, realm=realm)
    rows = _blocks(_cdc(sandbox, realm, "RecurringTransaction"))["RecurringTransaction"]["RecurringTransaction"]
    assert [list(row) for row in rows] == [["Bill"], ["Bill"]]
    live, stub = (row["Bill"] for row in rows)
    assert (live["Id"], live["RecurringInfo"]) == (made[1]["Id"], {"Name": "B"})
    assert (stub["Id"], stub["status"]) == (made[0]["Id"], "Deleted")


@pytest.mark.parametrize(("code", "status"), [("4002", 400), ("10000", 500)])
def test_a_poisoned_record_spoils_every_answer_whose_time_it_falls_into(
    sandbox: Sandbox, realm: str, code: str, status: int
) -> None:
    bad, _good = sandbox.edit(_create("Bill", Line=[]), _create("Bill", Line=[]), realm=realm)
    settings = {"poisoned": [f"Bill/{bad['Id']}"], "poisoned_code": code, "cdc_cap": 1, "cdc_shuffle": False}
    sandbox.control("POST", "/settings", settings)
    asked = {"entities": "Term,Bill", "changedSince": "2026-12-01T12:00:00-08:00"}
    answer = sandbox.call("GET", "cdc", realm=realm, params=asked)
    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (status, code)
    assert "CDCResponse" in _cdc(sandbox, realm, "Term")
    assert "CDCResponse" in _cdc(sandbox, realm, "Bill", "2026-12-01T12:00:01-08:00")
    sandbox.edit({"op": "delete", "entity": "Bill", "id": bad["Id"]}, realm=realm)
    assert "CDCResponse" in _cdc(sandbox, realm, "Bill"), "its stub is harmless"
