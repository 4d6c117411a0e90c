"""Several pages in flight lose nothing either, whatever is edited meanwhile and whichever answer comes first."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbo_pipeline.errors import RejectedError, RetryableError
from qbo_pipeline.qbo import ahead
from qbo_pipeline.qbo.ahead import LongRead
from qbo_pipeline.qbo.answers import QueryAnswer
from qbo_pipeline.qbo.query import Select
from tests.unit.qbo.edited_books import START, Books, edited_books, ids, lost


class _Still(random.Random):
    """Leaves records of one second in the order they were made."""

    def random(self) -> float:
        return 0.0


@dataclass
class Crowd:
    """Books behind a door that lets one in at a time, in an order nobody can foresee."""

    books: Books
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    inside: int = 0
    most: int = 0
    _door: threading.Lock = field(default_factory=threading.Lock)

    def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer:
        with self._door:
            self.inside += 1
            self.most = max(self.most, self.inside)
            wait = self.chance.random() / 4000
        time.sleep(wait)
        with self._door:
            self.inside -= 1
            return self.books.query(statement, page=page)


def long_read(books: Books, seed: int = 0, **more: Any) -> LongRead:
    books.ties = _Still
    given: dict[str, Any] = {"since": None, "until": None, "inactive_too": False, "page_size": 5, "in_flight": 4}
    return LongRead(Crowd(books, random.Random(seed)), "Invoice", len(books.records), **(given | more))


def filled(count: int, *, at_once: int = 1) -> Books:
    books = Books()
    for _ in range(count // at_once):
        books.create(at_once)
        books.now += timedelta(seconds=1)
    return books


@given(edited_books(), st.integers(2, 9), st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_no_record_that_exists_throughout_is_lost(books: Books, page_size: int, seed: int, in_flight: int) -> None:
    throughout = set(books.records)
    try:
        pages = list(long_read(books, seed, page_size=page_size, in_flight=in_flight).pages())
    except RetryableError:  # one second that never held still: loud, and the cursor stays
        assert books.pause == 0
        return
    assert lost(books, pages, throughout) == set()


def _touch_one(chance: random.Random) -> Callable[[Books], None]:
    def touch(books: Books) -> None:
        if len(books.statements) < 30:
            books.now += timedelta(seconds=1)
            books.update(chance.choice(list(books.records)))

    return touch


def test_pages_that_do_not_meet_any_more_lose_the_records_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without a look at the edges the property above fails."""
    monkeypatch.setattr(ahead, "_meet", lambda *_: True)
    missing = 0
    for seed in range(30):
        books = filled(40)
        books.edit = _touch_one(random.Random(seed))
        throughout = set(books.records)
        missing += len(lost(books, list(long_read(books, seed).pages()), throughout))
    assert missing > 0


@pytest.mark.parametrize("count", [26, 29, 30, 31, 100, 101])
def test_quiet_books_cost_one_call_per_page(count: int) -> None:
    books = filled(count)
    assert sorted(set(ids(list(long_read(books).pages()))), key=int) == list(books.records)
    full = (count - 1) % 4 == 0  # a full page may not be the last
    assert len(books.statements) == -(-(count - 1) // 4) + full, "each begins with the record the one before ends with"


def test_several_are_in_flight_and_no_more_than_allowed() -> None:
    reading = long_read(filled(200), in_flight=4)
    list(reading.pages())
    assert isinstance(reading.client, Crowd)
    assert 2 <= reading.client.most <= 4


def test_an_import_within_one_second_is_read_whole() -> None:
    books = filled(60, at_once=20)
    assert set(ids(list(long_read(books).pages()))) == set(books.records)


class _Descending(random.Random):
    """Turns the order of records of one second round."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 1.0

    def random(self) -> float:
        self.last -= 0.001
        return self.last


def test_pages_that_meet_within_a_crowded_second_prove_nothing() -> None:
    """Its records may stand in another order in every answer: both pages show the same one, and neither a third."""
    books = filled(2)
    books.create(3)
    books.now += timedelta(seconds=1)
    for _ in range(10):
        books.create()
        books.now += timedelta(seconds=1)
    reading = long_read(books, page_size=4, in_flight=1)  # 1 2 3 4, then 4 3 6 7: none shows 5
    orders = iter([_Still(), _Descending()])
    books.ties = lambda: next(orders, _Still())
    assert set(ids(list(reading.pages()))) == set(books.records)


def test_a_window_keeps_its_ends() -> None:
    books = filled(60)
    since, until = START + timedelta(seconds=5), START + timedelta(seconds=45)
    reading = replace(long_read(books), since=since, until=until, total=40)
    assert sorted(map(int, set(ids(list(reading.pages()))))) == list(range(6, 46))


@pytest.mark.parametrize("total", [7, 60, 90])
def test_a_count_that_is_wrong_loses_nothing(total: int) -> None:
    books = filled(60)
    assert set(ids(list(replace(long_read(books), total=total).pages()))) == set(books.records)


def test_a_short_page_ends_the_look_ahead_and_loses_nothing() -> None:
    books = filled(60)
    cut = iter([False, False, True])
    whole = books.query

    def query(statement: Select, *, page: int | None = None) -> QueryAnswer:
        answer = whole(statement, page=page)
        return QueryAnswer(answer.records[:-1], answer.time) if next(cut, False) else answer

    books.query = query  # type: ignore[method-assign]
    assert set(ids(list(long_read(books, in_flight=1).pages()))) == set(books.records)


def test_order_that_is_ignored_is_refused() -> None:
    books = filled(60)
    chance = random.Random(5)
    reading = long_read(books)
    books.ignores = frozenset({"order"})
    books.ties = lambda: chance
    with pytest.raises(RejectedError, match="ignored the order"):
        list(reading.pages())


def test_a_failure_ends_it_with_nothing_in_flight() -> None:
    books = filled(200)
    reading = long_read(books)

    def fail(_: Books) -> None:
        if len(books.statements) == 6:
            raise RetryableError("no answer")

    books.edit = fail
    with pytest.raises(RetryableError):
        list(reading.pages())
    assert isinstance(reading.client, Crowd)
    assert reading.client.inside == 0


def test_whoever_stops_early_leaves_nothing_in_flight() -> None:
    reading = long_read(filled(400))
    pages = reading.pages()
    next(pages)
    pages.close()
    assert isinstance(reading.client, Crowd)
    assert reading.client.inside == 0
    assert len(reading.client.books.statements) <= 5
