"""What the checks claim holds for every real payload we have, and breaks where it is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, entity_named
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.sync.window import FULL
from qbo_pipeline.warehouse.checks import Checks
from tests.support.payloads import sample_records
from tests.support.scripted import ScriptedReader

ADDS_UP = tuple(entity for entity in ENTITIES if entity.adds_up)
INVOICE = entity_named("Invoice")


def load(engine: sa.Engine, script: dict[str, list[dict[str, Any]]]) -> None:
    reader = ScriptedReader({name: [records] for name, records in script.items()})
    entities = tuple(entity for entity in ENTITIES if entity.name in script)
    outcome = sync_company("42", engine=engine, reader=reader, entities=entities, window=FULL)
    assert outcome.failed == []


def _lines(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a sample's lines; pages of documentation have line breaks inside their words."""
    return [
        {**line, "DetailType": line["DetailType"].replace(" ", "")} if "DetailType" in line else line
        for line in record.get("Line", [])
    ]


@pytest.mark.slow
def test_the_lines_of_every_real_transaction_add_up(engine: sa.Engine, samples: Path) -> None:
    script: dict[str, list[dict[str, Any]]] = {}
    for number, (entity, record, _) in enumerate(sample_records(samples)):
        if entity.adds_up:  # with an Id of its own: samples are of many companies
            script.setdefault(entity.name, []).append({**record, "Id": str(number), "Line": _lines(record)})
    load(engine, script)
    judged = {}
    for entity in ADDS_UP:
        totals = Checks(engine).totals(entity)
        assert totals.wrong.count == 0, f"{entity.name} {totals.wrong.examples}"
        assert totals.judged + totals.unjudged == len(script[entity.name])
        judged[entity.name] = totals.judged
    assert sum(judged.values()) > 0.95 * sum(map(len, script.values()))
    assert min(judged.values()) >= 4, judged


def line(amount: float | None, kind: str = "SalesItemLineDetail", **more: Any) -> dict[str, Any]:
    return {**({} if amount is None else {"Amount": amount}), "DetailType": kind, kind: more}


SUBTOTAL = line(30, "SubTotalLineDetail")


CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"Line": [line(10), line(20), SUBTOTAL], "TotalAmt": 30}, "right"),
    ({"Line": [line(10), line(20), SUBTOTAL], "TotalAmt": 30.01}, "wrong"),
    ({"Line": [line(30), SUBTOTAL], "TotalAmt": 32.4, "TxnTaxDetail": {"TotalTax": 2.4}}, "right"),
    ({"Line": [line(30), SUBTOTAL], "TotalAmt": 30, "TxnTaxDetail": {"TotalTax": 2.4}}, "wrong"),
    ({"Line": [line(30), line(3, "DiscountLineDetail"), SUBTOTAL], "TotalAmt": 27}, "right"),
    ({"Line": [line(30), line(3, "DiscountLineDetail"), SUBTOTAL], "TotalAmt": 33}, "wrong"),
    ({"Line": [line(30, "GroupLineDetail", Line=[line(10), line(20)])], "TotalAmt": 30}, "right"),
    ({"Line": [line(30), line(None, "DescriptionOnly")], "TotalAmt": 30}, "right"),
    ({"Line": [], "TotalAmt": 0, "PrivateNote": "Voided"}, "right"),
    ({"Line": [], "TotalAmt": 30}, "wrong"),
    ({"Line": [line(25), SUBTOTAL], "TotalAmt": 30, "GlobalTaxCalculation": "TaxInclusive"}, "not judged"),
    ({"Line": [line(30)], "TotalAmt": 30, "GlobalTaxCalculation": "TaxExcluded"}, "right"),
    ({"Line": [line(30), line(3, "TaxLineDetail")], "TotalAmt": 30}, "not judged"),
    ({"Line": [SUBTOTAL], "TotalAmt": 36}, "not judged"),
    ({"Line": [line(None)], "TotalAmt": 36}, "not judged"),
    ({"Line": [line(30)]}, "not judged"),
]


def test_what_is_claimed_of_transactions(engine: sa.Engine) -> None:
    load(engine, {"Invoice": [{**payload, "Id": str(number)} for number, (payload, _) in enumerate(CLAIMS)]})
    wrong = {f"42/{number}" for number, (_, verdict) in enumerate(CLAIMS) if verdict == "wrong"}
    totals = Checks(engine).totals(INVOICE)
    assert set(totals.wrong.examples) == wrong
    assert totals.wrong.count == len(wrong)
    assert totals.unjudged == sum(verdict == "not judged" for _, verdict in CLAIMS)
    assert totals.judged == len(CLAIMS) - totals.unjudged


def test_nothing_is_claimed_of_empty_books(engine: sa.Engine) -> None:
    checks = Checks(engine)
    assert checks.totals(INVOICE).judged == checks.totals(INVOICE).wrong.count == checks.orphans(INVOICE).count == 0
    assert checks.last_synced(["42"]) == {}


def test_a_record_that_is_just_coming_back_is_no_ghost(engine: sa.Engine) -> None:
    """It was read after it was found gone; the archive lets go of it when its load ends."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.bills (realm_id, id, synced_at) VALUES "
                "('42', '1', now() + interval '1 second'), ('42', '2', now() - interval '1 second')"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.deleted_records (realm_id, entity, id, detected_by) "
                "VALUES ('42', 'Bill', '1', 'cdc'), ('42', 'Bill', '2', 'cdc'), ('42', 'Invoice', '2', 'cdc')"
            )
        )
    assert Checks(engine).orphans(entity_named("Bill")).examples == ("42/2",)


def test_what_a_sync_of_one_entity_or_of_one_month_brought_makes_nothing_else_fresh(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.sync_runs (run_id, realm_id, trigger, mode, started_at, status, detail) "
                "VALUES ('1', '42', 't', 'incremental', now() - interval '5 hours', 'succeeded', "
                '\'{"Bill": 1, "Item": 0}\'), '
                "('2', '42', 't', 'incremental', now() - interval '1 hours', 'partial', '{\"Bill\": 1}'), "
                "('3', '42', 't', 'created 2026-01-01 to 2026-02-01', now(), 'succeeded', '{\"Item\": 1}'), "
                "('4', '42', 't', 'incremental', now(), 'failed', '{}'), "
                "('5', '43', 't', 'full', now(), 'succeeded', '{\"Item\": 1}')"
            )
        )
    hours = {key: round(age.total_seconds() / 3600) for key, age in Checks(engine).last_synced(["42"]).items()}
    assert hours == {("42", "Bill"): 1, ("42", "Item"): 5}
