"""When the client tries again, how long it waits, and when it stops (R33-R35)."""

from __future__ import annotations

import gzip
import json

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from qbo_pipeline.errors import (
    QboError,
    RejectedError,
    RetryableError,
    ThrottledError,
)
from qbo_pipeline.qbo.client import Patience
from tests.unit.qbo.fakes import Answer, bench
from tests.unit.qbo.questions import INVOICES, ONE, SLOW_DOWN, fault

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
