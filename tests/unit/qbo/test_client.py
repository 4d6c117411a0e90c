"""The client reads, retries narrowly, renews a refused token once, and can do nothing else (T8, T13, R31–R37)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from qbo_pipeline.errors import (
    NotFoundError,
    QboError,
    ReauthorizationRequiredError,
    RejectedError,
    RetryableError,
    SettingsError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
)
from qbo_pipeline.qbo.client import Patience, QboClient, check_read_only
from qbo_pipeline.qbo.environments import SANDBOX
from qbo_pipeline.qbo.query import Condition, Select
from qbo_pipeline.qbo.throttle import Throttle
from tests.unit.qbo.fakes import REALM, TOKEN, Answer, bench

INVOICES = Select("Invoice").page(1, 1000)
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
ONE = Answer(b'{"QueryResponse":{"Invoice":[{"Id":"1"}]},"time":"2026-11-23T01:02:03.004-08:00"}')
EXPIRED = Answer(
    json.dumps(
        {
            "fault": {
                "error": [
                    {
                        "message": "message=AuthenticationFailed; errorCode=003200; statusCode=401",
                        "detail": f"Token expired: {TOKEN}",
                        "code": "3200",
                    }
                ],
                "type": "AUTHENTICATION",
            }
        }
    ).encode(),
    401,
)
SLOW_DOWN = Answer(b"", 429)


def fault(code: str, status: int = 400, kind: str = "ValidationFault") -> Answer:
    return Answer(json.dumps({"Fault": {"Error": [{"Message": "m", "code": code}], "type": kind}}).encode(), status)


EVERY_WAY_TO_ASK: list[Callable[[QboClient], object]] = [
    lambda client: client.query(INVOICES, page=3),
    lambda client: client.query(Select("Invoice").where("Id", "in", [str(number) for number in range(1000)])),
    lambda client: client.count("Invoice", [Condition("Active", "=", value=True)]),
    lambda client: client.read("invoice", "12"),
    lambda client: client.read("preferences"),
    lambda client: client.company_info(),
    lambda client: client.read_list("TaxClassification"),
    lambda client: client.download_address("5000000000000503624"),
    lambda client: client.cdc(["Invoice", "Customer"], SINCE),
]


# --- what is sent


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


# --- what comes back


def test_reads_counts_and_changes_are_understood() -> None:
    on = bench([Answer(b'{"Invoice":{"Id":"12","TotalAmt":1.10}}')])
    assert bytes(on.client.read("Invoice", "12").record) == b'{"Id":"12","TotalAmt":1.10}'
    assert str(on.quickbooks.seen[0].url).endswith(f"/{REALM}/invoice/12?minorversion=75")
    on = bench([Answer(b'{"CompanyInfo":{"Id":"1"}}')])
    assert on.client.company_info().entity == "CompanyInfo"
    assert f"/companyinfo/{REALM}?" in str(on.quickbooks.seen[0].url)
    on = bench([Answer(b'{"QueryResponse":{"totalCount":41}}')])
    assert on.client.count("Invoice", [Condition("Active", "in", (True, False))]) == 41
    assert on.quickbooks.parameters()["query"] == "select count(*) from Invoice where Active in (true, false)"


def test_a_list_is_read_at_its_own_address() -> None:
    on = bench([Answer(b'{"QueryResponse":{"TaxClassification":[{"id":"EUC-1"},{"id":"EUC-2"}]}}')])
    answer = on.client.read_list("TaxClassification")
    assert ([bytes(record) for record in answer.records], answer.time) == ([b'{"id":"EUC-1"}', b'{"id":"EUC-2"}'], None)
    assert f"/company/{REALM}/taxclassification?" in str(on.quickbooks.seen[0].url)
    assert [call.kind for call in on.calls] == ["list"]


@pytest.mark.parametrize("spelling", [b"https://s3.example/x?a=1&b=%2F", b' "https://s3.example/x?a=1&b=%2F"\n'])
def test_the_address_of_a_file_comes_as_text(spelling: bytes) -> None:
    on = bench([Answer(spelling, headers={"Content-Type": "text/plain"})])
    assert on.client.download_address("12") == "https://s3.example/x?a=1&b=%2F"
    assert f"/company/{REALM}/download/12?" in str(on.quickbooks.seen[0].url)


@pytest.mark.parametrize(
    "body", [b"", b"<html>maintenance</html>", b'{"odd":1}', "https://ünïcode/".encode(), b"ftp://x/"]
)
def test_what_is_no_address_is_tried_again_and_never_followed(body: bytes) -> None:
    with pytest.raises(RetryableError):
        bench([Answer(body)]).client.download_address("12")


def test_a_refused_download_says_why() -> None:
    with pytest.raises(NotFoundError):
        bench([fault("610")]).client.download_address("12")
    with pytest.raises(NotFoundError):
        bench([fault("610", 200)]).client.download_address("12")


@pytest.mark.parametrize("ask", [lambda c: c.read_list("tax/../x"), lambda c: c.download_address("../1")])
def test_odd_words_reach_no_address(ask: Callable[[QboClient], object]) -> None:
    on = bench([ONE])
    with pytest.raises(UsageError):
        ask(on.client)
    assert on.quickbooks.seen == []


UNSUPPORTED = Answer(
    json.dumps(
        {
            "Fault": {
                "Error": [
                    {
                        "Message": "Unsupported Operation",
                        "Detail": f"Operation Could not find resource for relative : /v3/company/{REALM}/x",
                        "code": "500",
                    }
                ],
                "type": "ValidationFault",
            }
        }
    ).encode(),
    400,
)


def test_only_a_question_about_a_whole_entity_can_find_it_unavailable() -> None:
    """Code 500 is also said of a single record's odd id or of change data capture; neither means 'no such entity'."""
    words = {"Message": "Unsupported Operation", "Detail": "Operation is not supported.", "code": "500"}
    refusal = Answer(json.dumps({"Fault": {"Error": [words], "type": "ValidationFault"}}).encode(), 400)
    whole: list[Callable[[QboClient], object]] = [
        lambda c: c.query(INVOICES),
        lambda c: c.count("Invoice"),
        lambda c: c.read_list("TaxClassification"),
    ]
    for ask in whole:
        with pytest.raises(UnavailableError):
            ask(bench([refusal]).client)
    single: list[Callable[[QboClient], object]] = [
        lambda c: c.read("budget", "1"),
        lambda c: c.cdc(["Budget"], SINCE),
        lambda c: c.download_address("1"),
    ]
    for ask in single:
        with pytest.raises(RejectedError) as caught:
            ask(bench([refusal]).client)
        assert not isinstance(caught.value, UnavailableError)


