"""Negative controls: a warehouse that is wrong in one way makes the oracle say just that, so that its silence counts.

The warehouse is made right by a load, then spoilt by hand; every test's first assertion is that it was right.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.sync.company import sync_company
from tests.support.oracle import differences, remembered
from tests.support.scripted import AT_NOON, ScriptedReader, invoice

REALM = "9130"
ENTITIES = (entity_named("Invoice"), entity_named("Customer"))
TRUTH = {
    "Invoice": {"1": invoice("1", 10, 20), "2": invoice("2", 5), "3": invoice("3")},
    "Customer": {"7": {"Id": "7", "SyncToken": "2", "DisplayName": "Ann", "Balance": Decimal("35.10")}},
}


@pytest.fixture
def right(engine: sa.Engine) -> sa.Engine:
    """A warehouse that agrees with ``TRUTH``."""
    load(engine, TRUTH)
    assert wrong(engine) == []
    return engine


def load(engine: sa.Engine, truth: dict[str, dict[str, dict[str, Any]]], hours: int = 0) -> None:
    script = {name: [list(records.values())] for name, records in truth.items()}
    reader = ScriptedReader(script, time=AT_NOON + timedelta(hours=hours))
    assert sync_company(REALM, engine=engine, reader=reader, entities=ENTITIES).failed == []


def spoil(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            assert connection.execute(sa.text(statement)).rowcount != 0, "nothing was spoilt"


def wrong(engine: sa.Engine, truth: Any = TRUTH, **more: Any) -> list[str]:
    return differences(engine, REALM, truth, entities=ENTITIES, **more)


def without(key: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the truth after QuickBooks lost an invoice."""
    return TRUTH | {"Invoice": {each: record for each, record in TRUTH["Invoice"].items() if each != key}}


def note(key: str, record: str = "NULL") -> str:
    return (
        "INSERT INTO quickbooks.deleted_records (realm_id, entity, id, detected_by, record) "
        f"VALUES ('{REALM}', 'Invoice', '{key}', 'cdc', {record})"
    )


def test_a_dropped_row_is_seen_and_so_are_its_lines_and_its_money(right: sa.Engine) -> None:
    spoil(right, "DELETE FROM quickbooks.invoices WHERE id = '1'")
    assert wrong(right) == [
        "Invoice 1 is missing",
        "Invoice 1 is not there and has 2 lines",
        "Invoice total_amt adds up to 35 in QuickBooks and to 5 here",
    ]


def test_a_row_quickbooks_never_had_is_seen(right: sa.Engine) -> None:
    spoil(right, f"INSERT INTO quickbooks.invoices (realm_id, id, synced_at) VALUES ('{REALM}', '99', now())")
    assert wrong(right) == ["Invoice 99 should not be there"]


def test_a_row_that_is_there_twice_is_seen(right: sa.Engine) -> None:
    spoil(
        right,
        "ALTER TABLE quickbooks.invoices DROP CONSTRAINT invoices_pkey",
        "INSERT INTO quickbooks.invoices SELECT * FROM quickbooks.invoices WHERE id = '2'",
    )
    assert wrong(right) == [
        "Invoice 2 has 2 rows",
        "Invoice total_amt adds up to 35 in QuickBooks and to 40 here",
    ]


def test_a_version_gone_backwards_is_seen(right: sa.Engine) -> None:
    spoil(right, "UPDATE quickbooks.customers SET sync_token = '1' WHERE id = '7'")
    assert wrong(right) == ["Customer 7 is version 2 in QuickBooks and 1 here", "Customer 7 differs in SyncToken"]


def test_one_cent_is_seen(right: sa.Engine) -> None:
    spoil(right, "UPDATE quickbooks.customers SET balance = balance + 0.01 WHERE id = '7'")
    assert wrong(right) == [
        "Customer 7 differs in Balance",
        "Customer balance adds up to 35.10 in QuickBooks and to 35.11 here",
    ]


def test_a_cent_that_is_hidden_from_the_record_is_seen_in_the_sum(right: sa.Engine) -> None:
    """``extra`` is laid over the columns, so a record can look right above a column that is wrong."""
    spoil(right, """UPDATE quickbooks.customers SET balance = 35.11, extra = '{"Balance": 35.10}' WHERE id = '7'""")
    assert wrong(right) == ["Customer balance adds up to 35.10 in QuickBooks and to 35.11 here"]


