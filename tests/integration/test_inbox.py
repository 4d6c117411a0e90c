"""From a notification to the row: what is told by webhooks is read, once, and nothing is believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, entity_named
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.inbox import ActedOn, window_for
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox
from tests.support.webhooks import Letters, cloud_event, legacy

pytestmark = pytest.mark.slow

Tell = Callable[..., None]


@pytest.fixture
def tell(loaded: Books) -> Tell:
    """Deliver events of the company, signed."""
    letters = Letters(loaded)
    return lambda *events: letters.tell(list(events))


def some(quickbooks: Sandbox, entity: str, number: int = 0) -> str:
    return list(quickbooks.truth()[entity])[number]


def act(books: Books) -> ActedOn:
    acted = books.act_on_webhooks(None)
    assert acted is not None
    return acted


def events(books: Books) -> list[tuple[str, str | None, int]]:
    """Return status, note and attempts of every event, in order of arrival."""
    with books.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT status, note, attempts FROM quickbooks.webhook_events ORDER BY seq"))
        return [(row.status, row.note, row.attempts) for row in rows]


def make_due(books: Books) -> None:
    """Let the time pass that events wait for."""
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.webhook_events SET due_at = now() WHERE status = 'waiting'"))


def cursors(books: Books) -> Any:
    with books.engine.connect() as connection:
        return connection.execute(
            sa.text("SELECT state FROM quickbooks._dlt_pipeline_state ORDER BY version DESC LIMIT 1")
        ).scalar()


def paths(quickbooks: Sandbox) -> list[str]:
    return [call["path"].rpartition(f"/{REALM}/")[2] for call in quickbooks.calls() if REALM in call["path"]]


def test_an_edit_arrives_for_one_call_and_moves_no_cursor(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    key, before = some(quickbooks, "Invoice"), cursors(loaded)
    quickbooks.edit({"op": "update", "entity": "Invoice", "id": key, "record": {"PrivateNote": "told"}})
    tell(cloud_event("Invoice", key))
    acted = act(loaded)
    assert (acted.events, acted.done, acted.outcome.calls) == (1, 1, 1)
    assert paths(quickbooks) == [f"invoice/{key}"]
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []
    assert cursors(loaded) == before
    assert events(loaded) == [("done", None, 1)]
    assert loaded.act_on_webhooks(None) is None, "nothing waits any more"


def test_a_few_records_of_one_entity_are_one_query(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    keys = [some(quickbooks, "Invoice", number) for number in range(5)]
    quickbooks.edit(
        *({"op": "update", "entity": "Invoice", "id": key, "record": {"PrivateNote": "told"}} for key in keys)
    )
    tell(*(cloud_event("Invoice", key) for key in keys))
    assert (act(loaded).outcome.calls, paths(quickbooks)) == (1, ["query"])
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []


@pytest.mark.parametrize("deletes", [0, 20], ids=["edits", "edits and deletions"])
def test_a_burst_costs_three_calls_at_most(loaded: Books, quickbooks: Sandbox, tell: Tell, deletes: int) -> None:
    # Payments pay the invoices, so that QuickBooks edits those and their customers too.
    invoices, customers = list(quickbooks.truth()["Invoice"]), list(quickbooks.truth()["Customer"])
    gone = invoices[:deletes]
    quickbooks.edit(
        *({"op": "delete", "entity": "Invoice", "id": key} for key in gone),
        *(
            {"op": "update", "entity": "Invoice", "id": key, "record": {"PrivateNote": "told"}}
            for key in invoices[deletes:]
        ),
        *({"op": "update", "entity": "Customer", "id": key, "record": {"Notes": "told"}} for key in customers),
    )
    told = [cloud_event("Invoice", key, "deleted") for key in gone]
    while len(told) < 500:
        told += [cloud_event("Invoice", key) for key in invoices[deletes:]]
        told += [cloud_event("Customer", key) for key in customers]
    tell(*told[:500])
    acted = act(loaded)
    assert (acted.events, acted.done) == (500, 500)
    assert acted.outcome.calls <= 3
    wanted = {"Invoice": quickbooks.truth()["Invoice"], "Customer": quickbooks.truth()["Customer"]}
    assert (
        differences(
            loaded.engine, REALM, wanted, entities=[entity_named(name) for name in wanted], had={"Invoice": gone}
        )
        == []
    )


def test_a_deletion_is_looked_up_and_moves_the_record_with_its_lines(
    loaded: Books, quickbooks: Sandbox, tell: Tell
) -> None:
    key = some(quickbooks, "Estimate")
    quickbooks.edit({"op": "delete", "entity": "Estimate", "id": key})
    tell(cloud_event("Estimate", key, "deleted"))
    acted = act(loaded)
    assert (acted.done, acted.outcome.calls) == (1, 1)
    assert differences(loaded.engine, REALM, quickbooks.truth(), had={"Estimate": [key]}) == []


def test_a_deletion_is_not_believed(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    key = some(quickbooks, "Estimate")
    tell(cloud_event("Estimate", key, "deleted"))
    assert act(loaded).done == 0
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []


def test_a_deletion_told_after_the_record_came_back_is_done(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    key, long_ago = some(quickbooks, "Estimate"), datetime.now(UTC) - timedelta(days=2)
    quickbooks.edit(
        {"op": "delete", "entity": "Estimate", "id": key}, {"op": "restore", "entity": "Estimate", "id": key}
    )
    tell(cloud_event("Estimate", key, "deleted", at=long_ago))
    assert act(loaded).done == 1
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []


def test_a_merge_moves_the_loser_and_what_named_it(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    loser, winner = some(quickbooks, "Customer", 0), some(quickbooks, "Customer", 1)
    quickbooks.edit({"op": "merge", "entity": "Customer", "id": loser, "into": winner})
    tell(cloud_event("Customer", winner, "merged", data={"deletedid": loser}))
    assert act(loaded).done == 1
    assert differences(loaded.engine, REALM, quickbooks.truth(), had={"Customer": [loser]}) == []


@pytest.mark.parametrize("operation", ["Void", "Emailed"])
def test_what_was_voided_or_sent_is_read(loaded: Books, quickbooks: Sandbox, tell: Tell, operation: str) -> None:
    key = some(quickbooks, "SalesReceipt")
    quickbooks.edit({"op": "void", "entity": "SalesReceipt", "id": key})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S-0000")
    Letters(loaded).tell(legacy({"name": "SalesReceipt", "id": key, "operation": operation, "lastUpdated": now}))
    assert act(loaded).done == 1
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []


def test_what_change_data_capture_does_not_cover_is_told_too(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    """Tax agencies are asked for once a day otherwise."""
    key = some(quickbooks, "TaxAgency")
    quickbooks.edit({"op": "update", "entity": "TaxAgency", "id": key, "record": {"DisplayName": "Told"}})
    tell(cloud_event("TaxAgency", key))
    acted = act(loaded)
    assert (acted.done, acted.outcome.calls) == (1, 1)
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []


def test_a_record_that_queries_do_not_show_yet_is_not_called_deleted(
    loaded: Books, quickbooks: Sandbox, tell: Tell
) -> None:
    quickbooks.tell("/settings", {"visible_after_seconds": 3600})
    made = quickbooks.edit(
        *({"op": "create", "entity": "Customer", "record": {"DisplayName": f"Late {each}"}} for each in "ab")
    )
    tell(*(cloud_event("Customer", each["Id"], "created") for each in made))
    assert act(loaded).done == 2, "their own addresses show them"
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []


def test_what_is_not_visible_yet_is_looked_for_again_and_left_to_the_hourly_sync(
    loaded: Books, quickbooks: Sandbox, tell: Tell
) -> None:
    quickbooks.tell("/settings", {"visible_after_seconds": 300})
    keys = list(quickbooks.truth()["Customer"])[:12]  # more than are read by id
    quickbooks.edit(*({"op": "update", "entity": "Customer", "id": key, "record": {"Notes": "late"}} for key in keys))
    told = datetime.now(UTC) + timedelta(hours=1)  # later than any time the rows have
    tell(*(cloud_event("Customer", key, at=told) for key in keys))
    for attempt in (1, 2, 3):
        assert act(loaded).done == 0
        assert {each[2] for each in events(loaded)} == {attempt}
        make_due(loaded)
    status, note, _ = events(loaded)[0]
    assert (status, note) == ("done", "QuickBooks did not show it; the next sync of everything reads it when it does")
    quickbooks.tell("/clock", {"advance_seconds": 301})
    assert loaded.sync(None, trigger="test").failed == []
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []


def test_a_poisoned_record_is_set_aside_after_three_attempts_and_stops_nobody(
    loaded: Books, quickbooks: Sandbox, tell: Tell
) -> None:
    poisoned, *healthy = [some(quickbooks, "Invoice", number) for number in range(12)]
    quickbooks.tell("/clock", {"advance_seconds": 7})
    quickbooks.edit(*({"op": "touch", "entity": "Invoice", "id": key} for key in healthy))
    quickbooks.tell("/clock", {"advance_seconds": 7})
    quickbooks.edit({"op": "touch", "entity": "Invoice", "id": poisoned})
    quickbooks.tell("/settings", {"poisoned": [f"Invoice/{poisoned}"]})
    at = datetime.now(UTC) + timedelta(seconds=14)
    tell(*(cloud_event("Invoice", key, at=at) for key in (poisoned, *healthy)))
    assert act(loaded).done == len(healthy)
    for _ in (2, 3):
        # Alone it would be read by its own address, which QuickBooks does write out.
        make_due(loaded)
        tell(*(cloud_event("Invoice", key, at=at) for key in healthy))
        assert act(loaded).done == len(healthy)
    status, note, attempts = events(loaded)[0]
    assert (status, attempts) == ("dead", 3)
    assert "QuickBooks cannot write out" in str(note)
    key = some(quickbooks, "Customer")
    quickbooks.edit({"op": "touch", "entity": "Customer", "id": key})
    tell(cloud_event("Customer", key))
    assert act(loaded).done == 1


def test_an_outage_is_nobodys_fault(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    key = some(quickbooks, "Invoice")
    quickbooks.edit({"op": "touch", "entity": "Invoice", "id": key})
    tell(cloud_event("Invoice", key))
    quickbooks.tell("/faults", {"fault": "http_503_html", "times": 0})
    for attempt in range(1, 5):
        assert act(loaded).done == 0
        (status, _, attempts) = events(loaded)[0]
        assert (status, attempts) == ("waiting", attempt)
        make_due(loaded)
    quickbooks.tell("/faults", method="DELETE")
    assert act(loaded).done == 1


def test_a_company_whose_token_is_refused_keeps_its_events(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    key = some(quickbooks, "Invoice")
    quickbooks.edit({"op": "touch", "entity": "Invoice", "id": key})
    tell(cloud_event("Invoice", key))
    quickbooks.tell("/tokens/revoke", {"realm": REALM})
    for _ in range(4):
        with suppress(PipelineError):
            assert act(loaded).done == 0
        make_due(loaded)
    assert [status for status, *_ in events(loaded)] == ["waiting"]
    quickbooks.connect(loaded)
    assert act(loaded).done == 1


def test_whoever_dies_over_an_event_three_times_leaves_a_dead_letter(loaded: Books, tell: Tell) -> None:
    tell(cloud_event("Invoice", "1"), cloud_event("Customer", "1"))
    for _ in range(3):
        assert len(loaded.inbox.claim(REALM, ["Invoice"])) == 1
        assert loaded.inbox.claim(REALM, ["Invoice"]) == [], "claimed, and nobody else's"
        make_due(loaded)
    assert loaded.inbox.claim(REALM, ["Invoice"]) == []
    assert [status for status, *_ in events(loaded)] == ["dead", "waiting"]
    assert [each.entity for each in loaded.inbox.claim(REALM, ["Customer"])] == ["Customer"]


def test_a_killed_run_is_made_good_by_the_next(
    loaded: Books, quickbooks: Sandbox, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies after the commit and before it could note so."""
    key = some(quickbooks, "Invoice")
    quickbooks.edit({"op": "update", "entity": "Invoice", "id": key, "record": {"PrivateNote": "told"}})
    tell(cloud_event("Invoice", key))
    with monkeypatch.context() as patch:
        patch.setattr(type(loaded.inbox), "done", _die)
        with pytest.raises(KeyboardInterrupt):
            loaded.act_on_webhooks(None)
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []
    assert [status for status, *_ in events(loaded)] == ["waiting"], "noted after the commit, never before"
    assert loaded.act_on_webhooks(None) is None, "taken up, until that is long ago"
    make_due(loaded)
    assert act(loaded).done == 1


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_ten_thousand_events_sent_again_change_no_row_and_cost_nothing(
    loaded: Books, quickbooks: Sandbox, tell: Tell
) -> None:
    keys = list(quickbooks.truth()["Invoice"])
    quickbooks.edit(*({"op": "touch", "entity": "Invoice", "id": key} for key in keys))
    told = [cloud_event("Invoice", keys[number % len(keys)], number=number) for number in range(10_000)]
    parts = [told[start : start + 2500] for start in range(0, len(told), 2500)]
    for part in parts:
        tell(*part)
    first = act(loaded)
    assert first.outcome.calls <= 3
    quickbooks.tell("/calls", method="DELETE")
    rows = _rows(loaded)
    for part in parts:
        tell(*reversed(part))
    assert loaded.inbox.due() == []
    assert loaded.act_on_webhooks(None) is None
    assert quickbooks.calls() == []
    assert _rows(loaded) == rows


