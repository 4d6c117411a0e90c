"""What the run log says while a sync is under way."""

from __future__ import annotations

from typing import Any

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.progress import Progress


def outcome(name: str, **more: Any) -> EntityOutcome:
    return EntityOutcome(entity_named(name), **more)


def test_a_long_list_says_how_much_is_left_of_it() -> None:
    now = [100.0]
    progress = Progress(41, clock=lambda: now[0])
    now[0] += 2
    assert progress.line(outcome("Customer", pages=1, records=7, expected=7, run_calls=2)) == (
        "Customer (1 of 41): page 1, 7 records, 2 calls so far"
    )
    now[0] += 10
    invoices = outcome("Invoice", pages=1, records=1000, expected=12_500, run_calls=4)
    assert progress.line(invoices) == (
        "Invoice (2 of 41): page 1, 1,000 of 12,500 records, 4 calls so far, about 0:01:55 left for Invoice"
    )
    now[0] += 10
    invoices.pages, invoices.records = 2, 2000
    assert "page 2, 2,000 of 12,500 records" in progress.line(invoices)
    assert "about 0:01:45 left" in progress.line(invoices)


def test_what_was_not_counted_promises_nothing() -> None:
    progress = Progress(2, clock=lambda: 1.0)
    assert progress.line(outcome("Term", pages=1, records=3)) == "Term (1 of 2): page 1, 3 records, 0 calls so far"
    assert "left" not in progress.line(outcome("Bill", pages=1, records=0, expected=9))
