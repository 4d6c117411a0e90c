"""A secret is the text it is for a program, and three stars for whoever looks."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator

import pytest

from qbo_pipeline.secret import Secret, keep_secrets_out_of_logs, scrub


@pytest.fixture
def filtered() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    keep_secrets_out_of_logs()
    keep_secrets_out_of_logs()
    yield
    logging.setLogRecordFactory(before)


def test_it_hides_wherever_text_is_made_of_it() -> None:
    secret = Secret("RT1-canary-1")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", "%s" % secret, "{}".format(secret)]  # noqa: UP031, UP032
    assert [text for text in [*shown, repr({"token": secret}), repr(pickle.dumps(secret))] if "canary" in text] == []


def test_it_is_the_text_where_a_program_wants_it() -> None:
    secret = Secret("RT1-canary-1")
    assert secret == "RT1-canary-1"
    assert "Bearer " + secret == "Bearer RT1-canary-1"
    assert secret.encode() == b"RT1-canary-1"
    assert type(secret.reveal()) is str
    assert hash(secret) == hash("RT1-canary-1")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijklmnop-canary",
        "authorization: basic Y2FuYXJ5OmNhbmFyeQ==canary",
        "presented RT1-17-H0-17900000-canary here",
        "eyJlbmMiOiJBMTI4Q0JDLUhTMjU2canary.part.two-canary",
        "postgresql://user:canary-password@host/db",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str) -> None:
    assert "canary" not in scrub(text)
    assert "***" in scrub(text)


def test_what_was_a_secret_once_is_taken_out_of_any_text() -> None:
    Secret("no shape at all canary")
    assert scrub("it said: no shape at all canary, twice") == "it said: ***, twice"
    assert scrub("nothing to hide in 1234567") == "nothing to hide in 1234567"


def test_logs_are_scrubbed_tracebacks_too(filtered: None, caplog: pytest.LogCaptureFixture) -> None:
    Secret("s3cret-canary-value")
    log = logging.getLogger("tests.secret")
    log.warning("sent %s with %d", "s3cret-canary-value", 3)
    try:
        int("s3cret-canary-value")
    except ValueError:
        log.exception("failed")
    assert "canary" not in caplog.text
    assert "sent *** with 3" in caplog.text
    assert "ValueError: invalid literal for int() with base 10: '***'" in caplog.text
