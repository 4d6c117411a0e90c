"""Every way in which the warehouse can differ from QuickBooks is found at some level, mended, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from qbo_pipeline.catalog import ENTITIES, Entity, entity_named
from qbo_pipeline.sync.comparison import Compared
from qbo_pipeline.sync.reconcile import uncountable
from qbo_pipeline.sync.window import FULL
from tests.integration.conftest import Standing
from tests.support.oracle import differences
from tests.support.quickbooks import REALM

pytestmark = pytest.mark.slow

INVOICE = entity_named("Invoice")
CUSTOMER = entity_named("Customer")
TERM = entity_named("Term")


compared: set[Entity] = set()


@pytest.fixture
def house(standing: Standing) -> Iterator[Standing]:
    """The standing company; every test has to leave what it compared as QuickBooks has it."""
    compared.clear()
    yield standing
    assert differences(standing.books.database, REALM, standing.quickbooks.truth(), entities=compared) == []


def reconcile(house: Standing, *entities: Entity, **more: Any) -> dict[str, Compared]:
    compared.update(entities)
    found = house.books.reconcile(None, entities or ENTITIES, trigger="test", **more)
    return {each.entity.name: each for each in found.entities}


def result(row: Compared) -> tuple[object, ...]:
    assert (row.warehouse == row.quickbooks) == row.ok
    return row.status, row.missing, row.extra, row.stale, row.repaired


def spent(house: Standing) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for call in house.quickbooks.calls():
        counting = "count(*)" in (call["statement"] or "").lower()
        kinds["cdc" if call["path"].endswith("/cdc") else "count" if counting else "read"] += 1
    return kinds


def ids(house: Standing, entity: str) -> list[str]:
    return list(house.quickbooks.truth()[entity])


EQUAL = ("equal", 0, 0, 0, False)


def test_equal_books_cost_a_count_per_entity_and_one_look_at_what_changed(house: Standing) -> None:
    rows = reconcile(house)
    countable = [entity for entity in ENTITIES if uncountable(entity) is None]
    # What change data capture does not cover is counted twice (what changed, what there is); rates and lists are read.
    polled = sum(not entity.cdc and entity.reads == "query" for entity in ENTITIES)
    assert spent(house) == {"cdc": 1, "count": len(countable) + 2 * polled, "read": 3}
    for entity in ENTITIES:
        row = rows[entity.name]
        if entity in countable:
            assert result(row) == EQUAL, entity.name
            assert row.quickbooks == len(house.quickbooks.truth().get(entity.json_key, {}))
        else:
            assert (row.status, row.quickbooks, row.note) == ("not counted", None, uncountable(entity))
    run, *_ = house.rows("SELECT * FROM quickbooks.sync_runs WHERE mode = 'reconcile' ORDER BY started_at DESC")
    assert (run.status, run.calls, run.error) == ("succeeded", sum(spent(house).values()), None)
    kept = house.rows("SELECT * FROM quickbooks.reconciliations WHERE run_id = :run", run=run.run_id)
    assert {row.entity: row.status for row in kept} == {name: row.status for name, row in rows.items()}


def test_a_sample_of_equal_books_costs_a_call_per_table_that_has_rows(house: Standing) -> None:
    assert result(reconcile(house, INVOICE, CUSTOMER, sample=50)["Invoice"]) == EQUAL
    assert spent(house) == {"cdc": 1, "count": 4, "read": 2}


def test_a_missing_row_is_counted_and_read_again_with_its_lines(house: Standing) -> None:
    one, other = ids(house, "Invoice")[:2]
    for table, key in (("invoices", "id"), ("invoice_lines", "invoice_id")):
        house.execute(f"DELETE FROM quickbooks.{table} WHERE {key} IN (:one, :other)", one=one, other=other)
    assert result(reconcile(house, INVOICE)["Invoice"]) == ("repaired", 2, 0, 0, True)


def test_an_extra_row_is_counted_and_goes_to_the_archive(house: Standing) -> None:
    house.execute(
        "INSERT INTO quickbooks.invoices (realm_id, id, synced_at) VALUES (:realm, '99901', now())", realm=REALM
    )
    assert result(reconcile(house, INVOICE)["Invoice"]) == ("repaired", 0, 1, 0, True)
    (row,) = house.rows("SELECT * FROM quickbooks.deleted_records WHERE id = '99901'")
    assert row.detected_by == "full read"


def test_one_too_many_and_one_too_few_are_found_by_a_sample(house: Standing) -> None:
    house.execute("UPDATE quickbooks.terms SET id = '99902' WHERE id = (SELECT min(id) FROM quickbooks.terms)")
    assert result(reconcile(house, TERM)["Term"]) == EQUAL, "counting cannot tell"
    assert result(reconcile(house, TERM, sample=50)["Term"]) == ("repaired", 1, 1, 0, True)


def test_stale_versions_are_found_by_a_sample(house: Standing) -> None:
    bill = entity_named("Bill")
    for one, spoilt in zip(ids(house, "Bill"), ("sync_token = '77'", "updated_at = '2020-01-01'"), strict=False):
        house.execute(f"UPDATE quickbooks.bills SET {spoilt} WHERE id = :one", one=one)
        assert result(reconcile(house, bill, sample=1000)["Bill"]) == ("repaired", 0, 0, 1, True)


def test_what_neither_time_nor_token_tells_takes_a_full_comparison(house: Standing) -> None:
    one, other, third = ids(house, "Invoice")[:3]
    house.quickbooks.edit(
        {"op": "update", "entity": "Invoice", "id": one, "record": {"PrivateNote": "silence"}, "silent": True}
    )
    house.execute("UPDATE quickbooks.invoices SET total_amt = total_amt + 1 WHERE id = :other", other=other)
    house.execute("DELETE FROM quickbooks.invoice_lines WHERE invoice_id = :third AND position = 0", third=third)
    assert result(reconcile(house, INVOICE, sample=1000)["Invoice"]) == EQUAL
    assert result(reconcile(house, INVOICE, full=True)["Invoice"]) == ("repaired", 0, 0, 3, True)
    assert result(reconcile(house, INVOICE, full=True)["Invoice"]) == EQUAL


def test_a_full_comparison_covers_what_cannot_be_counted(house: Standing) -> None:
    house.execute("UPDATE quickbooks.company_info SET company_name = 'Nobody'")
    rows = reconcile(house, entity_named("CompanyInfo"), entity_named("TaxClassification"), full=True)
    assert (rows["CompanyInfo"].status, rows["CompanyInfo"].stale) == ("repaired", 1)
    assert (rows["TaxClassification"].status, rows["TaxClassification"].repaired) == ("not counted", False)


def test_a_merge_that_change_data_capture_keeps_to_itself_is_counted(house: Standing) -> None:
    house.quickbooks.tell("/settings", {"cdc_merge": "nothing"})
    (made,) = house.quickbooks.edit({"op": "create", "entity": "Customer", "record": {"DisplayName": "Twice"}})
    house.books.sync(None, (CUSTOMER,), trigger="test")
    into = next(each for each in ids(house, "Customer") if each != made["Id"])
    house.quickbooks.edit({"op": "merge", "entity": "Customer", "id": made["Id"], "into": into})
    house.books.sync(None, (CUSTOMER,), trigger="test")
    assert house.rows("SELECT 1 FROM quickbooks.customers WHERE id = :id", id=made["Id"]), "nobody said it was gone"
    assert result(reconcile(house, CUSTOMER)["Customer"]) == ("repaired", 0, 1, 0, True)


def test_what_people_do_meanwhile_is_no_difference(house: Standing) -> None:
    """A record made between the sync and the count costs a second look, not a full read and no alarm."""
    house.quickbooks.tell(
        "/faults",
        {
            "fault": "edit_books",
            "match": {"path": "query", "statement": "count"},
            "times": 1,
            "operations": [{"op": "create", "entity": "Term", "record": {"Name": "Made meanwhile"}}],
        },
    )
    assert result(reconcile(house, TERM)["Term"]) == EQUAL
    assert spent(house) == {"cdc": 2, "count": 2}


def test_many_rows_that_seem_deleted_stay_until_a_person_says_so(house: Standing) -> None:
    house.execute(
        "INSERT INTO quickbooks.invoices (realm_id, id, synced_at) "
        "SELECT :realm, '88' || n, now() FROM generate_series(100, 130) n",
        realm=REALM,
    )
    row = reconcile(house, INVOICE)["Invoice"]
    assert (row.status, row.repaired, row.warehouse) == ("differs", False, len(ids(house, "Invoice")) + 31)
    assert str(row.note).endswith("if it is true, run 'qbo reconcile --entity Invoice --yes'.")
    assert house.rows("SELECT count(*) FROM quickbooks.invoices WHERE id LIKE '88%'")[0][0] == 31
    assert result(reconcile(house, INVOICE, believe_deletions=True)["Invoice"]) == ("repaired", 0, 31, 0, True)


@pytest.mark.parametrize("entity", ["Term", "Invoice"])
def test_an_answer_of_nothing_empties_no_table_whatever_is_believed(house: Standing, entity: str) -> None:
    house.quickbooks.tell(
        "/faults",
        {"fault": "empty_page", "match": {"path": "query", "entity": entity, "statement": "select *"}, "times": 0},
    )
    row = reconcile(house, entity_named(entity), full=True, believe_deletions=True)[entity]
    assert row.status == "failed"
    assert row.warehouse == len(ids(house, entity))


def test_one_entity_that_fails_does_not_keep_the_others_back(house: Standing) -> None:
    house.quickbooks.tell(
        "/faults", {"fault": "http_403", "match": {"path": "query", "entity": "Bill", "statement": "count"}, "times": 0}
    )
    house.quickbooks.tell("/settings", {"unavailable": ["Estimate"]})
    house.execute("DELETE FROM quickbooks.payment_methods WHERE id = (SELECT min(id) FROM quickbooks.payment_methods)")
    entities = [entity_named(name) for name in ("Bill", "Estimate", "PaymentMethod")]
    rows = reconcile(house, *entities)
    assert rows["Bill"].status == "failed"
    assert "counting Bill" in str(rows["Bill"].note)
    assert rows["Estimate"].status == "not counted"
    assert result(rows["PaymentMethod"])[0] == "repaired"
    house.execute("DELETE FROM quickbooks.unavailable_entities")
    (run,) = house.rows("SELECT status, error FROM quickbooks.sync_runs ORDER BY started_at DESC LIMIT 1")
    assert run.status == "partial"
    assert run.error.startswith("Bill: ")


def test_a_company_that_refuses_us_is_asked_no_more(house: Standing) -> None:
    house.quickbooks.tell("/faults", {"fault": "http_401", "match": {"statement": "count"}, "times": 0})
    rows = reconcile(house, INVOICE, CUSTOMER, entity_named("Bill"))
    assert {row.status for row in rows.values()} == {"failed"}
    assert len({row.note for row in rows.values()}) == 1
    assert spent(house)["count"] == 2, "once more with a new token, then no more"


def test_another_company_is_left_alone(house: Standing) -> None:
    house.execute(
        "INSERT INTO quickbooks.terms (realm_id, id, synced_at) "
        "SELECT '42', 'x' || n, now() FROM generate_series(1, 3) n"
    )
    try:
        house.execute("DELETE FROM quickbooks.terms WHERE realm_id = :realm AND id = '1'", realm=REALM)
        rows = reconcile(house, TERM, full=True, believe_deletions=True)
        assert result(rows["Term"])[0] in ("repaired", "equal")
        assert house.rows("SELECT count(*) FROM quickbooks.terms WHERE realm_id = '42'")[0][0] == 3
        assert house.rows("SELECT count(*) FROM quickbooks.reconciliations WHERE realm_id = '42'")[0][0] == 0
    finally:
        house.execute("DELETE FROM quickbooks.terms WHERE realm_id = '42'")


def test_what_was_found_is_kept_for_ninety_days(house: Standing) -> None:
    aged = "UPDATE quickbooks.reconciliations SET checked_at = now() - interval '{} days' WHERE entity = '{}'"
    reconcile(house, CUSTOMER, TERM)
    house.execute(aged.format(91, "Term"))
    house.execute(aged.format(89, "Customer"))
    reconcile(house, INVOICE)
    kept = {row.entity for row in house.rows("SELECT entity FROM quickbooks.reconciliations")}
    assert {"Customer", "Invoice"} <= kept
    assert "Term" not in kept


def test_a_deletion_older_than_change_data_capture_remembers_is_found(house: Standing) -> None:
    (made,) = house.quickbooks.edit({"op": "create", "entity": "Term", "record": {"Name": "Short-lived"}})
    house.books.sync(None, (TERM,), trigger="test")
    house.quickbooks.edit({"op": "delete", "entity": "Term", "id": made["Id"]})
    house.quickbooks.tell("/clock", {"advance_seconds": 45 * 86_400})
    house.quickbooks.tell("/tokens/expire", {})
    try:
        assert result(reconcile(house, TERM)["Term"]) == EQUAL, "the sync before the comparison found it"
        assert house.rows("SELECT 1 FROM quickbooks.deleted_records WHERE id = :id", id=made["Id"])
    finally:
        house.quickbooks.tell("/clock", {"advance_seconds": -45 * 86_400})
        house.books.sync(None, (TERM,), FULL, trigger="test")  # its cursor is back in our time