def test_an_entity_without_an_address_here_is_unavailable_but_a_lost_query_address_is_a_failure() -> None:
    """One address serves all queries: were it wrong, every entity would look absent, and the books empty."""
    with pytest.raises(UnavailableError):
        bench([UNSUPPORTED]).client.read_list("TaxClassification")
    for ask in EVERY_WAY_TO_ASK:
        if ask is not EVERY_WAY_TO_ASK[6]:
            with pytest.raises(RejectedError) as caught:
                ask(bench([UNSUPPORTED]).client)
            assert not isinstance(caught.value, UnavailableError)


def test_a_deleted_record_is_not_found_and_nothing_else_is() -> None:
    with pytest.raises(NotFoundError):
        bench([fault("610")]).client.read("invoice", "12")
    for answer in (Answer(b"", 404), Answer(b"<html>Not Found</html>", 404), fault("2030")):
        with pytest.raises(RejectedError) as caught:
            bench([answer]).client.read("invoice", "12")
        assert not isinstance(caught.value, NotFoundError)


def test_a_fault_in_a_200_is_a_failure() -> None:
    on = bench([fault("4001", 200)])
    with pytest.raises(RejectedError):
        on.client.query(INVOICES)
    assert [(call.status, call.counted) for call in on.calls] == [(200, False)]


def test_the_error_says_what_was_attempted() -> None:
    on = bench([Answer(b"", 400, {"intuit_tid": "1-abc"})])
    with pytest.raises(RejectedError, match=rf"reading page 3 of Invoice for company {REALM}: .*HTTP 400.*1-abc"):
        on.client.query(INVOICES, page=3)


# --- trying again


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(b"<html>bad gateway</html>", 502),
        Answer(b"", 503),
        Answer(b"", 504),
        Answer(b"", 200),
        Answer(ONE.body[:40]),
        Answer(b"<html>maintenance</html>"),
        Answer(gzip.compress(ONE.body, mtime=0)[:-12], headers={"Content-Encoding": "gzip"}),
        Answer(b"\x1f\x8b no gzip", headers={"Content-Encoding": "gzip"}),
        Answer(ONE.body[:40], headers={"Content-Length": "5000"}),
        requests.ConnectionError("refused"),
        requests.ConnectTimeout("slow"),
        requests.ReadTimeout("silent"),
        requests.exceptions.ChunkedEncodingError("cut"),
        requests.exceptions.SSLError("no"),
    ],
)
def test_trouble_on_the_way_is_tried_again(trouble: Answer | Exception) -> None:
    on = bench([trouble, trouble, ONE])
    assert len(on.client.query(INVOICES).records) == 1
    assert len(on.quickbooks.seen) == len(on.calls) == 3
    assert on.time.slept
    assert on.time.slept == sorted(on.time.slept)


