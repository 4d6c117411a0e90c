"""What a read by query says of itself beside its records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.qbo.answers import CountAnswer, QueryAnswer
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.query import Condition, Select
from qbo_pipeline.sync.exact import ExactReading

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
