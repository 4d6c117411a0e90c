"""Fault shapes, faults on order, and rate limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox.hand import REALM, Sandbox

INVOICES = {"query": "select * from Invoice"}


def _shape(value: Any) -> Any:
    """Reduce a body to what must agree: names, nesting and kinds of values."""
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value]
    return type(value).__name__


def _recorded(samples: Path, name: str) -> Any:
    return json.loads((samples / "fault" / name).read_text())


def test_a_query_fault_looks_like_the_recorded_one(sandbox: Sandbox, samples: Path) -> None:
    recorded = _recorded(samples, "http-400/minimul-error-400-1.json")
    ours = sandbox.query("SELECT * FROM Custmoer", status=400)
    assert ours["Fault"] == recorded["Fault"]
    assert _shape(ours) == _shape(recorded)


def test_an_expired_token_looks_like_the_recorded_one(sandbox: Sandbox, samples: Path) -> None:
    recorded = _recorded(samples, "http-401/minimul-error-401-0.json")
    sandbox.connect()
    sandbox.control("POST", "/tokens/expire")
    answer = sandbox.call("GET", "query", params=INVOICES)
    assert answer.status_code == 401
    assert _shape(answer.json()) == _shape(recorded)
    error, theirs = answer.json()["fault"]["error"][0], recorded["fault"]["error"][0]
    assert (error["message"], error["code"]) == (theirs["message"], theirs["code"])
    assert error["detail"].startswith("Token expired: ")


def test_a_wrong_company_looks_like_the_recorded_one(sandbox: Sandbox, samples: Path) -> None:
    recorded = _recorded(samples, "http-403/issue-authorization-failed.json")
    sandbox.control("POST", "/faults", {"fault": "http_403", "match": {"path": "query"}})
    answer = sandbox.call("GET", "query", params=INVOICES)
    assert answer.status_code == 403
    assert _shape(answer.json()) == _shape(recorded)


@pytest.mark.parametrize(
    ("recorded", "path", "record"),
    [
        ("quickbooks-go-610.json", "invoice?operation=delete", {"Id": "99999", "SyncToken": "0"}),
        ("minimul-error-400-json-0.json", "invoice", {"BadJson": 1}),
    ],
)
def test_refused_requests_look_like_the_recorded_ones(
    sandbox: Sandbox, samples: Path, recorded: str, path: str, record: dict[str, str]
) -> None:
    theirs = _recorded(samples, f"http-400/{recorded}")
    ours = sandbox.call("POST", path, json=record).json()
    assert _shape(ours) == _shape(theirs)
    assert ours["Fault"]["Error"][0]["code"] == theirs["Fault"]["Error"][0]["code"]
    assert ours["Fault"]["Error"][0]["Message"] == theirs["Fault"]["Error"][0]["Message"]


def test_a_throttled_reader_of_xml_gets_xml(sandbox: Sandbox, samples: Path) -> None:
    recorded = json.loads((samples / "fault-xml/http-429/quickbooks-ruby-throttle.json").read_text())
    sandbox.control("POST", "/settings", {"throttle": True, "throttle_per_minute": 0})
    answer = sandbox.call("GET", "query", params=INVOICES, headers={"Accept": "application/xml"})
    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith("application/xml")
    for mark in ('<Fault type="SERVICE">', '<Error code="3001">', "message=ThrottleExceeded; errorCode=003001"):
        assert mark in answer.text
        assert mark in recorded["body"]


def test_ten_a_second_then_429(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/settings", {"throttle": True})
    statuses = [sandbox.call("GET", "preferences").status_code for _ in range(11)]
    assert statuses.count(200) >= 10
    sandbox.control("POST", "/settings", {"throttle_per_second": 100_000, "throttle_per_minute": 11})
    refused = [sandbox.call("GET", "preferences") for _ in range(3)][-1]
    assert refused.status_code == 429
    assert refused.json()["fault"]["error"][0]["code"] == "3001"
    assert "Retry-After" not in refused.headers
    sandbox.control("POST", "/settings", {"retry_after": 7, "throttle_body": "capitalised"})
    refused = sandbox.call("GET", "preferences")
    assert refused.headers["Retry-After"] == "7"
    assert refused.json()["Fault"]["Error"][0]["code"] == "3001"


def test_metered_reads_count_and_a_quota_stops_them(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/settings", {"monthly_quota": 2})
    sandbox.query("select * from Nothing", status=400)  # failed calls are not counted
    assert [sandbox.call("GET", "preferences").status_code for _ in range(3)] == [200, 200, 429]
    sandbox.control("POST", "/clock", {"advance_seconds": 32 * 86_400})
    sandbox.connect()
    assert sandbox.call("GET", "preferences").status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "kind", "mark"),
    [
        ("http_500", 500, "application/json", "SystemFault"),
        ("http_500_xml", 500, "application/xml", "SystemFault"),
        ("http_502_html", 502, "text/html", "Bad Gateway"),
        ("http_503", 503, "application/json", "Fault"),
        ("http_503_html", 503, "text/html", "Service Unavailable"),
        ("http_504_html", 504, "text/html", "Gateway Time-out"),
        ("http_429", 429, "application/json", "ThrottleExceeded"),
        ("http_429_html", 429, "text/html", "Too Many Requests"),
        ("retry_after", 429, "application/json", "ThrottleExceeded"),
        ("http_401", 401, "application/json", "AuthenticationFailed"),
        ("fault_200", 200, "application/json", "Fault"),
        ("text_200", 200, "text/plain", "subscription"),
        ("empty_page", 200, "application/json", '"QueryResponse":{}'),
        ("truncated_json", 200, "application/json", "QueryResponse"),
    ],
)
def test_an_ordered_fault_strikes_once_and_is_logged(
    sandbox: Sandbox, fault: str, status: int, kind: str, mark: str
) -> None:
    sandbox.control("POST", "/faults", {"fault": fault, "match": {"path": "query", "entity": "Invoice"}})
    assert sandbox.query("select * from Term")
    struck = sandbox.call("GET", "query", params=INVOICES)
    assert (struck.status_code, struck.headers["content-type"].split(";")[0]) == (status, kind)
    assert mark in struck.text
    assert struck.headers["intuit_tid"]
    assert ("Retry-After" in struck.headers) == (fault == "retry_after")
    assert sandbox.query("select * from Invoice")["QueryResponse"]["Invoice"]
    logged = [call["fault"] for call in sandbox.control("GET", f"/calls?realm={REALM}")["calls"]]
    assert logged == [None, fault, None]
    assert sandbox.control("GET", "/faults")["rules"][0]["broken"] == 1


@pytest.mark.parametrize(("fault", "rows", "distinct"), [("short_page", 50, 50), ("repeated_row", 101, 100)])
def test_a_page_can_have_other_rows_than_it_should(sandbox: Sandbox, fault: str, rows: int, distinct: int) -> None:
    sandbox.control("POST", "/faults", {"fault": fault, "match": {"path": "query"}})
    ids = sandbox.ids("select * from Invoice")
    assert (len(ids), len(set(ids))) == (rows, distinct)


@pytest.mark.parametrize("fault", ["drop_connection", "truncate", "corrupt_gzip"])
def test_faults_on_the_wire_reach_the_client_as_such(sandbox: Sandbox, fault: str) -> None:
    sandbox.connect()
    sandbox.control("POST", "/faults", {"fault": fault})
    broken = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
    with pytest.raises((*broken, requests.exceptions.ContentDecodingError)):
        _ = sandbox.call("GET", "query", params=INVOICES).content
    assert sandbox.query("select * from Invoice")


def test_rules_can_wait_repeat_and_be_withdrawn(sandbox: Sandbox) -> None:
    rules = [{"fault": "http_503", "after": 2, "times": 2}, {"fault": "invalid_grant", "match": {"path": "bearer"}}]
    sandbox.connect()
    sandbox.control("POST", "/faults", rules)
    statuses = [sandbox.call("GET", "preferences").status_code for _ in range(5)]
    assert statuses == [200, 200, 503, 503, 200]
    assert sandbox.refresh(sandbox.tokens[REALM]["refresh_token"]).json() == {"error": "invalid_grant"}
    assert sandbox.control("DELETE", "/faults")["removed"] == 2


def test_a_rotated_token_can_be_lost_on_its_way_back(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/tokens/policy", {"rotation": "every_call"})
    first = sandbox.connect()["refresh_token"]
    sandbox.control("POST", "/faults", {"fault": "drop_connection", "processed": True, "match": {"path": "bearer"}})
    with pytest.raises(requests.ConnectionError):
        sandbox.refresh(first)
    assert sandbox.refresh(first).json() == {"error": "invalid_grant"}


def test_books_can_change_between_two_pages(sandbox: Sandbox) -> None:
    key = sandbox.books()["Term"][0]["Id"]
    edit = {"op": "update", "entity": "Term", "id": key, "record": {"Name": "Changed"}}
    sandbox.control(
        "POST", "/faults", {"fault": "edit_books", "operations": [edit], "after": 1} | {"match": {"path": "query"}}
    )
    sandbox.connect()
    names = [{row["Name"] for row in sandbox.query("select * from Term")["QueryResponse"]["Term"]} for _ in range(2)]
    assert "Changed" not in names[0]
    assert "Changed" in names[1]


def test_an_edit_that_cannot_be_done_shows_in_the_call_log(sandbox: Sandbox) -> None:
    edit = {"op": "delete", "entity": "Term", "id": "99"}
    sandbox.control("POST", "/faults", {"fault": "edit_books", "operations": [edit], "match": {"path": "query"}})
    assert sandbox.query("select * from Term")
    assert sandbox.control("GET", "/calls")["calls"][-1]["fault"] == "edit_books: There is no Term 99."
