"""Rules of faults: when they strike, what they count; and that every fault and knob is documented."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from qbo_pipeline.sandbox.breakage import FaultKind, Rule
from qbo_pipeline.sandbox.settings import Settings, TokenPolicy
from tests.sandbox.hand import REALM, ROOT, Sandbox


def test_rules_can_wait_repeat_and_be_withdrawn(sandbox: Sandbox) -> None:
    rules = [{"fault": "http_503", "after": 2, "times": 2}, {"fault": "invalid_grant", "match": {"path": "bearer"}}]
    sandbox.connect()
    sandbox.control("POST", "/faults", rules)
    statuses = [sandbox.call("GET", "preferences").status_code for _ in range(5)]
    assert statuses == [200, 200, 503, 503, 200]
    assert sandbox.refresh(sandbox.tokens[REALM]["refresh_token"]).json() == {"error": "invalid_grant"}
    assert sandbox.control("DELETE", "/faults")["removed"] == 2


def test_chance_strikes_the_same_calls_again_by_its_seed(sandbox: Sandbox) -> None:
    def struck(seed: int | None, *others: dict[str, Any]) -> list[int]:
        sandbox.control("POST", "/reset")
        sandbox.connect()
        rule = {"fault": "http_503", "times": 0, "probability": 0.3, "seed": seed, "match": {"path": "preferences"}}
        sandbox.control("POST", "/faults", [rule, *others])
        sandbox.query("select * from Term")
        return [sandbox.call("GET", "preferences").status_code for _ in range(40)]

    first = struck(3)
    assert 0 < first.count(503) < 40
    assert struck(3) == first
    assert struck(4) != first
    other = {"fault": "slow", "seconds": 0, "probability": 0.5, "times": 0}
    assert struck(3, other) == first, "other rules draw from chances of their own"
    assert struck(None) == struck(None), "without a seed the sandbox's own"


def test_the_ledger_outlives_the_rules(sandbox: Sandbox) -> None:
    sandbox.connect()
    sandbox.control("POST", "/faults", [{"fault": "http_503", "times": 2}, {"fault": "http_500"}])
    assert [sandbox.call("GET", "preferences").status_code for _ in range(4)] == [503, 503, 500, 200]
    sandbox.control("DELETE", "/faults")
    assert sandbox.control("GET", "/faults") == {"rules": [], "ledger": {"http_503": 2, "http_500": 1}}
    sandbox.control("POST", "/reset")
    assert sandbox.control("GET", "/faults")["ledger"] == {}


def test_books_can_change_between_two_pages(sandbox: Sandbox) -> None:
    key = sandbox.books()["Term"][0]["Id"]
    edit = {"op": "update", "entity": "Term", "id": key, "record": {"Name": "Changed"}}
    sandbox.control(
        "POST", "/faults", {"fault": "edit_books", "operations": [edit], "after": 1} | {"match": {"path": "query"}}
    )
    sandbox.connect()
    names = [{row["Name"] for row in sandbox.query("select * from Term")["QueryResponse"]["Term"]} for _ in range(2)]
    assert "Changed" not in names[0]
    assert "Changed" in names[1]


def test_an_edit_that_cannot_be_done_shows_in_the_call_log(sandbox: Sandbox) -> None:
    edit = {"op": "delete", "entity": "Term", "id": "99"}
    sandbox.control("POST", "/faults", {"fault": "edit_books", "operations": [edit], "match": {"path": "query"}})
    assert sandbox.query("select * from Term")
    assert sandbox.control("GET", "/calls")["calls"][-1]["fault"] == "edit_books: There is no Term 99."


def _documented(after: str) -> str:
    """Return a section of the documentation."""
    return (ROOT / "docs" / "sandbox.md").read_text().partition(f"## {after}\n")[2].partition("\n##")[0]


@pytest.mark.parametrize("fault", get_args(FaultKind))
def test_every_fault_is_documented(fault: str) -> None:
    assert f"`{fault}`" in _documented("Faults on order")


def test_every_member_of_a_rule_is_documented() -> None:
    said = _documented("Faults on order")
    for member in set(Rule.__struct_fields__) - {"id", "matched", "broken", "changes"}:
        assert f"`{member}`" in said or f'"{member}"' in said, member


@pytest.mark.parametrize("knobs", [Settings, TokenPolicy])
def test_every_knob_is_documented_with_its_default(knobs: type[Settings | TokenPolicy]) -> None:
    rows = [line for line in _documented("Knobs").splitlines() if line.startswith("| `")]
    said = {name: row.split("|")[2] for row in rows for name in row.split("|")[1].replace("`", "").strip().split(", ")}
    for name, default in msgspec.to_builtins(knobs()).items():
        assert name in said, name
        spelt = "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        assert spelt.replace("()", "[]") in said[name], (name, default)