def _rows(books: Books) -> list[Any]:
    with books.engine.connect() as connection:
        statement = "SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM quickbooks.invoices t"
        return list(connection.execute(sa.text(statement)))


def test_only_the_entities_that_were_asked_for_are_taken_up(loaded: Books, quickbooks: Sandbox, tell: Tell) -> None:
    tell(cloud_event("Invoice", some(quickbooks, "Invoice")), cloud_event("Customer", some(quickbooks, "Customer")))
    acted = loaded.act_on_webhooks(None, (entity_named("Customer"),))
    assert acted is not None
    assert [each.entity.name for each in acted.outcome.entities] == ["Customer"]
    assert [each.entities for each in loaded.inbox.due()] == [("Invoice",)]


@pytest.mark.parametrize(
    ("wanted", "by_id"),
    [
        ({"Invoice": 1}, True),
        ({"Invoice": 10}, True),
        ({"Invoice": 11}, False),
        ({"Invoice": 1, "Customer": 1}, False),
        ({"TimeActivity": 5}, True),
        ({"TimeActivity": 11}, False),
        ({"TimeActivity": 1, "TaxAgency": 1}, True),
        ({"Preferences": 1}, False),
        ({"ExchangeRate": 1}, False),
        ({"RecurringTransaction": 1}, False),
    ],
)
def test_what_costs_less_is_chosen(wanted: dict[str, int], by_id: bool) -> None:
    ids = {entity_named(name): {str(number) for number in range(count)} for name, count in wanted.items()}
    assert window_for(ids).moves_cursor is not by_id


def test_every_entity_can_be_told_of() -> None:
    assert {window_for({entity: {"1"}}).mode for entity in ENTITIES} == {"ids", "incremental"}
