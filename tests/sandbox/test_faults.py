"""Fault shapes, faults on order, and rate limits."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
        ("http_500_html", 500, "text/html", "Internal Server Error"),
        ("http_500_xml", 500, "application/xml", "SystemFault"),
        ("http_502", 502, "application/json", "SystemFault"),
        ("http_502_html", 502, "text/html", "Bad Gateway"),
        ("http_502_xml", 502, "application/xml", "SystemFault"),
        ("http_503", 503, "application/json", "Fault"),
        ("http_503_html", 503, "text/html", "Service Unavailable"),
        ("http_503_xml", 503, "application/xml", "SystemFault"),
        ("http_504", 504, "application/json", "SystemFault"),
        ("http_504_html", 504, "text/html", "Gateway Time-out"),
        ("http_504_xml", 504, "application/xml", "SystemFault"),
        ("http_429", 429, "application/json", "ThrottleExceeded"),
        ("http_429_html", 429, "text/html", "Too Many Requests"),
        ("http_429_xml", 429, "application/xml", "ThrottleExceeded"),
        ("retry_after", 429, "application/json", "ThrottleExceeded"),
        ("http_401", 401, "application/json", "AuthenticationFailed"),
        ("http_401_xml", 401, "application/xml", "AuthenticationFailed"),
        ("http_403", 403, "application/json", "AuthorizationFailed"),
        ("http_403_xml", 403, "application/xml", "AuthorizationFailed"),
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


@pytest.mark.parametrize("fault", ["drop_connection", "reset", "truncate", "cut_chunk", "corrupt_gzip"])
def test_faults_on_the_wire_reach_the_client_as_such(sandbox: Sandbox, fault: str) -> None:
    sandbox.connect()
    sandbox.control("POST", "/faults", {"fault": fault})
    broken = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
    with pytest.raises((*broken, requests.exceptions.ContentDecodingError)):
        _ = sandbox.call("GET", "query", params=INVOICES).content
    assert sandbox.query("select * from Invoice")


@pytest.mark.parametrize(
    ("fault", "length", "chunked", "end"),
    [("truncate", True, False, b""), ("cut_chunk", False, True, b""), ("reset", True, False, None)],
)
def test_a_body_ends_early_in_three_ways(
    sandbox: Sandbox, fault: str, length: bool, chunked: bool, end: bytes | None
) -> None:
    """A short body and a missing last chunk end with a polite farewell, a reset with none."""
    token = sandbox.connect()["access_token"]
    sandbox.control("POST", "/faults", {"fault": fault, "at": 50, "match": {"path": "query"}})
    where = urlsplit(sandbox.url)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=30) as wire:
        path = f"/v3/company/{REALM}/query?query=select%20*%20from%20Invoice"
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        seen, last = b"", b"more"
        try:
            while last:
                seen += (last := wire.recv(65536))
            ended: bytes | None = b""
        except ConnectionResetError:
            ended = None
    head, _, body = seen.partition(b"\r\n\r\n")
    assert (b"content-length" in head.lower(), b"chunked" in head.lower()) == (length, chunked)
    assert b'{"QueryResponse"' in body
    assert not body.endswith(b"0\r\n\r\n")
    assert ended == end


def test_a_rotated_token_can_be_lost_on_its_way_back(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/tokens/policy", {"rotation": "every_call"})
    first = sandbox.connect()["refresh_token"]
    sandbox.control("POST", "/faults", {"fault": "drop_connection", "processed": True, "match": {"path": "bearer"}})
    with pytest.raises(requests.ConnectionError):
        sandbox.refresh(first)
    assert sandbox.refresh(first).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    ("ordered", "header"),
    [
        ("120", "120"),
        ("-5", "-5"),
        ("999999999999", "999999999999"),
        ("soon", "soon"),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("date+30", "Tue, 01 Dec 2026 20:00:30 GMT"),
        ("date-3600", "Tue, 01 Dec 2026 19:00:00 GMT"),
        ("", ""),
    ],
)
def test_retry_after_can_say_anything(sandbox: Sandbox, ordered: str, header: str) -> None:
    sandbox.control("POST", "/clock", {"at": "2026-12-01T12:00:00-08:00", "freeze": True})
    sandbox.connect()
    sandbox.control("POST", "/faults", {"fault": "retry_after", "retry_after": ordered})
    answer = sandbox.call("GET", "query", params=INVOICES)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, header)
    assert answer.headers["Date"] == "Tue, 01 Dec 2026 20:00:00 GMT"


def test_the_page_before_can_come_again(sandbox: Sandbox) -> None:
    def page(start: int, entity: str = "Invoice", what: str = "*") -> list[str]:
        return sandbox.ids(f"select {what} from {entity} orderby Id startposition {start} maxresults 10")

    first, second, fifth = page(1), page(11), page(41)
    sandbox.control("POST", "/faults", {"fault": "repeated_page", "match": {"path": "query"}})
    assert page(1) == first, "there is no page before the first"
    assert page(1, "Bill") != first, "nor is one entity's page another's"
    for _ in range(2):
        sandbox.query("select count(*) from Invoice")
    assert page(11) == first
    assert page(11) == second
    assert sandbox.control("GET", "/faults")["ledger"] == {"repeated_page": 1}
    sandbox.control("POST", "/faults", {"fault": "repeated_page", "match": {"path": "query"}, "times": 0})
    assert page(41, what="Id") == fifth, "nor is a projection's page a whole one"
    assert page(51, what="Id") == fifth


def test_an_empty_answer_has_the_shape_of_what_was_asked(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/faults", {"fault": "empty_page", "times": 0, "match": {"path": "/v3/"}})
    since = {"entities": "Invoice", "changedSince": sandbox.control("GET", "/clock")["time"][:10]}
    assert sandbox.call("GET", "cdc", params=since).json()["CDCResponse"] == [{"QueryResponse": [{}]}]
    assert sandbox.query("select * from Invoice")["QueryResponse"] == {}
