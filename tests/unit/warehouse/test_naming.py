"""How companies are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbo_pipeline.warehouse.naming import environment_of, partition_key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Craig's Design & Landscaping", "craigs-design-landscaping-9130"),
        ("Craig’s", "craigs-9130"),
        ("Müller GmbH & Co. KG", "muller-gmbh-co-kg-9130"),
        ("株式会社", "company-9130"),
        ("  ", "company-9130"),
    ],
)
def test_a_key_can_be_read(name: str, key: str) -> None:
    assert partition_key(name, "9130") == key


@settings(database=None)
@given(st.text(max_size=300), st.from_regex(r"[0-9]{10,20}", fullmatch=True))
def test_a_key_is_plain_bounded_and_keeps_the_whole_realm(name: str, realm: str) -> None:
    key = partition_key(name, realm)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key)
    assert len(key) <= 100
    assert key.endswith(f"-{realm}")


@pytest.mark.parametrize(
    ("root", "environment"),
    [
        ("https://sandbox-quickbooks.api.intuit.com", "sandbox"),
        ("https://quickbooks.api.intuit.com/v3", "production"),
        ("http://127.0.0.1:8010", "local"),
        (None, "local"),
    ],
)
def test_the_api_root_tells_the_environment(root: str | None, environment: str) -> None:
    assert environment_of(root) == environment
