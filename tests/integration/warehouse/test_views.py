"""The views over lists inside records: every entry is a row, and nothing QuickBooks sends keeps one from answering."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.catalog.views import VIEWS
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.warehouse import views
from qbo_pipeline.warehouse.migrate import upgrade
from tests.integration.warehouse.old_service import rows, run
from tests.support.scripted import ScriptedReader

pytestmark = pytest.mark.slow

REALM = "1"


def load(engine: sa.Engine, **records: list[dict[str, Any]]) -> None:
    entities = tuple(entity_named(name) for name in records)
    reader = ScriptedReader({name: [those] for name, those in records.items()})
    assert sync_company(REALM, engine=engine, reader=reader, entities=entities).failed == []


@pytest.fixture
def upgraded(engine: sa.Engine) -> sa.Engine:
    upgrade(engine)
    return engine


def test_links_of_records_and_of_their_lines_are_one_view(upgraded: sa.Engine) -> None:
    order = {"TxnId": "7", "TxnType": "Estimate"}
    load(
        upgraded,
        Invoice=[{"Id": "1", "LinkedTxn": [order, {"TxnId": "8", "TxnType": "Payment", "TxnLineId": "2"}]}],
        Payment=[{"Id": "8", "Line": [{"Amount": 5, "LinkedTxn": [{"TxnId": "1", "TxnType": "Invoice"}]}]}],
    )
    columns = "entity, record_id, line_position, position, txn_id, txn_type, txn_line_id"
    assert rows(upgraded, f"SELECT {columns} FROM quickbooks.linked_txns ORDER BY 1, 4") == [
        ("Invoice", "1", None, 0, "7", "Estimate", None),
        ("Invoice", "1", None, 1, "8", "Payment", "2"),
        ("Payment", "8", 0, 0, "1", "Invoice", None),
    ]


def test_tax_lines_add_up_to_the_tax_digit_by_digit(upgraded: sa.Engine) -> None:
    def tax(rate: str, amount: str) -> dict[str, Any]:
        detail = {"TaxRateRef": {"value": rate}, "PercentBased": True, "TaxPercent": 8, "NetAmountTaxable": 100}
        return {"Amount": Decimal(amount), "DetailType": "TaxLineDetail", "TaxLineDetail": detail}

    detail = {"TotalTax": Decimal("0.30"), "TaxLine": [tax("1", "0.10"), tax("2", "0.20")]}
    load(upgraded, Invoice=[{"Id": "1", "TxnTaxDetail": detail}])
    found = rows(
        upgraded,
        "SELECT sum(amount), count(DISTINCT tax_rate_id), bool_and(percent_based), max(net_amount_taxable) "
        "FROM quickbooks.tax_lines WHERE entity = 'Invoice' AND record_id = '1'",
    )
    assert found == [(Decimal("0.30"), 2, True, Decimal(100))]


def test_bundles_tax_codes_rates_attachments_and_custom_fields_have_rows(upgraded: sa.Engine) -> None:
    load(
        upgraded,
        Item=[{"Id": "3", "ItemGroupDetail": {"ItemGroupLine": [{"ItemRef": {"value": "4"}, "Qty": Decimal("1.5")}]}}],
        TaxCode=[
            {
                "Id": "5",
                "SalesTaxRateList": {"TaxRateDetail": [{"TaxRateRef": {"value": "6"}, "TaxOrder": 0}]},
                "PurchaseTaxRateList": {"TaxRateDetail": [{"TaxRateRef": {"value": "7"}, "TaxOrder": 1}]},
            }
        ],
        TaxRate=[{"Id": "6", "EffectiveTaxRate": [{"RateValue": 7, "EffectiveDate": "2020-01-01T00:00:00-08:00"}]}],
        Attachable=[{"Id": "8", "AttachableRef": [{"EntityRef": {"type": "Invoice", "value": "1"}}]}],
        Customer=[{"Id": "9", "CustomField": [{"DefinitionId": "1", "Name": "Crew", "StringValue": "B"}]}],
    )
    assert rows(upgraded, "SELECT record_id, item_id, qty FROM quickbooks.item_group_lines") == [
        ("3", "4", Decimal("1.5"))
    ]
    assert rows(upgraded, "SELECT list, tax_rate_id, tax_order FROM quickbooks.tax_code_rates ORDER BY 1") == [
        ("PurchaseTaxRateList", "7", Decimal(1)),
        ("SalesTaxRateList", "6", Decimal(0)),
    ]
    assert rows(upgraded, "SELECT rate_value, end_date FROM quickbooks.tax_rate_history") == [(Decimal(7), None)]
    assert rows(upgraded, "SELECT entity_type, entity_id FROM quickbooks.attachable_refs") == [("Invoice", "1")]
    assert rows(upgraded, "SELECT entity, record_id, name, string_value FROM quickbooks.custom_fields") == [
        ("Customer", "9", "Crew", "B")
    ]


@pytest.mark.parametrize(
    ("tax", "expected"),
    [
        ({"TaxLine": "none"}, []),
        ({"TaxLine": {"Amount": 3}}, [Decimal(3)]),
        (
            {
                "TaxLine": [
                    {"Amount": "3.50"},
                    {"Amount": "three"},
                    "?",
                    {"Amount": {"of": 1}},
                    {"Amount": "9" * 200_000},
                ]
            },
            "odd",
        ),
        ("nothing", []),
        ({"TaxLine": [{"Amount": True, "TaxLineDetail": {"PercentBased": "yes", "TaxRateRef": 5}}]}, [None]),
    ],
)
def test_an_odd_entry_never_keeps_a_view_from_answering(upgraded: sa.Engine, tax: Any, expected: Any) -> None:
    load(upgraded, Invoice=[{"Id": "1", "TxnTaxDetail": tax}])
    found = [amount for (amount,) in rows(upgraded, "SELECT amount FROM quickbooks.tax_lines ORDER BY position")]
    assert found == ([Decimal("3.50"), None, None, None, None] if expected == "odd" else expected)
    for view in VIEWS:
        rows(upgraded, f"SELECT * FROM quickbooks.{view.name}")


def test_a_second_upgrade_leaves_the_views_alone(upgraded: sa.Engine) -> None:
    oids = "SELECT relname, oid FROM pg_class WHERE relkind = 'v' AND relnamespace = 'quickbooks'::regnamespace"
    before = rows(upgraded, oids)
    assert len(before) == len(VIEWS)
    assert upgrade(upgraded) == []
    assert rows(upgraded, oids) == before


def test_a_view_that_changed_is_replaced_and_keeps_its_readers(upgraded: sa.Engine) -> None:
    for columns in ("realm_id, entity, record_id, position", "position, entity, record_id, realm_id, 1 AS gone"):
        run(upgraded, "DROP VIEW quickbooks.tax_lines")
        body = "'x' AS realm_id, 'y' AS entity, 'z' AS record_id, 0::bigint AS position"
        run(upgraded, f"CREATE VIEW quickbooks.tax_lines AS SELECT {columns} FROM (SELECT {body}) t")
        run(upgraded, "GRANT SELECT ON quickbooks.tax_lines TO pg_monitor")
        assert "Changed the view tax_lines." in upgrade(upgraded)
        assert rows(upgraded, "SELECT count(tax_rate_id) FROM quickbooks.tax_lines") == [(0,)]
        assert rows(upgraded, "SELECT has_table_privilege('pg_monitor', 'quickbooks.tax_lines', 'SELECT')") == [(True,)]
        assert upgrade(upgraded) == []


def test_a_view_of_the_analysts_own_on_top_is_not_torn_down(upgraded: sa.Engine) -> None:
    run(upgraded, "DROP VIEW quickbooks.tax_lines")
    run(
        upgraded,
        "CREATE VIEW quickbooks.tax_lines AS SELECT 0::bigint AS position, 'a' AS record_id, 'b' AS entity, "
        "'c' AS realm_id; CREATE VIEW public.my_taxes AS SELECT * FROM quickbooks.tax_lines",
    )
    with pytest.raises(WarehouseError, match="depend"):
        upgrade(upgraded)
    assert len(rows(upgraded, "SELECT * FROM public.my_taxes")) == 1


def test_another_programs_table_under_a_views_name_is_moved_aside(engine: sa.Engine) -> None:
    run(engine, "DROP VIEW IF EXISTS quickbooks.custom_fields; CREATE TABLE quickbooks.custom_fields (id int)")
    with pytest.raises(WarehouseError, match="custom_fields"):
        upgrade(engine)
    assert any("quickbooks_legacy.custom_fields" in said for said in upgrade(engine, adopt=True))
    assert rows(engine, "SELECT count(*) FROM quickbooks.custom_fields") == [(0,)]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_explains_itself(upgraded: sa.Engine, view: Any) -> None:
    about = rows(upgraded, f"SELECT obj_description('quickbooks.{view.name}'::regclass, 'pg_class')")
    assert about == [(view.description,)]
    described = rows(
        upgraded,
        "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute "
        f"WHERE attrelid = 'quickbooks.{view.name}'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert described == [(column.name, column.kind, column.description) for column in view.columns]
    assert all(column.description for column in view.columns)
    assert views.definition(view)
