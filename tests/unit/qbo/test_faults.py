"""Whatever comes back becomes the one error that says what to do, and repeats nothing secret (T2, R31, R36, R37)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qbo_pipeline.errors import (
    NotFoundError,
    QboError,
    RejectedError,
    RetryableError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)
from qbo_pipeline.qbo.faults import error_for, fault_in, intuit_tid, retry_after, safe_text

ATTEMPT = "reading page 3 of Invoice for company 9130350000000001"


def service(code: str, message: str = "Message", detail: str = "Detail", kind: str = "ValidationFault") -> bytes:
    error = {"Message": message, "Detail": detail, "code": code, "element": ""}
    return json.dumps({"Fault": {"Error": [error], "type": kind}, "time": "2026-11-23T01:02:03.004-08:00"}).encode()


def gateway(code: str, message: str, kind: str = "SERVICE", detail: str | None = None) -> bytes:
    error = {"message": message, "detail": detail, "code": code, "element": None}
    return json.dumps({"warnings": None, "fault": {"error": [error], "type": kind}, "time": 1790000000000}).encode()


def xml(code: str, message: str, kind: str = "SERVICE") -> bytes:
    return (
        '<?xml version="1.0"?><IntuitResponse xmlns="http://schema.intuit.com/finance/v3">'
        f'<Fault type="{kind}"><Error code="{code}"><Message>{message}</Message>'
        "<Detail>d &amp; e</Detail></Error></Fault>"
        "</IntuitResponse>"
    ).encode()


THROTTLE = "message=ThrottleExceeded; errorCode=003001; statusCode=429"


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (400, service("4001"), RejectedError, "4001"),
        (400, service("4000"), RejectedError, "4000"),
        (200, service("4001"), RejectedError, "4001"),
        (500, service("500", "Unsupported Operation"), RejectedError, "500"),
        (400, service("610", "Object Not Found"), NotFoundError, "610"),
        (404, service("610", "Object Not Found"), NotFoundError, "610"),
        (404, b"", RejectedError, None),
        (400, service("5020"), UnavailableError, "5020"),
        (403, service("5030"), UnavailableError, "5030"),
        (400, service("6190", "Invalid Company Status"), RejectedError, "6190"),
        (400, service("4002", kind="Service"), RejectedError, "4002"),
        (200, service("4002", kind="Service"), RejectedError, "4002"),
        (400, service("10000", kind="SystemFault"), RejectedError, "10000"),
        (200, service("10000", kind="SystemFault"), RetryableError, "10000"),
        (500, service("10000", kind="SystemFault"), RetryableError, "10000"),
        (500, xml("10000", "An application error", "SystemFault"), RetryableError, "10000"),
        (
            401,
            gateway("3200", "message=AuthenticationFailed; errorCode=003200; statusCode=401"),
            UnauthorizedError,
            "3200",
        ),
        (401, gateway("", "message=AuthenticationFailed; errorCode=003200"), UnauthorizedError, "3200"),
        (401, b"", UnauthorizedError, None),
        (401, b"<html>no</html>", UnauthorizedError, None),
        (200, gateway("3200", "expired"), UnauthorizedError, "3200"),
        (401, service("120", "Authorization Failure"), RejectedError, "120"),
        (403, gateway("3100", "message=AuthorizationFailed; errorCode=003100"), RejectedError, "3100"),
        (401, gateway("003100", "x"), RejectedError, "3100"),
        (403, b"<html>forbidden</html>", RejectedError, None),
        (403, gateway("3001", THROTTLE), ThrottledError, "3001"),
        (403, xml("003001", THROTTLE), ThrottledError, "3001"),
        (200, service("003001", "ThrottleExceeded"), ThrottledError, "3001"),
        (400, gateway("x", "message=ThrottleExceeded; statusCode=429"), ThrottledError, None),
        (429, b"", ThrottledError, None),
        (429, b"<html>slow down</html>", ThrottledError, None),
        (429, xml("3001", THROTTLE), ThrottledError, "3001"),
        (502, b"<html>bad gateway</html>", RetryableError, None),
        (503, b"", RetryableError, None),
        (504, b"\xff\xfe", RetryableError, None),
        (408, b"", RetryableError, None),
        (200, b"", RetryableError, None),
        (200, b'{"QueryResponse":{"Inv', RetryableError, None),
        (200, b"<html>maintenance</html>", RetryableError, None),
        (200, b"Your QuickBooks subscription has ended.", RejectedError, None),
        (204, b"", RetryableError, None),
        (302, b"", RejectedError, None),
        (413, b"", RejectedError, None),
    ],
)
def test_every_answer_becomes_the_error_that_says_what_to_do(
    status: int, body: bytes, expected: type[QboError], code: str | None
) -> None:
    error = error_for(ATTEMPT, status, {"Intuit-Tid": "1-abc"}, body)
    assert type(error) is expected
    assert (error.status, error.code, error.intuit_tid) == (status, code, "1-abc")
    assert ATTEMPT in str(error)
    assert str(status) in str(error)
    assert "1-abc" in str(error)


NOT_SUPPORTED = service("500", "Unsupported Operation", "Operation Query is not supported.")
LOST = service("500", "Unsupported Operation", "Operation Could not find resource for relative : /v3/query")
UNKNOWN = service("4001", "Invalid query", "QueryValidationError: invalid context declaration: Budget")


@pytest.mark.parametrize(
    ("status", "body", "entity", "own_address", "expected"),
    [
        (400, NOT_SUPPORTED, "Budget", False, UnavailableError),
        (200, NOT_SUPPORTED, "Budget", False, UnavailableError),
        (400, NOT_SUPPORTED, "", False, RejectedError),  # one record, or a change data capture of many entities
        (500, NOT_SUPPORTED, "Budget", False, RejectedError),
        (400, LOST, "Budget", False, RejectedError),
        (400, LOST, "TaxClassification", True, UnavailableError),
        (404, LOST, "TaxClassification", True, RejectedError),
        (400, service("500", "Something else"), "Budget", False, RejectedError),
        (400, UNKNOWN, "Budget", False, UnavailableError),
        (400, UNKNOWN, "budget", False, UnavailableError),
        (400, UNKNOWN, "", False, RejectedError),
        (400, UNKNOWN, "Budge", False, RejectedError),
        (400, UNKNOWN, "Invoice", False, RejectedError),
        (400, service("4001", "Invalid query", "property 'Budget' is not queryable"), "Budget", False, RejectedError),
        (400, service("5020"), "", False, UnavailableError),
        (401, gateway("3200", "x"), "Budget", False, UnauthorizedError),
        (429, b"", "Budget", False, ThrottledError),
        (503, b"", "Budget", True, RetryableError),
        (404, b"", "Budget", True, RejectedError),
    ],
)
def test_only_a_refusal_of_the_entity_itself_says_that_a_company_does_not_have_it(
    status: int, body: bytes, entity: str, own_address: bool, expected: type[QboError]
) -> None:
    assert type(error_for(ATTEMPT, status, {}, body, entity=entity, own_address=own_address)) is expected


def test_only_code_610_says_that_a_record_does_not_exist() -> None:
    """A wrong path or a confused gateway must never turn into a tombstone."""
    for status in (404, 410, 400):
        for body in (b"", b"{}", b"<html>Not Found</html>", service("500"), service("2030", "Invalid ID")):
            assert not isinstance(error_for(ATTEMPT, status, {}, body), NotFoundError)


@given(st.integers(100, 599), st.binary(max_size=300) | st.text(max_size=100).map(str.encode), st.booleans())
@example(500, b'{"Fault":{"Error":[],"type":null}}', False)
@example(500, b'{"Fault":{"Error":"x"}}', False)
@example(500, b'{"Fault":"x"}', False)
@example(500, b'{"fault":[1]}', False)
@example(500, b"[" * 100_000, False)
@example(500, b'{"a":' * 100_000, False)
@example(429, b'<Fault type="x"><Error code="1"><Message>' + b"<" * 70_000, False)
@example(429, b"<Fault>" + b"<Message <Error code" * 4_000, False)  # quadratic searches would show as minutes
@example(429, b'{"Fault":{"Error":[{"Message":"' + b"a" * 60_000 + b'"}]}}', False)
def test_no_bytes_at_any_status_raise_anything(status: int, body: bytes, is_html: bool) -> None:
    headers = {"Content-Type": "text/html" if is_html else "application/json", "Retry-After": "soon"}
    error = error_for(ATTEMPT, status, headers, body)
    assert isinstance(error, QboError)
    assert len(str(error)) < 2000


FAULT_WORDS = ["Fault", "fault", "Error", "error", "Message", "message", "Detail", "detail", "code", "type", "time"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FAULT_WORDS), inner, max_size=5),
    max_leaves=15,
)


@given(st.integers(200, 599), st.dictionaries(st.sampled_from(["Fault", "fault", "time"]), values, max_size=3))
def test_faults_of_any_shape_raise_nothing(status: int, document: dict[str, Any]) -> None:
    assert isinstance(error_for(ATTEMPT, status, {}, json.dumps(document).encode()), QboError)


SECRETS = [
    "AB01601390262kxzxOlnHYdhtEVRXISU7piPqQrCmmbDN35Yjd",
    "RT1-17-H0-1790000000abcdefghijkl",
    "eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0..abc.def",
    "secret with spaces",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("text", ["Token expired: {}", "Bearer {}", "found {} there", "{}", "token={}", 'x "{}"'])
def test_intuits_words_are_repeated_without_tokens(secret: str, text: str) -> None:
    """The gateway's own Detail reads "Token expired: AB01…"."""
    said = text.format(secret)
    for body in (service("3200", said, said), gateway("3200", said, detail=said), xml("3200", said)):
        error = error_for(ATTEMPT, 401, {}, body, secrets=("secret with spaces",))
        assert secret not in str(error)
        assert secret not in repr(error)