def test_a_missed_delete_is_seen(right: sa.Engine) -> None:
    found = wrong(right, without("2"))
    assert found[0] == "Invoice 2 should not be there"


def test_a_deletion_that_is_noted_nowhere_is_seen(right: sa.Engine) -> None:
    had = remembered(right, REALM, ENTITIES)
    spoil(
        right,
        "DELETE FROM quickbooks.invoice_lines WHERE invoice_id = '2'",
        "DELETE FROM quickbooks.invoices WHERE id = '2'",
    )
    assert wrong(right, without("2")) == []
    assert wrong(right, without("2"), had=had) == ["Invoice 2 was deleted, which is noted nowhere"]


def test_a_deletion_without_its_last_image_is_seen(right: sa.Engine) -> None:
    had = remembered(right, REALM, ENTITIES)
    spoil(right, "DELETE FROM quickbooks.invoices WHERE id = '3'", note("3"))
    assert wrong(right, without("3"), had=had) == ["Invoice 3 is noted as deleted without its last image"]


def test_a_deletion_with_the_image_of_another_record_is_seen(right: sa.Engine) -> None:
    had = remembered(right, REALM, ENTITIES)
    spoil(right, "DELETE FROM quickbooks.invoices WHERE id = '3'", note("3", """'{"Id": "2"}'"""))
    assert wrong(right, without("3"), had=had) == ["Invoice 3 is noted as deleted with the image of 2"]


def test_a_deletion_that_was_once_noted_must_stay_noted(right: sa.Engine) -> None:
    spoil(right, "DELETE FROM quickbooks.invoices WHERE id = '3'", note("3", """'{"Id": "3"}'"""))
    had = remembered(right, REALM, ENTITIES)
    assert wrong(right, without("3"), had=had) == []
    spoil(right, "DELETE FROM quickbooks.deleted_records")
    assert wrong(right, without("3"), had=had) == ["Invoice 3 was deleted, which is noted nowhere"]


def test_a_deleted_record_that_is_still_in_its_table_is_seen(right: sa.Engine) -> None:
    spoil(right, note("3", """'{"Id": "3"}'"""))
    assert wrong(right, without("3")) == [
        "Invoice 3 should not be there",
        "Invoice 3 is noted as deleted and still in its table",
    ]


def test_a_deleted_record_that_still_has_lines_is_seen(right: sa.Engine) -> None:
    spoil(right, "DELETE FROM quickbooks.invoices WHERE id = '1'", note("1", """'{"Id": "1"}'"""))
    assert wrong(right, without("1")) == ["Invoice 1 is deleted and has 2 lines"]


def test_a_live_record_that_is_noted_as_deleted_is_seen(right: sa.Engine) -> None:
    spoil(right, note("1"))
    assert wrong(right) == ["Invoice 1 is live and noted as deleted"]


def test_an_orphan_line_is_seen(right: sa.Engine) -> None:
    spoil(right, "UPDATE quickbooks.invoice_lines SET invoice_id = '88' WHERE invoice_id = '2'")
    assert wrong(right) == [
        "Invoice 2 differs in Line",
        "Invoice 88 is not there and has 1 lines",
        "Invoice 2 has 0 lines instead of 1",
    ]


def test_a_hole_between_lines_is_seen(right: sa.Engine) -> None:
    spoil(right, "UPDATE quickbooks.invoice_lines SET position = 5 WHERE invoice_id = '1' AND position = 1")
    assert wrong(right) == ["Invoice 1 has lines at positions [0, 5]"]


def test_a_line_too_many_is_seen(right: sa.Engine) -> None:
    spoil(
        right,
        "INSERT INTO quickbooks.invoice_lines (realm_id, invoice_id, position, amount, synced_at) "
        f"VALUES ('{REALM}', '3', 0, 1, now())",
    )
    assert wrong(right) == ["Invoice 3 differs in Line", "Invoice 3 has 1 lines instead of 0"]


def test_another_companys_rows_are_not_looked_at(right: sa.Engine) -> None:
    spoil(right, "INSERT INTO quickbooks.invoices (realm_id, id, synced_at) VALUES ('9131', '99', now())")
    assert wrong(right) == []
