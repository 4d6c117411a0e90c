"""What the client makes of answers, of refused tokens and of errors, and what it reports (T13, R32-R37)."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

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
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
)
from qbo_pipeline.qbo.client import Patience, QboClient
from qbo_pipeline.qbo.environments import SANDBOX
from qbo_pipeline.qbo.query import Condition
from tests.unit.qbo.fakes import REALM, TOKEN, Answer, bench
from tests.unit.qbo.questions import EVERY_WAY_TO_ASK, EXPIRED, INVOICES, ONE, SINCE, fault

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