def test_a_detail_that_helps_is_kept_short() -> None:
    detail = "QueryValidationError: Property Foo not found for Entity Purchase"
    assert detail in str(error_for(ATTEMPT, 400, {}, service("4001", "Invalid query", detail)))
    assert len(str(error_for(ATTEMPT, 400, {}, service("4001", "m", "word " * 5000)))) < 1000
    assert safe_text("line one\nline\x1b[31m two") == "line one line [31m two"


def test_a_body_that_is_no_fault_is_never_quoted() -> None:
    """It may be somebody's books."""
    for body in (
        b'{"QueryResponse":{"Customer":[{"DisplayName":"canary"',
        b"<html><title>canary</title>",
        b"canary",
        b'{"Customer":{"DisplayName":"canary"}}',
    ):
        for status in (200, 400, 500):
            assert "canary" not in str(error_for(ATTEMPT, status, {}, body))


def test_the_sentence_for_a_throttle_mentions_the_monthly_allowance() -> None:
    assert "allowance" in str(error_for(ATTEMPT, 429, {}, b""))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 10:01:30 GMT", "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 90.0),
        ({"Retry-After": "Mon, 23 Nov 2026 09:00:00 GMT", "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 23 Nov 2026 10:01:30 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    error = error_for(ATTEMPT, 429, headers, b"")
    assert isinstance(error, ThrottledError)
    assert error.retry_after == seconds


@pytest.mark.parametrize("name", ["intuit_tid", "Intuit-Tid", "INTUIT-TID", "intuit-tid", "Intuit_Tid"])
def test_the_id_support_asks_for_is_found_in_every_spelling(name: str) -> None:
    assert intuit_tid({name: "1-5f7349e0-0fd2bee8"}) == "1-5f7349e0-0fd2bee8"
    assert intuit_tid({name: "1-x\r\n<b>"}) == "1-xb"


@pytest.mark.parametrize("kind", ["fault", "fault-xml"])
def test_real_faults_are_understood(samples: Path, kind: str) -> None:
    folder = samples / kind
    files = sorted(folder.rglob("*.json"))
    if not files:
        pytest.skip(f"NO REAL FAULTS in {folder}")
    for file in files:
        status = int(file.parent.name.removeprefix("http-"))
        body = file.read_bytes()
        if kind == "fault-xml":
            body = json.loads(body)["body"].encode()
        fault = fault_in(body)
        assert fault is not None, file
        assert fault.code
        assert fault.message
        error = error_for(ATTEMPT, status, {}, body)
        assert error.code == fault.code
        assert "AB01601390262" not in str(error)


def test_real_headers_carry_the_id_support_asks_for(samples: Path) -> None:
    files = sorted((samples / "http-headers").glob("*.json"))
    headers = [json.loads(file.read_bytes())["response"]["headers"] for file in files]
    of_the_api = [each for each in headers if "json" in each.get("Content-Type", "")]  # a PDF's have none
    if not of_the_api:
        pytest.skip(f"NO REAL HEADERS in {samples}")
    assert all(intuit_tid(each) for each in of_the_api)
