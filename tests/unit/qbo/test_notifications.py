"""Both formats of notifications are understood; whatever else was signed is kept and says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.catalog import ENTITIES, NOTIFIED
from qbo_pipeline.qbo.notifications import Event, read_notification
from tests.support.webhooks import cloud_event, legacy


def only(document: Any) -> Event:
    (event,) = read_notification(json.dumps(document).encode(), NOTIFIED)
    return event


def test_real_notifications_are_understood(samples: Path) -> None:
    files = sorted((samples / "webhook").glob("[cl]*/*.json"))
    if not files:
        pytest.skip(f"NO REAL NOTIFICATIONS in {samples / 'webhook'}")
    for file in files:
        events = read_notification(file.read_bytes(), NOTIFIED)
        assert events
        assert [event.problem for event in events] == [None] * len(events)


def test_every_part_of_a_cloud_event_is_read() -> None:
    document = cloud_event("Customer", "58", "merged", realm="9140", number=7, data={"deletedid": "77"})
    event = only([document])
    assert (event.key, event.realm_id, event.entity, event.record_id) == (document["id"], "9140", "Customer", "58")
    assert (event.operation, event.deleted_id) == ("merged", "77")
    assert json.loads(event.raw) == document
    assert only(document) == event, "one by itself is an event too"


@pytest.mark.parametrize("data", [None, {}, [], "x", {"alternative_ids": [{"id": "1", "namespace": "n"}]}])
def test_data_may_be_anything(data: Any) -> None:
    assert only([cloud_event(data=data)]).problem is None
    without = {name: value for name, value in cloud_event().items() if name not in ("data", "datacontenttype")}
    assert only([without]).problem is None


def test_every_entity_can_be_told_of_and_the_currency_by_its_other_name() -> None:
    assert [only([cloud_event(entity.name)]).entity for entity in ENTITIES] == [entity.name for entity in ENTITIES]
    assert only([cloud_event("Currency")]).entity == "CompanyCurrency"


@pytest.mark.parametrize(
    ("word", "operation"),
    [
        ("Create", "created"),
        ("Update", "updated"),
        ("Delete", "deleted"),
        ("Merge", "merged"),
        ("Void", "voided"),
        ("Emailed", "emailed"),
    ],
)
def test_both_formats_mean_the_same(word: str, operation: str) -> None:
    change = {"name": "Customer", "id": "1", "operation": word, "lastUpdated": "2026-06-01T17:00:02-0700"}
    change |= {"deletedId": "2"} if word == "Merge" else {}
    old = only(legacy(change))
    new = only([cloud_event("Customer", "1", operation, time="2026-06-02T00:00:02.000000000Z")])
    assert (old.entity, old.record_id, old.operation, old.time) == (new.entity, new.record_id, new.operation, new.time)
    assert (old.deleted_id, old.problem, new.problem) == ("2" if word == "Merge" else None, None, None)
    assert read_notification(old.raw, NOTIFIED) == [old], "what is kept of it is a notification of its own"


def test_one_that_cannot_be_read_does_not_spoil_the_others() -> None:
    events = read_notification(json.dumps([1, cloud_event(), {"id": "x"}, cloud_event("Nonsense")]).encode(), NOTIFIED)
    assert [event.problem is None for event in events] == [False, True, False, False]
    good = {"name": "Invoice", "id": "1", "operation": "Update", "lastUpdated": "2026-06-01T17:00:02Z"}
    mixed = {"eventNotifications": [{}, *legacy(good)["eventNotifications"], *legacy({"id": []})["eventNotifications"]]}
    events = read_notification(json.dumps(mixed).encode(), NOTIFIED)
    assert [event.problem is None for event in events] == [False, True, False]


@given(st.lists(st.text(max_size=8), min_size=2, max_size=2, unique=True))
def test_two_ids_are_never_one_key(ids: list[str]) -> None:
    keys = {only([cloud_event(id=each)]).key for each in ids}
    assert len(keys) == 2
    assert all(key.isascii() and key.isprintable() and len(key) <= 200 for key in keys)


@given(st.binary(max_size=200))
def test_nothing_is_lost_of_what_is_no_notification(body: bytes) -> None:
    events = read_notification(body, NOTIFIED)
    assert events or json.loads(body) in ([], {"eventNotifications": []})
    assert all(event.problem for event in events)
