"""What a read by query says of itself beside its records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.qbo.answers import CountAnswer, QueryAnswer
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.query import Condition, Select
from qbo_pipeline.sync.exact import AHEAD, ExactReading
from tests.unit.qbo.edited_books import Books

COUNTED_AT = datetime(2026, 3, 1, tzinfo=UTC)


class Slow:
    """A QuickBooks whose first page takes a quarter of an hour."""

    def counted(self, entity: str, where: Sequence[Condition]) -> CountAnswer:
        return CountAnswer(2, COUNTED_AT)

    def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer:
        records = [msgspec.Raw(b'{"Id":"%d"}' % number) for number in (1, 2)]
        return QueryAnswer(records, COUNTED_AT + timedelta(minutes=15))


def test_a_cursor_is_never_younger_than_the_count() -> None:
    """A read ends with what was counted; what is touched between the count and its first page is the next sync's."""
    pages = list(ExactReading(cast("QboClient", Slow()), entity_named("Invoice")).pages(None))
    assert [page.time for page in pages] == [COUNTED_AT]


class Counting(Books):
    """Books that say how many records they have."""

    def counted(self, entity: str, where: Sequence[Condition]) -> CountAnswer:
        return CountAnswer(len(self.records), self.now)


@pytest.mark.parametrize(
    ("name", "members"),
    [("Invoice", {}), ("ExchangeRate", {"SourceCurrencyCode": "EUR", "TargetCurrencyCode": "USD"})],
)
def test_a_long_read_counts_every_record_once_by_its_own_key(name: str, members: dict[str, Any]) -> None:
    """With several pages in flight too: one counted wrong is a second look, or none where it was needed."""
    books = Counting()
    for number in range(AHEAD + 300):
        books.now += timedelta(seconds=1)
        books.create(AsOfDate=f"2026-{number}", **members)
    reading = ExactReading(cast("QboClient", books), entity_named(name))
    read = sum(len(page.records) for page in reading.pages(None))
    pages = -(-len(books.records) // 999)  # each begins with the last record of the one before
    assert len(reading.ids) == len(books.records)
    assert len(books.statements) == pages
    assert read == len(books.records) + pages - 1
