"""Nothing is lost while the books are edited between pages (R1, R4, R29)."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbo_pipeline.errors import QboError, RejectedError, RetryableError
from qbo_pipeline.qbo import paging
from qbo_pipeline.qbo.answers import QueryAnswer
from qbo_pipeline.qbo.paging import Page, changed_pages
from qbo_pipeline.qbo.query import Select
from tests.unit.qbo.edited_books import START, Books, edited_books, ids, lost, read


@given(edited_books(), st.integers(2, 9))
@settings(max_examples=100, deadline=None)
def test_no_record_that_exists_throughout_is_lost(books: Books, page_size: int) -> None:
    throughout = set(books.records)
    try:
        pages = read(books, page_size=page_size)
    except RetryableError:  # one second that never held still: loud, and the cursor stays
        assert books.pause == 0
        return
    assert lost(books, pages, throughout) == set()


@given(edited_books(), st.integers(2, 9), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_short_pages_that_are_not_the_last_lose_nothing_when_they_are_not_trusted(
    books: Books, page_size: int, seed: int
) -> None:
    books.short = random.Random(seed)
    throughout = set(books.records)
    try:
        pages = read(books, page_size=page_size, trust_short_pages=False)
    except RetryableError:
        return
    assert lost(books, pages, throughout) == set()


@given(edited_books(), st.integers(2, 9))
@settings(max_examples=60, deadline=None)
def test_reading_by_time_of_creation_loses_nothing_of_its_window(books: Books, page_size: int) -> None:
    since, until = START + timedelta(seconds=2), START + timedelta(seconds=9)

    def within() -> set[str]:
        return {
            record_id
            for record_id, record in books.records.items()
            if since <= datetime.fromisoformat(record["MetaData"]["CreateTime"]) < until
        }

    throughout = within()
    try:
        pages = read(books, page_size=page_size, by="CreateTime", since=since, until=until)
    except RetryableError:
        return
    assert lost(books, pages, throughout) == set()
    assert set(ids(pages)) <= throughout | within() | (set(ids(pages)) - set(books.records))


def test_offset_paging_would_lose_records() -> None:
    """Negative control: what everybody does must turn red here, or the tests above prove nothing."""

    def offset_pages(books: Books, page_size: int) -> list[Page]:
        statement = Select("Invoice").ordered_by("MetaData.LastUpdatedTime")
        pages: list[Page] = []
        while not pages or len(pages[-1].records) == page_size:
            answer = books.query(statement.page(len(pages) * page_size + 1, page_size))
            pages.append(Page(answer.records, answer.time))
        return pages

    losses = 0
    for seed in range(20):
        books = Books()
        for _ in range(40):
            books.create()
            books.now += timedelta(seconds=1)
        chance = random.Random(seed)

        def edit(books: Books, chance: random.Random = chance) -> None:
            books.now += timedelta(seconds=1)
            if len(books.statements) < 50:
                books.update(chance.choice(list(books.records)))

        books.edit = edit
        throughout = set(books.records)
        losses += bool(lost(books, offset_pages(books, 5), throughout))
        books.statements.clear()
        assert lost(books, read(books), throughout) == set()
    assert losses > 10


@pytest.mark.parametrize("ties", [2, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("around", [0, 1, 700])
def test_any_number_of_records_in_one_second(ties: int, around: int) -> None:
    books = Books()
    for count in (around, ties, around):
        books.create(count)
        books.now += timedelta(seconds=1)
    pages = read(books, page_size=1000)
    assert sorted(ids(pages), key=int) == [str(number) for number in range(1, len(books.records) + 1)]


def test_a_quiet_read_yields_every_record_once_and_in_order() -> None:
    books = Books()
    for _ in range(23):
        books.create()
        books.now += timedelta(seconds=1)
    assert ids(read(books)) == [str(number) for number in range(1, 24)]


def test_every_page_starts_at_position_one_and_the_closed_bound_moves_up() -> None:
    books = Books()
    for _ in range(7):
        books.create()
        books.now += timedelta(seconds=1)
    read(books, inactive_too=True)
    tail = "Active in (true, false) orderby MetaData.LastUpdatedTime startposition 1 maxresults 5"
    assert books.statements == [
        f"select * from Invoice where {tail}",
        f"select * from Invoice where MetaData.LastUpdatedTime >= '2026-03-08T01:59:54+00:00' and {tail}",
    ]


def test_a_window_has_a_closed_lower_and_an_open_upper_end() -> None:
    books = Books()
    for _ in range(10):
        books.create()
        books.now += timedelta(seconds=1)
    pages = read(books, since=START + timedelta(seconds=3), until=START + timedelta(seconds=6))
    assert ids(pages) == ["4", "5", "6"]


def test_nothing_changed_is_one_call_and_one_empty_page_with_intuits_time() -> None:
    books = Books()
    assert read(books, since=START) == [Page([], START)]
    assert len(books.statements) == 1


def test_a_record_edited_between_two_pages_comes_again_and_an_unchanged_one_does_not() -> None:
    books = Books()
    for _ in range(8):
        books.create()
        books.now += timedelta(seconds=1)

    def edit(books: Books) -> None:
        if len(books.statements) == 1:
            books.update("2")

    books.edit = edit
    found = ids(read(books))
    assert found.count("2") == 2
    assert sorted(set(found), key=int) == [str(number) for number in range(1, 9)]
    assert len(found) == 9


def test_records_leaving_a_crowded_second_between_its_pages_hide_nobody() -> None:
    """The one place offsets are used: an edit moves a record out of the second, everything behind it shifts."""
    books = Books()
    books.create(20)
    books.now += timedelta(seconds=1)

    def edit(books: Books) -> None:
        books.now += timedelta(seconds=1)
        if len(books.statements) <= 6:
            books.update(str(len(books.statements)))

    books.edit = edit
    assert set(ids(read(books))) == set(books.records)


def test_a_second_is_paged_by_id_because_time_gives_no_order_within_it() -> None:
    """A database may sort ties otherwise for every page; by LastUpdatedTime alone no two passes would agree."""
    chance = random.Random(7)
    books = Books(ties=lambda: random.Random(chance.random()))
    books.create(40)
    assert sorted(ids(read(books)), key=int) == [str(number) for number in range(1, 41)]


def test_an_unstable_order_within_a_second_does_not_hide_records_without_ids() -> None:
    """Records that tie may come in another order in every answer; a pass that met one twice proves nothing."""
    chance = random.Random(7)
    books = Books(ties=lambda: random.Random(chance.random()))
    books.create(12)
    for number, record in enumerate(books.records.values()):
        record["Currency"] = number
        del record["Id"]
    try:
        pages = read(books)
    except RetryableError:
        return
    assert {json.loads(bytes(r))["Currency"] for page in pages for r in page.records} == set(range(12))


def test_records_without_times_are_read_by_offset_until_two_passes_agree() -> None:
    books = Books()
    books.create(12)
    for record in books.records.values():
        del record["MetaData"]
    assert sorted(ids(read(books)), key=int) == [str(number) for number in range(1, 13)]


def test_wrapped_templates_are_recognised_by_what_is_inside() -> None:
    """RecurringTransaction puts Id and times one level deeper."""
    books = Books()
    for _ in range(9):
        books.create()
        books.now += timedelta(seconds=1)

    class Wrapping:
        def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer:
            answer = books.query(statement, page=page)
            wrapped = [msgspec.Raw(b'{"Bill":' + bytes(record) + b"}") for record in answer.records]
            return QueryAnswer(wrapped, answer.time)

    pages = list(changed_pages(Wrapping(), "RecurringTransaction", since=None, inactive_too=False, page_size=4))
    assert [json.loads(bytes(r))["Bill"]["Id"] for page in pages for r in page.records] == [
        str(n) for n in range(1, 10)
    ]


@pytest.mark.parametrize("ignored", ["order", "bounds", "startposition"])
def test_a_server_that_ignores_what_paging_needs_is_found_out(ignored: Any) -> None:
    """Neither an endless loop nor a silent loss: one clear sentence."""
    books = Books(ignores=frozenset({ignored}))
    for _ in range(30):
        books.create(1 if ignored != "startposition" else 30)
        books.now += timedelta(seconds=1)
    with pytest.raises(QboError, match="ignored"):
        read(books)
    assert len(books.statements) < 100


def test_one_disorder_is_an_edit_and_is_asked_about_again() -> None:
    books = Books()
    for _ in range(8):
        books.create()
        books.now += timedelta(seconds=1)
    honest = books.query

    class OnceDisordered:
        asked = 0

        def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer:
            self.asked += 1
            answer = honest(statement, page=page)
            return QueryAnswer(answer.records[::-1], answer.time) if self.asked == 1 else answer

    pages = list(changed_pages(OnceDisordered(), "Invoice", since=None, inactive_too=False, page_size=5))
    assert set(ids(pages)) == set(books.records)


def test_a_second_that_never_holds_still_ends_in_an_error_not_in_a_loop() -> None:
    books = Books()
    books.create(10)

    def edit(books: Books) -> None:
        for record_id in list(books.records):
            books.update(record_id)  # within the same second, for ever

    books.edit = edit
    with pytest.raises(RetryableError, match="never agreed"):
        read(books)
    assert len(books.statements) < 100


def test_a_server_without_end_is_left_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_PAGES", 50)
    books = Books()
    books.create(10)

    def edit(books: Books) -> None:
        books.now += timedelta(seconds=1)
        books.create(10)

    books.edit = edit
    with pytest.raises(RejectedError):
        read(books)
    assert len(books.statements) == 50
