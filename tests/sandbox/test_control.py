"""The remote control: state, clock, books and plain refusals."""

from __future__ import annotations

import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from qbo_pipeline.sandbox.control import ROUTES
from tests.sandbox.hand import REALM, ROOT, Sandbox


def test_reset_brings_the_same_companies_back(sandbox: Sandbox) -> None:
    before = sandbox.books()
    sandbox.edit({"op": "delete", "entity": "Invoice", "id": before["Invoice"][0]["Id"]})
    sandbox.empty_company()
    assert sandbox.books() != before
    assert sandbox.control("POST", "/reset") == {"companies": [REALM]}
    assert sandbox.books() == before


def test_the_clock_can_be_set_moved_and_stopped(sandbox: Sandbox) -> None:
    frozen = sandbox.control("POST", "/clock", {"at": "2027-03-01T00:00:00Z", "freeze": True})
    assert sandbox.control("GET", "/clock") == frozen
    assert frozen["epoch"] == 1_803_859_200
    assert sandbox.control("POST", "/clock", {"advance_seconds": 90})["epoch"] == 1_803_859_290
    assert sandbox.control("POST", "/clock", {"freeze": False})["frozen"] is False


@pytest.mark.parametrize("skew", [-3600, 20, 45 * 86_400])
def test_every_time_it_tells_follows_a_skewed_clock(sandbox: Sandbox, skew: int) -> None:
    """Body, header, records and the log agree with each other, and not with the machine's clock."""
    moved = sandbox.control("POST", "/clock", {"advance_seconds": skew, "freeze": True})
    assert abs(moved["epoch"] - time.time() - skew) < 60
    sandbox.edit({"op": "touch", "entity": "Term", "id": "1"})
    answer = sandbox.call("GET", "query", params={"query": "select * from Term where Id = '1'"})
    (term,) = answer.json()["QueryResponse"]["Term"]
    fault = sandbox.query("select * from Nothing", status=400)
    log = sandbox.control("GET", "/calls")["calls"][-1]
    told = [answer.json()["time"], fault["time"], term["MetaData"]["LastUpdatedTime"], log["at"]]
    told.append(sandbox.control("GET", f"/books/{REALM}")["time"])
    assert {int(datetime.fromisoformat(each).timestamp()) for each in told} == {moved["epoch"]}
    assert parsedate_to_datetime(answer.headers["date"]).timestamp() == moved["epoch"]


