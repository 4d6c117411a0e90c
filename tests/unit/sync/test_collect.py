"""Change data capture that cannot be trusted: cut off, forgetful, refused for one entity's sake, away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from qbo_pipeline.catalog import ENTITIES, Entity
from qbo_pipeline.errors import QboError, RejectedError, RetryableError, ThrottledError, UnauthorizedError
from qbo_pipeline.qbo.answers import CDC_LIMIT, CdcAnswer, DeletedStub
from qbo_pipeline.sync.changes import collect

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
COVERED = [entity for entity in ENTITIES if entity.cdc]
HOUR = timedelta(hours=1)


@dataclass
class Capture:
    """A QuickBooks with ``sizes`` changed objects per entity; ``refuses`` may raise for a list of names."""

    sizes: dict[str, int] = field(default_factory=dict)
    refuses: Callable[[Sequence[str]], QboError | None] = lambda _: None
    time: datetime = NOON
    asked: list[tuple[tuple[str, ...], datetime]] = field(default_factory=list)

    def cdc(self, entities: Sequence[str], changed_since: datetime) -> CdcAnswer:
        self.asked.append((tuple(entities), changed_since))
        if (error := self.refuses(entities)) is not None:
            raise error
        room, records, stubs = CDC_LIMIT, {}, {}
        for name in entities:
            size = min(self.sizes.get(name, 0), room)
            room -= size
            records[name] = [msgspec.Raw(b"{}")] * (size - size // 10)
            stubs[name] = [DeletedStub(str(number), NOON) for number in range(size // 10)]
        return CdcAnswer(records, stubs, CDC_LIMIT - room, self.time)


def since(*ages: timedelta, entities: Sequence[Entity] = COVERED) -> dict[Entity, datetime]:
    return {entity: NOON - (ages[number % len(ages)]) for number, entity in enumerate(entities)}


def test_everybody_shares_one_call() -> None:
    client = Capture({"Invoice": 7})
    changes = collect(client, since(HOUR, 20 * HOUR))
    ((names, start),) = client.asked
    assert set(names) == {entity.name for entity in COVERED}
    assert start == NOON - 20 * HOUR
    assert len(changes.captured) == len(COVERED)
    assert not changes.is_quiet


def test_nothing_to_ask_is_no_call() -> None:
    client = Capture()
    assert collect(client, {}).is_quiet
    assert client.asked == []


def test_who_lags_behind_has_a_call_of_his_own() -> None:
    client = Capture()
    late = COVERED[3]
    collect(client, {**since(HOUR), late: NOON - timedelta(days=10)})
    assert [start for _, start in client.asked] == [NOON - HOUR, NOON - timedelta(days=10)]
    assert client.asked[1][0] == (late.name,)


@pytest.mark.parametrize("size", [999, 1000, 1001, 5000])
def test_a_full_answer_loses_nobody(size: int) -> None:
    client = Capture({"Invoice": size, "Customer": 3})
    changes = collect(client, since(HOUR))
    assert set(changes.captured) | set(changes.uncaptured) == {entity.name for entity in COVERED}
    assert ("Invoice" in changes.uncaptured) == (size + 3 >= CDC_LIMIT)
    assert len(changes.captured["Customer"].records) == 3
    assert len(client.asked) <= 3


def test_many_full_entities_end_in_queries_one_by_one() -> None:
    client = Capture({entity.name: 600 for entity in COVERED})
    changes = collect(client, since(HOUR))
    assert len(client.asked) <= len(COVERED)
    assert all(len(each.records) + len(each.deleted) == 600 for each in changes.captured.values())
    assert len(changes.captured) + len(changes.uncaptured) == len(COVERED)


@pytest.mark.parametrize("code", ["500", "4002"])
def test_one_entity_that_spoils_the_call_is_found_and_asked_by_query(code: str) -> None:
    spoilt = COVERED[11].name
    client = Capture(refuses=lambda names: RejectedError("no", code=code) if spoilt in names else None)
    changes = collect(client, since(HOUR))
    assert set(changes.uncaptured) == {spoilt}
    assert len(client.asked) <= 13


def test_a_fault_without_a_final_code_is_divided_too() -> None:
    spoilt = {COVERED[0].name, COVERED[-1].name}
    client = Capture(refuses=lambda names: RetryableError("no", code="10000") if spoilt & set(names) else None)
    assert set(collect(client, since(HOUR)).uncaptured) == spoilt


def test_quickbooks_being_away_is_asked_about_once() -> None:
    client = Capture(refuses=lambda _: RetryableError("HTTP 503", status=503))
    changes = collect(client, since(HOUR))
    assert len(client.asked) == 1
    assert set(changes.failed) == {entity.name for entity in COVERED}
    assert changes.uncaptured == {}


@pytest.mark.parametrize("error", [UnauthorizedError("no", status=401), ThrottledError("slow", status=429)])
def test_what_no_smaller_question_mends_ends_the_reading(error: QboError) -> None:
    client = Capture(refuses=lambda _: error)
    with pytest.raises(type(error)):
        collect(client, since(HOUR))
    assert len(client.asked) == 1


def test_further_back_than_quickbooks_remembers_is_read_by_query() -> None:
    told = RejectedError("changedSince date which is older than fixed days is not supported", code="500")
    client = Capture(refuses=lambda _: told)
    changes = collect(client, since(HOUR))
    assert len(client.asked) == 1
    assert len(changes.uncaptured) == len(COVERED)


def test_an_answer_from_before_quickbooks_remembers_is_not_believed() -> None:
    """Intuit may serve 30 days and say nothing; its own clock in the answer tells."""
    client = Capture(time=NOON + timedelta(days=45))
    changes = collect(client, since(HOUR))
    assert len(changes.uncaptured) == len(COVERED)
    assert changes.captured == {}
