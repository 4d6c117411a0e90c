"""Books that change between every two pages of a first load: nothing that was there all the while is lost.

The second half is the control: the paging that everybody else uses loses records here, and the oracle sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import entity_named
from qbo_pipeline.qbo.paging import Page
from qbo_pipeline.qbo.query import Select
from qbo_pipeline.settings import Settings
from tests.support.oracle import differences, remembered
from tests.support.quickbooks import REALM, Sandbox
from tests.support.untimed import small_pages, untimed_books

pytestmark = pytest.mark.slow

INVOICE = (entity_named("Invoice"),)
PAGE = 16


@pytest.fixture
def untimed(quickbooks: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Books]:
    """An installation with the company of sixty invoices connected, and an hour since anybody touched its books."""
    quickbooks.tell("/clock", {"advance_seconds": 3600})
    books = untimed_books(
        Settings(database_url=database_url, environment="local", local_url=quickbooks.url, state_dir=tmp_path)
    )
    quickbooks.connect(books)
    yield books
    books.database.dispose()


def changing(quickbooks: Sandbox, seed: int, *kinds: str, per_call: int = 1) -> None:
    """From now on the invoices change after every answer about them, for much longer than a load should take."""
    match = {"realm": REALM, "entity": "Invoice"}
    rule = {"fault": "mutate_books", "seed": seed, "kinds": kinds, "per_call": per_call, "match": match, "times": 60}
    quickbooks.tell("/faults", rule)


def quiet(quickbooks: Sandbox) -> int:
    """Let the books rest; return how often they had changed."""
    (rule,) = quickbooks.tell("/faults")["rules"]
    quickbooks.tell("/faults", method="DELETE")
    return sum(number for kind, number in rule["changes"].items() if kind != "nothing")


def sync(books: Books, quickbooks: Sandbox) -> Any:
    # Calls take milliseconds here: without a second in between, more would be edited in one than a page holds.
    with small_pages(PAGE, between=lambda: quickbooks.tell("/clock", {"advance_seconds": 1})):
        return books.sync(None, INVOICE, trigger="test")


def ids(books: Books) -> set[str]:
    with books.engine.connect() as connection:
        return set(connection.execute(sa.text("SELECT id FROM quickbooks.invoices")).scalars())


@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize(
    "kinds",
    [("edit",), ("edit", "delete", "void"), ("edit", "insert", "delete"), ("insert",)],
    ids=lambda kinds: "+".join(kinds),
)
def test_a_first_load_of_changing_books_misses_nothing(
    kinds: tuple[str, ...], seed: int, untimed: Books, quickbooks: Sandbox
) -> None:
    before = quickbooks.truth()["Invoice"].keys()
    changing(quickbooks, seed, *kinds)
    outcome = sync(untimed, quickbooks)
    assert [str(each.error) for each in outcome.failed] == [], "books that are being edited are no reason to give up"
    assert 3 < quiet(quickbooks) < 30, "the books changed while they were read, and reading came to an end all the same"
    all_the_while = before & quickbooks.truth()["Invoice"].keys()
    assert all_the_while - ids(untimed) == set(), "what was there all the while was read at once"
    had = remembered(untimed.engine, REALM, INVOICE)
    assert sync(untimed, quickbooks).failed == []
    assert differences(untimed.engine, REALM, quickbooks.truth(), had=had, entities=INVOICE) == []


def test_the_usual_paging_loses_records_here_and_the_oracle_sees_it(
    untimed: Books, quickbooks: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_offset(client: Any, entity: str, *, since: Any, **_: Any) -> Iterator[Page]:
        select = Select(entity).ordered_by("MetaData.LastUpdatedTime")
        if since is not None:
            select = select.where("MetaData.LastUpdatedTime", ">=", since)
        start, size = 1, PAGE
        while size == PAGE:
            answer = client.query(select.page(start, PAGE))
            size, start = len(answer.records), start + PAGE
            yield Page(answer.records, answer.time)

    changing(quickbooks, 1, "edit", per_call=3)
    with monkeypatch.context() as patch:
        patch.setattr("qbo_pipeline.sync.exact.changed_pages", by_offset)
        patch.setattr("qbo_pipeline.sync.exact.ExactReading._counted", lambda *_: None)
        assert untimed.sync(None, INVOICE, trigger="test").failed == []
    quiet(quickbooks)
    assert sync(untimed, quickbooks).failed == []
    found = differences(untimed.engine, REALM, quickbooks.truth(), entities=INVOICE)
    assert any(sentence.endswith("is missing") for sentence in found)
