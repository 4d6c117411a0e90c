"""Hours of a company's life: change data capture first, deletions honoured, and what each hour costs in calls."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, entity_named
from qbo_pipeline.errors import SuspiciousDeletionsError, UnreadableRecordError
from qbo_pipeline.sync.outcome import Outcome
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window, created_between
from qbo_pipeline.warehouse.companies import Company
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox
from tests.support.untimed import small_pages

pytestmark = pytest.mark.slow

INVOICE = entity_named("Invoice")


def sync(books: Books, window: Window = INCREMENTAL, *, failing: tuple[str, ...] = (), **more: Any) -> Outcome:
    outcome = books.sync(None, window=window, trigger="test", **more)
    assert tuple(each.entity.name for each in outcome.failed) == failing, [str(each.error) for each in outcome.failed]
    return outcome


def calls(quickbooks: Sandbox) -> Counter[str]:
    """Return what was asked since the last look: ``cdc``, ``query Invoice``, ``count Invoice``."""
    log = quickbooks.calls()
    quickbooks.tell("/calls", method="DELETE")
    kinds: Counter[str] = Counter()
    for call in log:
        if call["path"].endswith("/cdc"):
            kinds["cdc"] += 1
        elif call["path"].endswith("/query"):
            counting = "count(*)" in (call["statement"] or "").lower()
            kinds[f"{'count' if counting else 'query'} {call['entity']}"] += 1
        else:
            kinds[call["path"]] += 1
    return kinds


def archived(books: Books, entity: str) -> dict[str, Any]:
    with books.database.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT id, detected_by, deleted_at, record FROM quickbooks.deleted_records WHERE entity = :entity"
            ),
            {"entity": entity},
        )
        return {row.id: row for row in rows}


def ids(quickbooks: Sandbox, entity: str) -> list[str]:
    return list(quickbooks.truth()[entity])


def test_a_quiet_hour_is_one_call(loaded: Books, quickbooks: Sandbox) -> None:
    sync(loaded)
    assert calls(quickbooks) == {"cdc": 1, "count TimeActivity": 2}, "changed ones, and all of them"
    with loaded.database.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.polls SET changed_at = now() - interval '8 days'"))
    sync(loaded)
    assert calls(quickbooks) == {"cdc": 1}, "what has not changed for a week is asked for once a day"


def test_a_first_load_is_one_page_and_one_count_per_entity(books: Books, company: Company, quickbooks: Sandbox) -> None:
    quickbooks.tell("/calls", method="DELETE")
    sync(books)
    spent = calls(quickbooks)
    for entity in ENTITIES:
        # A page, and the count that says it is all; no page where that says there is nothing.
        rows = len(quickbooks.truth().get(entity.json_key, {}))
        pages = 2 if entity.reads == "per currency" else min(rows, 1)
        assert spent[f"query {entity.name}"] <= pages + (entity.name == "CompanyCurrency"), entity.name
        assert spent[f"count {entity.name}"] <= 1, entity.name


@pytest.mark.parametrize(("page_size", "pages"), [(100, 1), (60, 1), (59, 2), (40, 2), (30, 3), (20, 4)])
def test_a_long_list_costs_its_pages_of_which_each_shows_one_record_again_and_one_count(
    books: Books, company: Company, quickbooks: Sandbox, page_size: int, pages: int
) -> None:
    assert len(ids(quickbooks, "Invoice")) == 60
    quickbooks.tell("/calls", method="DELETE")
    with small_pages(page_size):
        assert books.sync(None, (INVOICE,), trigger="test").failed == []
    assert calls(quickbooks) == {"count Invoice": 1, "query Invoice": pages}


def test_a_long_read_has_several_pages_in_flight_and_costs_a_record_more_per_page(
    books: Books, company: Company, quickbooks: Sandbox
) -> None:
    quickbooks.tell("/calls", method="DELETE")
    with small_pages(10):
        assert books.sync(None, (INVOICE,), trigger="test").failed == []
    assert calls(quickbooks) == {"count Invoice": 1, "query Invoice": 7}, "each page shows one record of the one before"
    assert differences(books.database, REALM, quickbooks.truth(), entities=(INVOICE,)) == []


def test_an_hour_costs_one_call_and_two_for_each_entity_that_lost_something(loaded: Books, quickbooks: Sandbox) -> None:
    first, second, third = ids(quickbooks, "Invoice")[:3]
    quickbooks.edit(
        {"op": "update", "entity": "Invoice", "id": first, "record": {"PrivateNote": "edited"}},
        {"op": "delete", "entity": "Invoice", "id": second},
        {"op": "void", "entity": "Invoice", "id": third},
        {"op": "create", "entity": "Customer", "record": {"DisplayName": "New"}},
        {"op": "delete", "entity": "Bill", "id": ids(quickbooks, "Bill")[0]},
    )
    outcome = sync(loaded)
    assert differences(loaded.database, REALM, quickbooks.truth()) == []
    assert {each.entity.name: each.deleted for each in outcome.entities if each.deleted} == {"Invoice": 1, "Bill": 1}
    hourly = {"cdc": 1, "count TimeActivity": 2}
    asked = {f"{what} {entity}": 1 for what in ("query", "count") for entity in ("Invoice", "Bill")}
    assert calls(quickbooks) == {**hourly, **asked}
    sync(loaded)
    assert calls(quickbooks) == hourly, "a stub that is settled costs nothing"


def test_a_deleted_record_keeps_its_last_image(loaded: Books, quickbooks: Sandbox) -> None:
    record_id = ids(quickbooks, "Invoice")[0]
    before = loaded.show(entity_named("Invoice"), record_id, None)
    quickbooks.edit({"op": "delete", "entity": "Invoice", "id": record_id})
    sync(loaded)
    (row,) = archived(loaded, "Invoice").values()
    assert (row.id, row.detected_by) == (record_id, "cdc")
    assert row.deleted_at is not None
    assert row.record["Id"] == record_id
    assert len(row.record["Line"]) == len(before["Line"])
    with loaded.database.connect() as connection:
        lines = "SELECT count(*) FROM quickbooks.invoice_lines WHERE invoice_id = :id"
        assert connection.execute(sa.text(lines), {"id": record_id}).scalar_one() == 0


def test_made_and_deleted_between_two_syncs_is_noted_once(loaded: Books, quickbooks: Sandbox) -> None:
    ((made),) = quickbooks.edit({"op": "create", "entity": "Term", "record": {"Name": "Brief"}})
    quickbooks.edit({"op": "delete", "entity": "Term", "id": made["Id"]})
    for _ in range(2):
        sync(loaded)
    (row,) = archived(loaded, "Term").values()
    assert row.record is None
    assert differences(loaded.database, REALM, quickbooks.truth()) == []


def test_a_restored_record_is_live_again(loaded: Books, quickbooks: Sandbox) -> None:
    record_id = ids(quickbooks, "Invoice")[0]
    quickbooks.edit({"op": "delete", "entity": "Invoice", "id": record_id})
    sync(loaded)
    quickbooks.edit({"op": "restore", "entity": "Invoice", "id": record_id})
    sync(loaded)
    assert archived(loaded, "Invoice") == {}
    assert differences(loaded.database, REALM, quickbooks.truth()) == []
    quickbooks.edit({"op": "delete", "entity": "Invoice", "id": record_id})
    sync(loaded)
    assert list(archived(loaded, "Invoice")) == [record_id]


def test_a_stub_of_a_record_that_is_there_deletes_nothing(loaded: Books, quickbooks: Sandbox) -> None:
    record_id = ids(quickbooks, "Invoice")[0]
    quickbooks.tell("/settings", {"cdc_false_stubs": [f"Invoice/{record_id}"]})
    quickbooks.edit({"op": "update", "entity": "Invoice", "id": record_id, "record": {"PrivateNote": "alive"}})
    sync(loaded)
    assert archived(loaded, "Invoice") == {}
    assert differences(loaded.database, REALM, quickbooks.truth()) == []


def test_a_note_that_a_killed_run_left_behind_keeps_no_record_from_being_deleted(
    loaded: Books, quickbooks: Sandbox
) -> None:
    """It was deleted, came back and is read again; whoever was to forget the note of its deletion was killed."""
    record_id = ids(quickbooks, "Invoice")[0]
    with loaded.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.deleted_records (realm_id, entity, id, detected_by) "
                "VALUES (:realm_id, 'Invoice', :id, 'cdc')"
            ),
            {"realm_id": REALM, "id": record_id},
        )
    quickbooks.edit({"op": "delete", "entity": "Invoice", "id": record_id})
    sync(loaded)
    assert differences(loaded.database, REALM, quickbooks.truth()) == []
    assert list(archived(loaded, "Invoice")) == [record_id]


@pytest.mark.parametrize("scope", ["response", "entity"])
@pytest.mark.parametrize("stubs_first", [False, True])
def test_a_full_answer_is_not_taken_for_whole(
    loaded: Books, quickbooks: Sandbox, scope: str, stubs_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qbo_pipeline.qbo.answers.CDC_LIMIT", 10)
    quickbooks.tell("/settings", {"cdc_cap": 10, "cdc_cap_scope": scope, "cdc_stubs_first": stubs_first})
    invoices, bills = ids(quickbooks, "Invoice"), ids(quickbooks, "Bill")
    quickbooks.edit(
        *({"op": "delete", "entity": "Invoice", "id": each} for each in invoices[:4]),
        *({"op": "update", "entity": "Invoice", "id": each, "record": {"PrivateNote": "x"}} for each in invoices[4:20]),
        *({"op": "update", "entity": "Bill", "id": each, "record": {"PrivateNote": "x"}} for each in bills[:3]),
        {"op": "delete", "entity": "Bill", "id": bills[3]},
    )
    sync(loaded)
    assert differences(loaded.database, REALM, quickbooks.truth()) == []
    assert len(archived(loaded, "Invoice")) == 4
    assert sum(calls(quickbooks).values()) < 25


@pytest.mark.parametrize("old", ["fault", "serve"])
def test_after_45_days_deletions_are_found_by_counting(loaded: Books, quickbooks: Sandbox, old: str) -> None:
    quickbooks.tell("/settings", {"cdc_too_old": old})
    first, second = ids(quickbooks, "Invoice")[:2]
    quickbooks.edit(
        {"op": "delete", "entity": "Invoice", "id": first},
        {"op": "update", "entity": "Invoice", "id": second, "record": {"PrivateNote": "long ago"}},
    )
    quickbooks.tell("/clock", {"advance_seconds": 45 * 86_400})
    quickbooks.tell("/tokens/expire", {})
    sync(loaded)
    assert differences(loaded.database, REALM, quickbooks.truth()) == []
    assert archived(loaded, "Invoice")[first].detected_by == "full read"


def test_after_45_days_without_a_deletion_only_what_changed_is_read(loaded: Books, quickbooks: Sandbox) -> None:
    quickbooks.tell("/settings", {"cdc_too_old": "fault"})
    quickbooks.edit(
        {"op": "create", "entity": "Customer", "record": {"DisplayName": "Newcomer"}},
        {"op": "update", "entity": "Customer", "id": ids(quickbooks, "Customer")[0], "record": {"Notes": "long ago"}},
    )
    quickbooks.tell("/clock", {"advance_seconds": 45 * 86_400})
    quickbooks.tell("/tokens/expire", {})
    outcome = sync(loaded)
    assert {each.entity.name: each.records for each in outcome.entities}["Customer"] == 2
    assert differences(loaded.database, REALM, quickbooks.truth()) == []


@pytest.mark.parametrize(("code", "first"), [("4002", True), ("10000", False)])
def test_a_record_that_cannot_be_read_costs_only_itself(
    books: Books, company: Company, quickbooks: Sandbox, code: str, first: bool
) -> None:
    poisoned, other = ids(quickbooks, "Invoice")[:2]
    if not first:
        sync(books)
    quickbooks.edit(
        {"op": "touch", "entity": "Invoice", "id": poisoned},
        {"op": "update", "entity": "Bill", "id": ids(quickbooks, "Bill")[0], "record": {"PrivateNote": "x"}},
    )
    quickbooks.tell("/clock", {"advance_seconds": 10})
    quickbooks.edit({"op": "update", "entity": "Invoice", "id": other, "record": {"PrivateNote": "x"}})
    quickbooks.tell("/settings", {"poisoned": [f"Invoice/{poisoned}"], "poisoned_code": code})
    outcome = sync(books, failing=("Invoice",))
    (failed,) = outcome.failed
    assert isinstance(failed.error, UnreadableRecordError)
    assert failed.cursor_after == failed.cursor_before
    truth = quickbooks.truth()
    stamp = datetime.fromisoformat(truth["Invoice"][poisoned]["MetaData"]["LastUpdatedTime"]).astimezone(UTC)
    assert f"{stamp:%Y-%m-%d %H:%M:%S} UTC" in str(failed.error)
    wrong = [each for each in differences(books.database, REALM, truth) if "adds up" not in each]
    assert all(each.startswith(f"Invoice {poisoned} ") for each in wrong), wrong
    assert wrong == [f"Invoice {poisoned} is missing"] if first else len(wrong) <= 1

    quickbooks.tell("/settings", {"poisoned": []})
    sync(books)
    assert differences(books.database, REALM, truth) == []


def test_so_many_deletions_that_they_are_not_believed(loaded: Books, quickbooks: Sandbox) -> None:
    everything = ids(quickbooks, "Invoice")
    quickbooks.edit(*({"op": "delete", "entity": "Invoice", "id": each} for each in everything[:30]))
    quickbooks.tell("/clock", {"advance_seconds": 45 * 86_400})
    quickbooks.tell("/tokens/expire", {})
    (failed,) = sync(loaded, FULL, failing=("Invoice",)).failed
    assert isinstance(failed.error, SuspiciousDeletionsError)
    assert "30 of 60 Invoice records" in str(failed.error)
    assert archived(loaded, "Invoice") == {}


def test_a_range_read_misses_what_was_deleted_in_it(loaded: Books, quickbooks: Sandbox) -> None:
    record_id, record = next(iter(quickbooks.truth()["Invoice"].items()))
    made = datetime.fromisoformat(record["MetaData"]["CreateTime"])
    quickbooks.edit({"op": "delete", "entity": "Invoice", "id": record_id})
    sync(loaded, created_between(made - timedelta(days=1), made + timedelta(days=1)))
    assert archived(loaded, "Invoice")[record_id].detected_by == "range read"
    found = differences(loaded.database, REALM, quickbooks.truth())
    assert not any("Invoice" in each for each in found), "payments it was linked to changed in months of their own"


@pytest.mark.parametrize("touching", [False, True])
def test_after_a_merge_transactions_name_the_winner(loaded: Books, quickbooks: Sandbox, touching: bool) -> None:
    quickbooks.tell("/settings", {"merge_touches_transactions": touching})
    named = Counter(each["CustomerRef"]["value"] for each in quickbooks.truth()["Invoice"].values())
    (loser, invoices), (winner, _) = named.most_common(2)
    quickbooks.edit({"op": "merge", "entity": "Customer", "id": loser, "into": winner})
    outcome = sync(loaded)
    assert differences(loaded.database, REALM, quickbooks.truth()) == []
    (changed,) = (each for each in outcome.entities if each.entity.name == "Invoice")
    assert changed.records >= invoices
    assert calls(quickbooks)["cdc"] == 1
    sync(loaded)
    again = calls(quickbooks).keys() - {"cdc", "query TimeActivity", "count TimeActivity"}
    assert again == set(), "once everything names the winner, nothing is left to read"


def test_all_cursors_move_together_once_anything_has_changed(loaded: Books, quickbooks: Sandbox) -> None:
    """A cursor left behind would make everybody's next answer of change data capture longer."""
    quickbooks.tell("/clock", {"advance_seconds": 1800})
    before = cursors(sync(loaded))
    quickbooks.edit({"op": "touch", "entity": "Term", "id": ids(quickbooks, "Term")[0]})
    after = cursors(sync(loaded))
    assert len(set(after.values())) == 1
    assert all(after[name] > before[name] for name in before)
    quickbooks.tell("/clock", {"advance_seconds": 1800})
    again = cursors(sync(loaded))  # within the overlap the change is seen twice
    quickbooks.tell("/clock", {"advance_seconds": 1800})
    assert cursors(sync(loaded)) == again, "a quiet hour moves none"


def cursors(outcome: Outcome) -> dict[str, datetime]:
    return {each.entity.name: each.cursor_after for each in outcome.entities if each.entity.cdc and each.cursor_after}