def test_trying_again_ends_after_a_number_of_attempts() -> None:
    on = bench([Answer(b"", 503)], patience=Patience(attempts=4))
    with pytest.raises(RetryableError):
        on.client.query(INVOICES)
    assert len(on.quickbooks.seen) == 4


def test_trying_again_ends_after_a_time() -> None:
    on = bench([Answer(b"", 503, takes=100.0)], patience=Patience(attempts=100, seconds=350))
    with pytest.raises(RetryableError):
        on.client.query(INVOICES)
    assert len(on.quickbooks.seen) == 4
    assert on.time.now <= 1000 + 350 + 100


@pytest.mark.parametrize("status", [500, 200])
def test_quickbooks_own_failure_is_tried_once_more(status: int) -> None:
    on = bench([fault("10000", status, "SystemFault")])
    with pytest.raises(RetryableError):
        on.client.query(INVOICES)
    assert len(on.quickbooks.seen) == 2


@pytest.mark.parametrize("answer", [fault("4001"), fault("610"), fault("5020"), Answer(b"", 403), Answer(b"", 413)])
def test_a_refusal_is_not_tried_again(answer: Answer) -> None:
    on = bench([answer, ONE])
    with pytest.raises(RejectedError):
        on.client.query(INVOICES)
    assert len(on.quickbooks.seen) == 1
    assert on.time.slept == []


@given(st.lists(st.sampled_from([500, 502, 503, 504, 429, 401, 400, 200]), min_size=1, max_size=12))
@settings(deadline=None)
def test_no_sequence_of_trouble_outlasts_its_patience(statuses: list[int]) -> None:
    on = bench([Answer(b"", status) for status in statuses], patience=Patience(seconds=200))
    with pytest.raises(QboError):
        on.client.query(INVOICES)
    assert on.time.now <= 1000 + 200
    assert len(on.quickbooks.seen) <= 10
    assert sum(each is not None for each in on.tokens.asked) <= 1


# --- throttling


@pytest.mark.parametrize(("headers", "pause"), [({"Retry-After": "7"}, 7), ({}, 75)])
def test_a_429_waits_as_long_as_it_says_or_a_minute(headers: dict[str, str], pause: float) -> None:
    on = bench([Answer(b"", 429, headers), ONE])
    on.client.query(INVOICES)
    assert on.time.now == 1000 + pause


def test_a_429_pauses_every_caller_of_the_company() -> None:
    on = bench([Answer(b"", 429, {"Retry-After": "120"})], patience=Patience(attempts=1))
    with pytest.raises(ThrottledError):
        on.client.query(INVOICES)
    assert on.throttle.wait_left() == 120
    on.throttle.take()
    assert on.time.now == 1120


def test_a_busy_server_that_says_when_to_come_back_is_obeyed() -> None:
    on = bench([Answer(b"", 503, {"Retry-After": "33"}), ONE])
    on.client.query(INVOICES)
    assert on.time.now == 1033


def test_a_throttle_hidden_under_403_is_one_all_the_same() -> None:
    message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    body = json.dumps({"fault": {"error": [{"message": message}], "type": "SERVICE"}}).encode()
    on = bench([Answer(body, 403), ONE])
    on.client.query(INVOICES)
    assert on.time.now > 1000


def test_a_429_that_lasts_mentions_the_monthly_allowance() -> None:
    on = bench([SLOW_DOWN])
    with pytest.raises(ThrottledError, match="allowance"):
        on.client.query(INVOICES)
    assert len(on.quickbooks.seen) == 5


def test_a_wish_beyond_our_patience_ends_the_call_at_once() -> None:
    on = bench([Answer(b"", 429, {"Retry-After": "86400"})])
    with pytest.raises(ThrottledError) as caught:
        on.client.query(INVOICES)
    assert caught.value.retry_after == 86400
    assert on.time.slept == []
    assert on.throttle.wait_left() <= 600


# --- tokens


