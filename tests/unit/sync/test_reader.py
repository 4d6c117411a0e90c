"""What is asked of QuickBooks for the entities that are not simply queried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.qbo.answers import CountAnswer, QueryAnswer
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.query import Condition, Select
from qbo_pipeline.sync.reader import QboReader
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window, created_between
from tests.support.payloads import raw

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RATE, LIST = entity_named("ExchangeRate"), entity_named("TaxClassification")


@dataclass
class FakeClient:
    """Answers every statement about an entity with the same records, and keeps what it was asked."""

    records: Mapping[str, list[dict[str, Any]]]
    time: datetime | None = NOON
    asked: list[str] = field(default_factory=list)

    def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer:
        self.asked.append(str(statement))
        return QueryAnswer([raw(each) for each in self.records.get(statement.entity, [])], self.time)

    def counted(self, entity: str, where: Sequence[Condition] = ()) -> CountAnswer:
        return CountAnswer(len(self.records.get(entity, [])), self.time)

    def read_list(self, entity: str) -> QueryAnswer:
        self.asked.append(f"GET {entity}")
        return QueryAnswer([raw(each) for each in self.records.get(entity, [])], self.time)


class NothingStored:
    """A warehouse without a row."""

    def ids(self, *_: object) -> set[str]:
        return set()

    present = deleted_ids = ids

    def count(self, *_: object) -> int:
        return 0


def read(client: FakeClient, entity: Any, window: Window, since: datetime | None) -> list[tuple[int, datetime | None]]:
    reader = QboReader(cast("QboClient", client), NothingStored(), now=lambda: NOON)
    return [(len(page.records), page.time) for page in reader.pages(entity, window, since)]


def currency(code: str, updated: str = "2020-01-01T00:00:00-08:00") -> dict[str, Any]:
    return {"Id": code, "Code": code, "MetaData": {"LastUpdatedTime": updated}}


def test_a_company_without_currencies_is_asked_for_no_rates() -> None:
    client = FakeClient({})
    assert read(client, RATE, INCREMENTAL, None) == [(0, NOON)]
    (asked,) = client.asked
    assert asked.startswith("select * from CompanyCurrency where Active in (true, false)")


def test_rates_are_asked_for_by_currency_and_by_when_they_changed() -> None:
    client = FakeClient({"CompanyCurrency": [currency("EUR"), currency("CAD")], "ExchangeRate": [{}]})
    assert read(client, RATE, INCREMENTAL, NOON - timedelta(hours=1))[0] == (0, NOON)
    (asked,) = client.asked[1:]
    assert asked == (
        "select * from ExchangeRate where SourceCurrencyCode in ('CAD', 'EUR') "
        "and MetaData.LastUpdatedTime >= '2026-11-23T11:00:00+00:00' "
        "orderby MetaData.LastUpdatedTime startposition 1 maxresults 1000"
    )


def test_a_currency_switched_on_since_is_read_from_its_start() -> None:
    """Its rates may have been there for years: by time of change alone they would never arrive."""
    client = FakeClient({"CompanyCurrency": [currency("EUR"), currency("CHF", "2026-11-23T03:30:00-08:00")]})
    read(client, RATE, INCREMENTAL, NOON - timedelta(hours=1))
    fresh, known = client.asked[1:]
    assert "in ('CHF') orderby" in fresh
    assert "in ('EUR') and MetaData.LastUpdatedTime >=" in known


def test_a_range_of_rates_is_the_days_they_are_of() -> None:
    client = FakeClient({"CompanyCurrency": [currency("EUR", "2026-11-23T03:30:00-08:00")]})
    window = created_between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    read(client, RATE, window, window.since)
    assert "in ('EUR') and AsOfDate >= '2026-01-01' and AsOfDate <= '2026-01-31' orderby" in client.asked[1]
    read(client, RATE, created_between(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 9, 15, tzinfo=UTC)), None)
    assert "AsOfDate <= '2026-02-09'" in client.asked[3], "today counts"


def test_a_full_read_of_rates_has_no_lower_bound() -> None:
    client = FakeClient({"CompanyCurrency": [currency("EUR")]})
    read(client, RATE, FULL, None)
    assert "in ('EUR') orderby" in client.asked[1]


@pytest.mark.parametrize("window", [INCREMENTAL, FULL, created_between(NOON - timedelta(days=3), NOON)])
def test_a_list_is_read_whole_whenever_it_is_read(window: Window) -> None:
    client = FakeClient({"TaxClassification": [{"id": "1"}, {"id": "2"}]}, time=None)
    pages = read(client, LIST, window, NOON - timedelta(days=8))
    assert pages == [(2, NOON)], "without a time of its own, ours says when it was read"
    assert client.asked == ["GET TaxClassification"]
