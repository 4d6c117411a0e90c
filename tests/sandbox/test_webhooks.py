"""The local QuickBooks tells of its changes as Intuit does: signed, in either format, late, twice, or not at all."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from qbo_pipeline.sandbox.webhooks import RETRIES
from tests.sandbox.hand import REALM, Sandbox

CUSTOMER = {"op": "create", "entity": "Customer", "record": {"DisplayName": "Told"}}


@pytest.fixture
def connected(sandbox: Sandbox) -> Sandbox:
    sandbox.connect()
    return sandbox


def subscribe(sandbox: Sandbox, **knobs: Any) -> None:
    sandbox.control("POST", "/webhooks", {"duplicates": 0, **knobs})


def edit(sandbox: Sandbox, *operations: dict[str, Any]) -> list[dict[str, Any]]:
    applied: list[dict[str, Any]] = sandbox.control("POST", f"/books/{REALM}", list(operations))["applied"]
    return applied


def taken(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the events that are due, whose signatures are right."""
    events: list[dict[str, Any]] = []
    for each in sandbox.control("POST", "/webhooks/take", {})["notifications"]:
        mac = hmac.digest(b"sandbox-verifier", each["body"].encode(), "sha256")
        assert base64.b64encode(mac).decode() == each["signature"]
        events += json.loads(each["body"])
    return events


def kinds(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((each["type"], each["intuitentityid"]) for each in events)


def report(sandbox: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.control("GET", "/webhooks")
    return found


def test_every_kind_of_change_is_told(connected: Sandbox) -> None:
    subscribe(connected)
    made = edit(connected, CUSTOMER, {"op": "create", "entity": "Customer", "record": {"DisplayName": "Other"}})
    one, two = (each["Id"] for each in made)
    line = {"Amount": 5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "1"}}}
    record = {"CustomerRef": {"value": one}, "Line": [line]}
    invoice = edit(connected, {"op": "create", "entity": "Invoice", "record": record})[0]["Id"]
    assert kinds(taken(connected)) == [
        ("qbo.customer.created.v1", one),
        ("qbo.customer.created.v1", two),
        ("qbo.customer.updated.v1", one),  # it owes something now
        ("qbo.invoice.created.v1", invoice),
    ]
    connected.control("POST", "/clock", {"advance_seconds": 5})
    edit(connected, {"op": "update", "entity": "Customer", "id": two, "record": {"Notes": "x"}})
    edit(connected, {"op": "void", "entity": "Invoice", "id": invoice})
    assert kinds(taken(connected)) == [
        ("qbo.customer.updated.v1", one),
        ("qbo.customer.updated.v1", two),
        ("qbo.invoice.voided.v1", invoice),
    ]
    connected.control("POST", "/clock", {"advance_seconds": 5})
    edit(connected, {"op": "delete", "entity": "Invoice", "id": invoice})
    assert ("qbo.invoice.deleted.v1", invoice) in kinds(taken(connected))
    edit(connected, {"op": "merge", "entity": "Customer", "id": one, "into": two})
    (merged,) = [each for each in taken(connected) if "customer" in each["type"]]
    assert (merged["type"], merged["intuitentityid"], merged["data"]) == (
        "qbo.customer.merged.v1",
        two,
        {"deletedid": one},
    )


def test_nothing_is_told_of_strangers_files_silent_edits_and_other_entities(sandbox: Sandbox) -> None:
    subscribe(sandbox)
    edit(sandbox, CUSTOMER)
    assert taken(sandbox) == [], "nobody consented"
    sandbox.connect()
    key = edit(sandbox, {"op": "create", "entity": "CustomerType", "record": {"Name": "Untold"}})[0]["Id"]
    sandbox.control("POST", f"/books/{REALM}/load", [{"Customer": {"Id": "9001", "DisplayName": "From a file"}}])
    edit(sandbox, {"op": "update", "entity": "Customer", "id": "9001", "record": {"Notes": "x"}, "silent": True})
    assert key
    assert taken(sandbox) == []


def test_the_format_of_before(connected: Sandbox) -> None:
    subscribe(connected, format="legacy")
    edit(connected, CUSTOMER)
    (notification,) = connected.control("POST", "/webhooks/take", {})["notifications"]
    (company,) = json.loads(notification["body"])["eventNotifications"]
    (change,) = company["dataChangeEvent"]["entities"]
    assert (company["realmId"], change["name"], change["operation"]) == (REALM, "Customer", "Create")


def test_events_may_be_late_twice_or_lost(connected: Sandbox) -> None:
    subscribe(connected, delay_seconds=60, duplicates=1)
    edit(connected, CUSTOMER)
    assert taken(connected) == []
    connected.control("POST", "/clock", {"advance_seconds": 61})
    one, two = taken(connected)
    assert one == two
    subscribe(connected, delay_seconds=0, losses=1)
    edit(connected, {"op": "create", "entity": "Customer", "record": {"DisplayName": "Lost"}})
    assert taken(connected) == []
    assert report(connected)["counts"]["lost"] == 1


class Subscriber(BaseHTTPRequestHandler):
    """Answers as it is told, and keeps what it got."""

    status = 200
    got: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).got.append((self.headers["intuit-signature"], body))
        self.send_response(type(self).status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def subscriber() -> Iterator[tuple[type[Subscriber], str]]:
    kind = type("Subscriber", (Subscriber,), {"got": [], "status": 200})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_port}/hooks"
    server.shutdown()
    server.server_close()
    thread.join()


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.05)


def test_what_is_refused_comes_again_and_withholds_the_rest(
    connected: Sandbox, subscriber: tuple[type[Subscriber], str]
) -> None:
    kind, url = subscriber
    kind.status = 503
    connected.control("POST", "/clock", {"freeze": True})
    subscribe(connected, url=url)
    edit(connected, CUSTOMER)
    until(lambda: len(kind.got) == 1)
    edit(connected, {"op": "create", "entity": "Customer", "record": {"DisplayName": "Withheld"}})
    for attempt, pause in enumerate(RETRIES[:4], 1):
        until(lambda: report(connected)["counts"].get("refused", 0) == attempt)  # noqa: B023 - asked at once
        assert report(connected)["withheld"]
        connected.control("POST", "/clock", {"advance_seconds": pause - 1})
        time.sleep(0.5)
        assert len(kind.got) == attempt, "not before its time"
        connected.control("POST", "/clock", {"advance_seconds": 1})
        until(lambda: len(kind.got) == attempt + 1)  # noqa: B023
    assert len(set(kind.got)) == 1, "the same notification every time"
    kind.status = 200
    connected.control("POST", "/clock", {"advance_seconds": RETRIES[4]})
    until(lambda: report(connected)["pending"] == 0)
    assert len(set(kind.got)) == 2
    connected.control("DELETE", "/webhooks")
    edit(connected, {"op": "create", "entity": "Customer", "record": {"DisplayName": "Unsubscribed"}})
    assert report(connected)["counts"]["delivered"] == 2


@pytest.mark.parametrize(
    "body", [{"url": "https://example.com/hooks"}, {"duplicates": 2}, {"format": "xml"}, {"colour": "red"}, []]
)
def test_a_subscription_that_makes_no_sense_is_refused(sandbox: Sandbox, body: Any) -> None:
    assert sandbox.control("POST", "/webhooks", body, status=400)["error"]
    assert report(sandbox)["subscription"]["on"] is False
