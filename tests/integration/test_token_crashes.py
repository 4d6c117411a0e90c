"""A refresh that dies at any place, under the mildest and the harshest server; ``python -m tests.soak.chain`` has all.

The table that is printed is compared with docs/token-crashes.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.chain import PLACES, differences, documented, matrix, rows, table
from tests.support.quickbooks import Sandbox
from tests.support.token_chain import Chain, chain_of

pytestmark = pytest.mark.slow

MILD, HARSH = "daily, 24 h grace", "every call, reuse revokes"


@pytest.mark.parametrize("policy", [MILD, HARSH])
def test_every_crash_ends_as_documented(quickbooks: Sandbox, database_url: str, tmp_path: Path, policy: str) -> None:
    with chain_of(quickbooks, database_url, tmp_path / "state") as chain:
        found = matrix(chain, (policy,), rows())
    assert differences(found, (policy,)) == [], "\n".join(table(found, (policy,)))


def test_the_document_tells_of_every_place_and_policy() -> None:
    assert set(documented()) == set(rows())
    for place in PLACES[3:]:
        assert set(documented()[f"killed when {place}"].values()) == {"ok"}, "what is spooled is safe, everywhere"
    mild = {outcomes[MILD] for outcomes in documented().values()}
    assert mild == {"ok"}, "where Intuit keeps its grace, nothing of all this needs a person"


def test_the_judge_sees_a_dead_chain(quickbooks: Sandbox, database_url: str, tmp_path: Path) -> None:
    def somebody_disconnects(chain: Chain) -> None:
        chain.sandbox.tell("/tokens/revoke", {})

    with chain_of(quickbooks, database_url, tmp_path / "state") as chain:
        assert matrix(chain, (MILD,), {"disconnected": somebody_disconnects}) == {"disconnected": ["reconnect"]}
