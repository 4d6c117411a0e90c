"""What the client sends: reads, and nothing else (T8, R31)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from qbo_pipeline.errors import (
    RejectedError,
    SettingsError,
    UnauthorizedError,
    UsageError,
)
from qbo_pipeline.qbo.client import QboClient, check_read_only
from qbo_pipeline.qbo.environments import SANDBOX
from qbo_pipeline.qbo.query import Select
from qbo_pipeline.qbo.throttle import Throttle
from tests.unit.qbo.fakes import REALM, TOKEN, Answer, bench
from tests.unit.qbo.questions import EVERY_WAY_TO_ASK, INVOICES, ONE, SINCE, fault


@pytest.mark.parametrize("ask", EVERY_WAY_TO_ASK)
def test_only_reads_are_sent(ask: Callable[[QboClient], object]) -> None:
    """Intuit's scope allows writing; the promise not to is kept here or nowhere."""
    on = bench([fault("4001")])
    with pytest.raises(RejectedError):
        ask(on.client)
    (request,) = on.quickbooks.seen
    assert request.url is not None
    path = request.url.split("?")[0].removeprefix(f"https://sandbox-quickbooks.api.intuit.com/v3/company/{REALM}/")
    assert request.method == "GET" or (request.method == "POST" and path == "query")
    assert "operation" not in on.quickbooks.parameters()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "invoice"),
        ("POST", "query/../invoice"),
        ("POST", "Query"),
        ("POST", "batch"),
        ("POST", "upload"),
        ("PUT", "query"),
        ("DELETE", "invoice/1"),
        ("PATCH", "query"),
        ("get", "query"),
    ],
)
def test_nothing_that_could_write_passes_the_gate(method: str, path: str) -> None:
    with pytest.raises(RejectedError, match="nothing was sent"):
        check_read_only(method, path)


def test_the_gate_stands_before_every_request() -> None:
    """Somebody adding a write one day must fail here, not in somebody's books."""
    on = bench([ONE])
    ask = on.client._ask("read", "invoice", "deleting", "invoice", {"operation": "delete"}, b'{"Id":"1"}')
    with pytest.raises(RejectedError, match="nothing was sent"):
        on.client._answer(ask, lambda outer: outer)
    assert on.quickbooks.seen == []


def test_a_query_says_what_it_wants_and_who_it_is() -> None:
    on = bench([ONE])
    answer = on.client.query(INVOICES)
    assert [bytes(record) for record in answer.records] == [b'{"Id":"1"}']
    assert answer.time == datetime(2026, 11, 23, 9, 2, 3, 4000, tzinfo=UTC)
    request = on.quickbooks.seen[0]
    assert on.quickbooks.parameters() == {"query": str(INVOICES), "minorversion": "75"}
    assert request.headers["Authorization"] == f"Bearer {TOKEN}.0"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "gzip"
    assert request.headers["User-Agent"].startswith("qbo-pipeline/")


def test_a_plus_in_a_time_survives_the_url() -> None:
    on = bench([Answer(b'{"CDCResponse":[]}')])
    on.client.cdc(["Invoice", "Bill"], SINCE)
    assert on.quickbooks.parameters() == {
        "entities": "Invoice,Bill",
        "changedSince": "2026-11-01T00:00:00+00:00",
        "minorversion": "75",
    }
    assert "%2B00" in str(on.quickbooks.seen[0].url)


def test_a_statement_too_long_for_a_url_travels_in_the_body() -> None:
    on = bench([ONE])
    statement = Select("Invoice").where("Id", "in", [str(number) for number in range(1000)])
    on.client.query(statement)
    request = on.quickbooks.seen[0]
    assert (request.method, request.body) == ("POST", str(statement).encode())
    assert request.headers["Content-Type"] == "application/text"
    assert on.quickbooks.parameters() == {"minorversion": "75"}


def test_nobody_follows_a_redirect() -> None:
    """A redirect would carry the Authorization header to wherever it points."""
    on = bench([Answer(b"", 302, {"Location": "https://evil.example/"}), ONE])
    with pytest.raises(RejectedError, match="redirect"):
        on.client.query(INVOICES)
    assert len(on.quickbooks.seen) == 1


def test_neither_netrc_nor_a_careless_session_changes_the_authorization(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine sandbox-quickbooks.api.intuit.com login mallory password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    on = bench([ONE])
    session = on.quickbooks.session()
    session.trust_env = True
    session.auth = ("mallory", "hunter2")
    session.verify = False
    client = QboClient(
        SANDBOX,
        REALM,
        access_token=on.tokens,
        session=session,
        throttle=on.throttle,
        on_call=on.calls.append,
    )
    client.query(INVOICES)
    assert on.quickbooks.seen[0].headers["Authorization"] == f"Bearer {TOKEN}.0"
    assert on.quickbooks.sent_with[0]["verify"] is True
    assert on.quickbooks.sent_with[0]["proxies"] == {}


@pytest.mark.parametrize("path", ["../x", "invoice/1", "invoice?operation=delete", "", "a", "inv oice", "invoice\n"])
def test_a_path_that_is_no_entity_is_refused(path: str) -> None:
    on = bench([ONE])
    with pytest.raises(UsageError):
        on.client.read(path, "1")
    assert on.quickbooks.seen == []


@pytest.mark.parametrize("record_id", ["", "1/2", "..", "1?operation=delete", "1 or 1", "1\n"])
def test_an_id_that_is_no_id_is_refused(record_id: str) -> None:
    on = bench([ONE])
    with pytest.raises(UsageError):
        on.client.read("invoice", record_id)
    assert on.quickbooks.seen == []


def test_a_realm_that_is_no_realm_is_refused() -> None:
    on = bench([ONE])
    with pytest.raises(SettingsError):
        QboClient(
            SANDBOX,
            "1/../2",
            access_token=on.tokens,
            session=on.quickbooks.session(),
            throttle=Throttle(),
            on_call=on.calls.append,
        )


def test_a_token_with_a_line_break_is_not_sent_and_not_shown() -> None:
    on = bench([ONE])
    client = QboClient(
        SANDBOX,
        REALM,
        access_token=lambda _: "canary\r\nX-Evil: 1",
        session=on.quickbooks.session(),
        throttle=on.throttle,
        on_call=on.calls.append,
    )
    with pytest.raises(UnauthorizedError) as caught:
        client.query(INVOICES)
    assert "canary" not in str(caught.value)
    assert on.quickbooks.seen == []
