"""The JSON shapes of docs/cli.md are the real ones: other programs read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qbo_pipeline.books import Books
from qbo_pipeline.cli.summary import Summary
from qbo_pipeline.cli.supervisor import Program
from qbo_pipeline.warehouse.companies import Company
from tests.integration.cli.conftest import Terminal
from tests.support.quickbooks import Sandbox

pytestmark = pytest.mark.slow

DOCUMENTED = {
    name: json.loads(text)
    for name, text in re.findall(
        r"```json (\w+)\n(.*?)```", (Path(__file__).parents[3] / "docs" / "cli.md").read_text(), re.DOTALL
    )
}
#: Members whose own members are names out of the books: tables, entities, kinds, fields.
OPEN = {"tables", "passed_over", "not_synced", "unknown_fields", "services"}


def shape(value: Any, name: str = "") -> Any:
    """Return members and types; of a list, the shape of its first element."""
    if isinstance(value, dict):
        return "names" if name in OPEN else {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else "list"
    return type(value).__name__


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("status", ["status"]),
        ("sync", ["sync", "--entity", "Invoice"]),
        ("reconcile", ["reconcile", "--entity", "Invoice"]),
        ("upgrade", ["db", "upgrade"]),
        ("down", ["down"]),
    ],
)
def test_documents_have_the_members_that_are_documented(
    terminal: Terminal, books: Books, company: Company, name: str, words: list[str]
) -> None:
    if name == "status":
        terminal.type("sync")
    assert shape(terminal.json(*words, "--json")) == shape(DOCUMENTED[name])


def test_the_summary_of_a_demo_has_the_members_that_are_documented(
    books: Books, company: Company, quickbooks: Sandbox
) -> None:
    report = quickbooks.tell("/companies", {"realm": "9130000000000078", "name": "Files"}) and quickbooks.tell(
        "/books/9130000000000078/load", [{"Invoice": {"Id": "1"}}, {"Fault": {}}]
    )
    program = Program("quickbooks", [], 8700)
    assert shape(Summary(books, company, [program], report).document()) == shape(DOCUMENTED["demo"])