def test_a_clock_that_was_stopped_goes_on_from_there(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/clock", {"at": "2030-01-01T00:00:00Z", "freeze": True})
    sandbox.control("POST", "/clock", {"freeze": False})
    assert sandbox.control("GET", "/clock")["time"].startswith("2029-12-31T16:0")


def test_a_deleted_record_can_come_back(sandbox: Sandbox) -> None:
    before = next(row for row in sandbox.books()["Invoice"] if row["LinkedTxn"] and row["Balance"] == 0)
    owed = _customer(sandbox, before)
    operations = [{"op": word, "entity": "Invoice", "id": before["Id"]} for word in ("delete", "restore")]
    sandbox.control("POST", "/clock", {"at": "2027-03-01T00:00:00-08:00", "freeze": True})
    sandbox.edit(operations[0])
    gone = sandbox.control("GET", f"/books/{REALM}")
    assert [row["Id"] for row in gone["deleted"]["Invoice"]] == [before["Id"]]
    sandbox.edit(operations[1])
    truth = sandbox.control("GET", f"/books/{REALM}")
    assert "Invoice" not in truth["deleted"]
    after = next(row for row in truth["entities"]["Invoice"] if row["Id"] == before["Id"])
    assert int(after["SyncToken"]) == int(before["SyncToken"]) + 1
    assert after["MetaData"] == before["MetaData"] | {"LastUpdatedTime": "2027-03-01T00:00:00-08:00"}
    assert (after["Balance"], after["LinkedTxn"], after["Line"]) == (after["TotalAmt"], [], before["Line"])
    assert _customer(sandbox, before) == owed, "what had paid it is unapplied, and it is owed again"
    asked = {"entities": "Invoice", "changedSince": "2027-03-01T00:00:00-08:00"}
    (block,) = sandbox.call("GET", "cdc", params=asked).json()["CDCResponse"][0]["QueryResponse"]
    assert [(row["Id"], "status" in row) for row in block["Invoice"]] == [(before["Id"], False)]
    assert sandbox.call("GET", f"invoice/{before['Id']}").json()["Invoice"] == after


def _customer(sandbox: Sandbox, invoice: dict[str, Any]) -> Any:
    key = invoice["CustomerRef"]["value"]
    return next(row["Balance"] for row in sandbox.books()["Customer"] if row["Id"] == key)


def test_a_payment_that_comes_back_pays_again_and_a_template_keeps_its_kind(sandbox: Sandbox) -> None:
    def books() -> dict[str, Any]:
        found: dict[str, Any] = sandbox.books()
        for rows in found.values():
            for row in rows:
                for each in (row, *row.values()):
                    if isinstance(each, dict):
                        each.pop("SyncToken", None)
                        each.pop("MetaData", None)
        return {name: sorted(rows, key=str) for name, rows in found.items()}

    payment, template = sandbox.books()["Payment"][0]["Id"], sandbox.books()["RecurringTransaction"][0]
    ((_, inner),) = template.items()
    before = books()
    for entity, key in (("Payment", payment), ("RecurringTransaction", inner["Id"])):
        sandbox.edit({"op": "delete", "entity": entity, "id": key}, {"op": "restore", "entity": entity, "id": key})
    assert books() == before


def test_only_what_was_deleted_can_be_restored(sandbox: Sandbox) -> None:
    key = sandbox.books()["Bill"][0]["Id"]
    restore = {"op": "restore", "entity": "Bill", "id": key}
    error = sandbox.control("POST", f"/books/{REALM}", [restore], status=400)["error"]
    assert error == f"There is no deleted Bill {key} to restore."
    sandbox.edit({"op": "delete", "entity": "Bill", "id": key})
    assert sandbox.control("POST", f"/books/{REALM}", [restore, restore], status=400)["error"] == error
    sandbox.edit(restore, {"op": "delete", "entity": "Bill", "id": key}, restore)


def test_the_ground_truth_holds_records_and_deletions(sandbox: Sandbox) -> None:
    key = sandbox.books()["Bill"][0]["Id"]
    sandbox.edit({"op": "delete", "entity": "Bill", "id": key})
    truth = sandbox.control("GET", f"/books/{REALM}")
    assert (truth["realm"], list(truth)) == (REALM, ["realm", "name", "entities", "deleted", "time"])
    assert [row["Id"] for row in truth["deleted"]["Bill"]] == [key]
    assert key not in [row["Id"] for row in truth["entities"]["Bill"]]


def test_a_silent_edit_moves_neither_time_nor_token(sandbox: Sandbox) -> None:
    before = sandbox.books()["Term"][0]
    sandbox.edit({"op": "update", "entity": "Term", "id": before["Id"], "record": {"Name": "Quiet"}, "silent": True})
    assert sandbox.books()["Term"][0] == before | {"Name": "Quiet"}


def test_a_touch_moves_only_the_time(sandbox: Sandbox) -> None:
    before = sandbox.books()["Term"][0]
    sandbox.control("POST", "/clock", {"at": "2027-03-01T00:00:00-08:00", "freeze": True})
    sandbox.edit({"op": "touch", "entity": "Term", "id": before["Id"]})
    after = sandbox.books()["Term"][0]
    assert after["MetaData"].pop("LastUpdatedTime") == "2027-03-01T00:00:00-08:00"
    assert after["SyncToken"] == before["SyncToken"]


def test_companies_can_be_added_generated_or_empty(sandbox: Sandbox) -> None:
    made = sandbox.control("POST", "/companies", {"name": "Second", "seed": 5, "invoices": 30})
    assert (made["name"], made["counts"]["Invoice"]) == ("Second", 30)
    assert sandbox.control("POST", "/companies", {"name": "Third"})["counts"] == {}
    assert len(sandbox.control("GET", "/companies")["companies"]) == 3


def test_raw_payloads_can_be_loaded_into_a_company(sandbox: Sandbox) -> None:
    realm = sandbox.empty_company()
    documents = [{"Term": {"Id": "8", "Name": "Net 8"}, "time": "x"}, {"Header": {}, "Columns": {}, "Rows": {}}]
    report = sandbox.control("POST", f"/books/{realm}/load", documents)
    assert (report["records"], report["passed_over"]) == ({"Term": 1}, {"report": 1})
    assert sandbox.books(realm) == {"Term": [{"Id": "8", "Name": "Net 8"}]}


def test_the_call_log_tells_who_asked_what(sandbox: Sandbox) -> None:
    sandbox.query("select * from Invoice maxresults 1")
    answer = sandbox.call("GET", "term/1")
    everything = sandbox.control("GET", "/calls")
    assert [call["path"] for call in everything["calls"]][:2] == ["/connect/oauth2", "/oauth2/v1/tokens/bearer"]
    queried, read = sandbox.control("GET", f"/calls?realm={REALM}&since=2")["calls"]
    assert (queried["entity"], queried["statement"]) == ("Invoice", "select * from Invoice maxresults 1")
    assert (queried["status"], queried["metered"], queried["realm"]) == (200, True, REALM)
    assert (read["entity"], read["intuit_tid"]) == ("Term", answer.headers["intuit_tid"])
    assert sandbox.control("DELETE", "/calls")["removed"] == 4
    assert sandbox.control("GET", "/calls")["calls"] == []


def test_the_call_log_keeps_no_secret(sandbox: Sandbox) -> None:
    tokens = sandbox.connect()
    sandbox.refresh(tokens["refresh_token"])
    logged = str(sandbox.control("GET", "/calls"))
    assert tokens["refresh_token"] not in logged
    assert "sandbox-secret" not in logged


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/settings", {"nonsense": 1}),
        ("POST", "/settings", {"cdc_merge": "perhaps"}),
        ("POST", "/settings", {"timezone": "Mars/Crater"}),
        ("POST", "/tokens/policy", {"rotation": "hourly"}),
        ("POST", "/tokens/expire", {"who": "me"}),
        ("POST", "/clock", {"at": "yesterday"}),
        ("POST", "/clock", {"forward": 5}),
        ("POST", "/clock", [1]),
        ("POST", "/clock", {"at": 5}),
        ("POST", "/clock", {"advance_seconds": "nan"}),
        ("POST", "/clock", {"advance_seconds": 1e300}),
        ("POST", "/clock", {"freeze": "yes"}),
        ("POST", "/faults", {"fault": "http_500", "probability": 2}),
        ("POST", "/faults", {"fault": "http_500", "times": -1}),
        ("POST", "/faults", {"fault": "retry_after", "retry_after": "1\r\nX: y"}),
        ("POST", "/faults", {"fault": "mutate_books", "kinds": ["burn"]}),
        ("POST", "/faults", {"fault": "mutate_books", "per_call": 0}),
        ("POST", "/faults", {"fault": "fire"}),
        ("POST", "/faults", {"fault": "http_500", "match": {"moon": "full"}}),
        ("GET", "/books/123", None),
        ("POST", f"/books/{REALM}", {"op": "create"}),
        ("POST", f"/books/{REALM}", [{"op": "burn", "entity": "Invoice", "id": "1"}]),
        ("POST", f"/books/{REALM}", [{"op": "delete", "entity": "Unicorn", "id": "1"}]),
        ("POST", f"/books/{REALM}", [{"op": "delete", "entity": "Invoice", "id": "99999"}]),
        ("POST", f"/books/{REALM}", [{"op": "update", "entity": "Invoice"}]),
        ("POST", f"/books/{REALM}", [{"op": "touch", "entity": "Term", "id": "1"}, {"op": "fly", "entity": "Term"}]),
        ("POST", f"/books/{REALM}", [{"op": "delete", "entity": "Term", "id": "1"}] * 2),
        ("POST", f"/books/{REALM}", [{"op": "create", "entity": "Term", "record": {"Id": "1"}}]),
        ("POST", f"/books/{REALM}", [{"op": "create", "entity": "Bill", "record": {"Line": 5}}]),
        ("POST", f"/books/{REALM}", [{"op": "merge", "entity": "Customer", "id": "1"}]),
        ("POST", "/companies", {"realm": "abc"}),
        ("POST", "/companies", {"realm": REALM}),
        ("GET", "/calls?since=now", None),
        ("GET", "/nothing", None),
        ("DELETE", "/clock", None),
    ],
)
def test_what_it_does_not_understand_it_says_in_a_sentence(sandbox: Sandbox, method: str, path: str, body: Any) -> None:
    before = sandbox.books()
    error = sandbox.control(method, path, body, status=400)["error"]
    assert error.strip()
    assert "\n" not in error
    assert sandbox.books() == before


def test_the_body_must_be_json(sandbox: Sandbox) -> None:
    answer = sandbox.session.post(f"{sandbox.url}/_sandbox/clock", data="{", timeout=30)
    assert answer.status_code == 400


@pytest.mark.parametrize("path", [route.path for route in ROUTES])
def test_every_route_of_the_remote_control_is_documented(path: str) -> None:
    assert f"`{path}`" in (ROOT / "docs" / "sandbox.md").read_text()


def test_a_template_that_is_touched_stays_one_record(sandbox: Sandbox) -> None:
    """Its times are inside its wrapper, as its Id is."""
    ids = [template_id(each) for each in sandbox.books()["RecurringTransaction"]]
    sandbox.edit({"op": "touch", "entity": "RecurringTransaction", "id": ids[0]})
    assert sorted(template_id(each) for each in sandbox.books()["RecurringTransaction"]) == sorted(ids)


def template_id(template: dict[str, Any]) -> str:
    (inside,) = template.values()
    found: str = inside["Id"]
    return found
