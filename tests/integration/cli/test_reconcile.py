"""``qbo reconcile``: a table for people, a document for programs, one sentence per problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.conftest import Terminal
from tests.integration.conftest import Standing
from tests.support.quickbooks import REALM

pytestmark = pytest.mark.slow


@pytest.fixture
def there(clean: Path, standing: Standing) -> Terminal:
    """A terminal that finds the standing company."""
    return Terminal({"DATABASE_URL": standing.url, "QBO_LOCAL_URL": standing.quickbooks.url})


def test_people_get_a_table_and_exit_code_0_when_all_is_repaired(there: Terminal, standing: Standing) -> None:
    standing.execute("DELETE FROM quickbooks.terms WHERE id = (SELECT min(id) FROM quickbooks.terms)")
    result = there.type("reconcile", "--entity", "Term", "--entity", "ExchangeRate")
    assert result.exit_code == 0, result.output
    title, _, head, _, term, rate, *_ = result.stdout.strip().splitlines()
    assert title.startswith(f"{standing.company.name} ({REALM}): 1 repaired, 1 not counted, ")
    assert head.split() == ["entity", "quickbooks", "warehouse", "missing", "extra", "stale", "status"]
    count = str(len(standing.quickbooks.truth()["Term"]))
    assert term.split() == ["Term", count, count, "1", "0", "0", "repaired"]
    assert rate.split()[:2] == ["ExchangeRate", "-"]
    assert f"Comparing {standing.company.name}" in result.stderr


def test_programs_get_a_document(there: Terminal, standing: Standing) -> None:
    document = there.json("reconcile", "--entity", "Vendor", "--sample", "5", "--company", REALM, "--json")
    (company,) = document["companies"]
    (entity,) = company["entities"]
    count = len(standing.quickbooks.truth()["Vendor"])
    assert entity == {
        "entity": "Vendor",
        "quickbooks": count,
        "warehouse": count,
        "missing": 0,
        "extra": 0,
        "stale": 0,
        "repaired": False,
        "status": "equal",
        "note": None,
    }
    # Change data capture, the count and the sample, which is counted too.
    assert (company["ok"], company["error"], company["calls"]) == (True, None, 4)


def test_what_still_differs_is_one_sentence_and_exit_code_1_until_a_person_says_yes(
    there: Terminal, standing: Standing
) -> None:
    standing.execute(
        "INSERT INTO quickbooks.items (realm_id, id, synced_at) "
        "SELECT :realm, '66' || n, now() FROM generate_series(100, 130) n",
        realm=REALM,
    )
    result = there.type("reconcile", "--entity", "Item")
    assert result.exit_code == 1
    assert "differs" in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert line.startswith(f"Error: {standing.company.partition_key}, Item: 31 of ")
    assert "Traceback" not in result.output
    document = there.json("reconcile", "--entity", "Item", "--yes", "--json")
    assert document["companies"][0]["entities"][0]["extra"] == 31


def test_a_company_that_cannot_be_asked_at_all_is_told_once(there: Terminal, standing: Standing) -> None:
    standing.quickbooks.tell("/faults", {"fault": "http_401", "match": {"path": "/v3/"}, "times": 0})
    result = there.type("reconcile", "--entity", "Bill", "--entity", "Vendor", "--entity", "Item")
    assert result.exit_code == 1
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1


@pytest.mark.parametrize("words", [["--sample", "-1"], ["--sample", "many"], ["--entity"]])
def test_bad_words_are_exit_code_2(bare: Terminal, words: list[str]) -> None:
    assert bare.type("reconcile", *words).exit_code == 2
