"""Only what Intuit signed is believed (T4)."""

from __future__ import annotations

import base64
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.qbo.webhook_signature import verify_signature


def sign(body: bytes, token: str) -> str:
    return base64.b64encode(hmac.digest(token.encode(), body, "sha256")).decode()


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_what_was_signed_is_accepted_and_one_changed_byte_is_not(body: bytes, token: str) -> None:
    assert verify_signature(body, sign(body, token), [token])
    assert not verify_signature(body + b" ", sign(body, token), [token])
    assert not verify_signature(body, sign(body, token), [token + "x"])


@given(st.binary(max_size=50), st.none() | st.text(max_size=60))
def test_anything_else_is_false_and_never_an_exception(body: bytes, signature: str | None) -> None:
    assert not verify_signature(body, signature, ["token"])


def test_both_tokens_hold_while_one_replaces_the_other() -> None:
    for token in ("old", "new"):
        assert verify_signature(b"body", sign(b"body", token), ["old", "new"])


@pytest.mark.parametrize("tokens", [[], [""], ["", ""]])
def test_without_a_token_nothing_is_believed(tokens: list[str]) -> None:
    """An unset setting must not become a key that everybody knows."""
    assert not verify_signature(b"body", sign(b"body", ""), tokens)


def test_real_signatures_are_verified(samples: Path) -> None:
    files = sorted((samples / "webhook" / "signature").glob("*.json"))
    if not files:
        pytest.skip(f"NO REAL SIGNATURES in {samples / 'webhook' / 'signature'}")
    for file in files:
        vector = json.loads(file.read_bytes())
        body = vector["body"].encode()
        expected = vector["matches_hmac_sha256_base64"]
        assert verify_signature(body, vector["intuit_signature"], [vector["verifier_token"]]) is expected
        assert not verify_signature(
            body.replace(b"Create", b"Delete"), vector["intuit_signature"], [vector["verifier_token"]]
        )
