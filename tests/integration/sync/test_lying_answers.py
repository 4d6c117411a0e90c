"""Answers that are well formed and not true: too short, empty, or about other records. None of them costs a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import entity_named
from qbo_pipeline.errors import RetryableError
from qbo_pipeline.settings import Settings
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox
from tests.support.untimed import small_pages, untimed_books

pytestmark = pytest.mark.slow

INVOICE = entity_named("Invoice")


@pytest.fixture
def untimed(quickbooks: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Books]:
    """An installation whose client never waits, and an hour since anybody touched the books."""
    quickbooks.tell("/clock", {"advance_seconds": 3600})
    books = untimed_books(
        Settings(database_url=database_url, environment="local", local_url=quickbooks.url, state_dir=tmp_path)
    )
    quickbooks.connect(books)
    yield books
    books.database.dispose()


def invoices(books: Books, window: Window = INCREMENTAL, page_size: int = 16) -> EntityOutcome:
    with small_pages(page_size):
        return books.sync(None, (INVOICE,), window, trigger="test").entities[0]


def faults(quickbooks: Sandbox, statement: str = "select *", **rule: Any) -> None:
    quickbooks.tell("/faults", {"match": {"path": "query", "entity": "Invoice", "statement": statement}, **rule})


def no_more_faults(quickbooks: Sandbox) -> None:
    quickbooks.tell("/faults", method="DELETE")


def wrong(books: Books, quickbooks: Sandbox) -> list[str]:
    return differences(books.engine, REALM, quickbooks.truth(), entities=(INVOICE,))


def archived(books: Books) -> int:
    with books.engine.connect() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM quickbooks.deleted_records")) or 0


def test_a_short_page_is_not_taken_for_the_end(untimed: Books, quickbooks: Sandbox) -> None:
    faults(quickbooks, fault="short_page", times=1)
    assert invoices(untimed).ok
    assert wrong(untimed, quickbooks) == []


def test_a_list_that_stays_short_is_loaded_as_far_as_it_goes_and_read_again(
    untimed: Books, quickbooks: Sandbox
) -> None:
    faults(quickbooks, fault="empty_page", after=1, times=0)
    outcome = invoices(untimed)
    assert outcome.records == 16
    assert isinstance(outcome.error, RetryableError)
    assert "more records than it shows" in str(outcome.error)
    assert outcome.cursor_after is None
    no_more_faults(quickbooks)
    assert invoices(untimed).ok
    assert wrong(untimed, quickbooks) == []


def test_an_empty_answer_empties_no_table(untimed: Books, quickbooks: Sandbox) -> None:
    assert invoices(untimed).ok
    faults(quickbooks, statement="", fault="empty_page", times=0)
    assert not invoices(untimed, FULL).ok
    assert archived(untimed) == 0
    no_more_faults(quickbooks)
    assert wrong(untimed, quickbooks) == []


def test_a_page_of_other_records_deletes_nobody(untimed: Books, quickbooks: Sandbox) -> None:
    assert invoices(untimed).ok
    first, *_, last = quickbooks.truth()["Invoice"]
    faults(quickbooks, fault="repeated_page", times=0)
    # Change data capture calls two of them deleted; asked for the second, QuickBooks shows the answer about the first.
    for live in (first, last):
        quickbooks.tell("/settings", {"cdc_false_stubs": [f"Invoice/{live}"]})
        invoices(untimed)
    assert archived(untimed) == 0
    assert wrong(untimed, quickbooks) == []


def test_a_page_of_before_it_was_deleted_keeps_no_record_alive(untimed: Books, quickbooks: Sandbox) -> None:
    assert invoices(untimed).ok
    record_id = list(quickbooks.truth()["Invoice"])[-1]
    faults(quickbooks, fault="repeated_page", times=0)
    quickbooks.tell("/settings", {"cdc_false_stubs": [f"Invoice/{record_id}"]})
    assert invoices(untimed).ok
    quickbooks.tell("/settings", {"cdc_false_stubs": []})
    quickbooks.edit({"op": "delete", "entity": "Invoice", "id": record_id})
    # Asked whether it is there, QuickBooks shows what it answered a moment before.
    outcome = invoices(untimed)
    assert isinstance(outcome.error, RetryableError)
    assert outcome.cursor_after == outcome.cursor_before
    no_more_faults(quickbooks)
    assert invoices(untimed).ok
    assert archived(untimed) == 1
    assert wrong(untimed, quickbooks) == []