def test_a_refused_token_is_renewed_once_and_the_call_repeated() -> None:
    on = bench([EXPIRED, ONE])
    assert len(on.client.query(INVOICES).records) == 1
    assert on.tokens.asked == [None, f"{TOKEN}.0"]
    assert [request.headers["Authorization"] for request in on.quickbooks.seen] == [
        f"Bearer {TOKEN}.0",
        f"Bearer {TOKEN}.1",
    ]


def test_a_token_refused_twice_is_not_renewed_for_ever() -> None:
    on = bench([EXPIRED])
    with pytest.raises(UnauthorizedError):
        on.client.query(INVOICES)
    assert on.tokens.asked == [None, f"{TOKEN}.0"]
    assert len(on.quickbooks.seen) == 2


@pytest.mark.parametrize("answer", [fault("120", 401), fault("3100", 403), fault("3100", 401)])
def test_a_person_without_rights_is_not_a_token_problem(answer: Answer) -> None:
    on = bench([answer])
    with pytest.raises(RejectedError):
        on.client.query(INVOICES)
    assert on.tokens.asked == [None]
    assert len(on.quickbooks.seen) == 1


@pytest.mark.parametrize(
    "error", [ReauthorizationRequiredError("dead"), RetryableError("unknown"), ThrottledError("slow")]
)
def test_trouble_with_renewing_a_token_is_not_retried_here(error: QboError) -> None:
    """The outcome of a renewal may be unknown; a second one could disconnect the company."""
    on = bench([ONE])
    asked = []

    def access_token(refused: str | None) -> str:
        asked.append(refused)
        raise error

    client = QboClient(
        SANDBOX,
        REALM,
        access_token=access_token,
        session=on.quickbooks.session(),
        throttle=on.throttle,
        on_call=on.calls.append,
        sleep=on.time.sleep,
        clock=on.time.clock,
    )
    with pytest.raises(type(error)):
        client.query(INVOICES)
    assert asked == [None]


# --- the ledger, and what never appears


def test_every_http_call_is_reported_and_only_successes_are_counted() -> None:
    tid = {"Intuit-Tid": "1-abc"}
    on = bench([requests.ConnectionError("x"), Answer(b"", 503, tid), EXPIRED, Answer(ONE.body, 200, tid, takes=2.5)])
    on.client.query(INVOICES)
    assert [(call.kind, call.status, call.entity, call.counted) for call in on.calls] == [
        ("query", None, "Invoice", False),
        ("query", 503, "Invoice", False),
        ("query", 401, "Invoice", False),
        ("query", 200, "Invoice", True),
    ]
    assert (on.calls[3].intuit_tid, on.calls[3].seconds) == ("1-abc", 2.5)


@pytest.mark.parametrize("ask", EVERY_WAY_TO_ASK)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500, 503])
def test_no_error_ever_shows_the_token(ask: Callable[[QboClient], object], status: int) -> None:
    body = json.dumps({"fault": {"error": [{"message": f"m {TOKEN}.0", "detail": f"Token expired: {TOKEN}.1"}]}})
    on = bench([Answer(body.encode(), status), Answer(f"<html>{TOKEN}".encode(), status)])
    with pytest.raises(QboError) as caught:
        ask(on.client)
    shown: BaseException | None = caught.value
    while shown is not None:
        assert "canaryACCESSTOKEN" not in f"{shown} {shown!r} {vars(shown)}"
        shown = shown.__cause__


@given(st.binary(max_size=200), st.integers(200, 599).filter(lambda status: status not in {204, 304}))
@settings(deadline=None, max_examples=60)
def test_no_answer_makes_the_client_raise_anything_but_our_errors(body: bytes, status: int) -> None:
    for ask in EVERY_WAY_TO_ASK:
        on = bench([Answer(body, status)], patience=Patience(attempts=2))
        with suppress(QboError):
            ask(on.client)
        assert {call.status for call in on.calls} == {status}


def test_a_token_that_does_not_look_like_one_is_not_shown_either() -> None:
    on = bench([Answer(b'{"Fault":{"Error":[{"Message":"no canarytoken here","code":"4001"}]}}', 400)])
    client = QboClient(
        SANDBOX,
        REALM,
        access_token=lambda _: "canarytoken",
        session=on.quickbooks.session(),
        throttle=on.throttle,
        on_call=on.calls.append,
    )
    with pytest.raises(RejectedError, match=r"no \[hidden\] here"):
        client.query(INVOICES)
