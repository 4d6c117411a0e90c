"""The generated company: believable, the same every time, and balanced."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from qbo_pipeline.sandbox.books import Books, inner
from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.generator import generate
from qbo_pipeline.sandbox.links import applied
from qbo_pipeline.sandbox.totals import total

Rows = dict[str, list[dict[str, Any]]]


def _generated(seed: int = 1, invoices: int = 200) -> Books:
    clock = Clock()
    clock.freeze()
    clock.set(1_800_000_000)
    return generate("1", clock, seed=seed, invoices=invoices)


def _rows(books: Books) -> Rows:
    return {name: [record.payload() for record in table.records.values()] for name, table in books.tables.items()}


@pytest.fixture(scope="module", params=[1, 2, 3])
def rows(request: pytest.FixtureRequest) -> Rows:
    return _rows(_generated(seed=request.param, invoices=400))


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert _generated().truth() == _generated().truth()
    assert _generated(seed=2).truth() != _generated().truth()


def test_it_has_the_size_asked_for() -> None:
    assert len(_generated(invoices=57).table("Invoice").records) == 57


@pytest.mark.parametrize("invoices", [0, 1, 3])
def test_a_tiny_company_works_too(invoices: int) -> None:
    assert len(_generated(invoices=invoices).table("Invoice").records) == invoices


DOCUMENTS = ("Invoice", "Estimate", "SalesReceipt", "CreditMemo", "RefundReceipt", "Bill", "VendorCredit", "Purchase")


@pytest.mark.parametrize("entity", [*DOCUMENTS, "PurchaseOrder", "Deposit"])
def test_lines_add_up_to_the_total(rows: Rows, entity: str) -> None:
    assert rows[entity]
    for row in rows[entity]:
        assert total(row) == row["TotalAmt"], row


def test_group_lines_hold_the_sum_of_their_lines_and_taxes_their_rate(rows: Rows) -> None:
    groups = [line for row in rows["Invoice"] for line in row["Line"] if line["DetailType"] == "GroupLineDetail"]
    assert groups
    for group in groups:
        assert group["Amount"] == sum(line["Amount"] for line in group["GroupLineDetail"]["Line"])
    for row in rows["Invoice"]:
        assert row["TxnTaxDetail"]["TotalTax"] == sum(line["Amount"] for line in row["TxnTaxDetail"].get("TaxLine", []))


def test_a_balance_is_the_total_less_what_was_paid(rows: Rows) -> None:
    for owing, paying in (("Invoice", "Payment"), ("CreditMemo", "Payment"), ("Bill", "BillPayment")):
        paid: dict[str, Decimal] = defaultdict(Decimal)
        for payment in rows[paying]:
            for line in payment["Line"]:
                for link in line["LinkedTxn"]:
                    if link["TxnType"] == owing:
                        paid[link["TxnId"]] += line["Amount"]
        assert paid
        for row in rows[owing]:
            assert row["Balance"] == row["TotalAmt"] - paid[row["Id"]]
            assert row["Balance"] >= 0


def test_a_payment_is_used_up_or_unapplied(rows: Rows) -> None:
    assert any(payment["UnappliedAmt"] for payment in rows["Payment"])
    for payment in rows["Payment"]:
        assert payment["TotalAmt"] == applied(payment) + payment["UnappliedAmt"]


def test_names_owe_the_sum_of_what_is_open(rows: Rows) -> None:
    owed: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entity, party, member, sign in (
        ("Invoice", "Customer", "Balance", 1),
        ("CreditMemo", "Customer", "Balance", -1),
        ("Payment", "Customer", "UnappliedAmt", -1),
        ("Bill", "Vendor", "Balance", 1),
        ("VendorCredit", "Vendor", "Balance", -1),
    ):
        for row in rows[entity]:
            owed[(party, row[f"{party}Ref"]["value"])] += sign * row[member]
    for party in ("Customer", "Vendor"):
        for row in rows[party]:
            assert row["Balance"] == owed[(party, row["Id"])]


def test_journals_have_as_much_debit_as_credit(rows: Rows) -> None:
    for row in rows["JournalEntry"]:
        sides: dict[str, Decimal] = defaultdict(Decimal)
        for line in row["Line"]:
            sides[line["JournalEntryLineDetail"]["PostingType"]] += line["Amount"]
        assert sides["Debit"] == sides["Credit"] > 0


def test_references_point_at_something(rows: Rows) -> None:
    ids = {name: {row["Id"] for row in table if "Id" in row} for name, table in rows.items()}
    for table in rows.values():
        for row in table:
            for party in ("Customer", "Vendor", "Employee"):
                if f"{party}Ref" in row:
                    assert row[f"{party}Ref"]["value"] in ids[party]
            for link in row.get("LinkedTxn", []):
                kind = "BillPayment" if link["TxnType"].startswith("BillPayment") else link["TxnType"]
                assert link["TxnId"] in ids[kind]


def test_there_is_something_of_everything(rows: Rows) -> None:
    voided = [row for row in rows["Invoice"] if row.get("PrivateNote") == "Voided"]
    assert voided
    assert all(row["TotalAmt"] == 0 for row in voided)
    foreign = [row for row in rows["Invoice"] if row["CurrencyRef"]["value"] == "EUR"]
    assert foreign
    for row in foreign:
        assert row["HomeTotalAmt"] == (row["TotalAmt"] * row["ExchangeRate"]).quantize(Decimal("0.01"))
    assert any(row.get("ParentRef") for row in rows["Customer"])
    days = {row["AsOfDate"] for row in rows["ExchangeRate"] if row["SourceCurrencyCode"] == "EUR"}
    assert len(days) > 60, "a month of days beside three years of months"
    assert {kind for row in rows["RecurringTransaction"] for kind in row} == {"Bill", "Invoice"}
    assert {row["level"] for row in rows["TaxClassification"]} == {"1", "2"}
    assert {"Note" in row for row in rows["Attachable"]} == {True, False}
    for entity in ("Account", "Item", "Customer"):
        assert any(row["Active"] is False for row in rows[entity])
    kinds = {line["DetailType"] for row in rows["Invoice"] for line in row["Line"]}
    assert kinds == {
        "SalesItemLineDetail",
        "SubTotalLineDetail",
        "DiscountLineDetail",
        "DescriptionOnly",
        "GroupLineDetail",
    }


def test_every_month_of_three_years_has_invoices_and_none_is_in_the_future(rows: Rows) -> None:
    months = {row["TxnDate"][:7] for row in rows["Invoice"]}
    assert len(months) >= 36
    clock = Clock()
    for table in rows.values():
        for row in table:
            if "MetaData" not in inner(row):  # tax classifications alone have no times
                assert {"id", "code", "name", "level"} <= set(row)
                continue
            times = inner(row)["MetaData"]
            created, updated = clock.instant(times["CreateTime"]), clock.instant(times["LastUpdatedTime"])
            assert created is not None
            assert updated is not None
            assert created <= updated <= 1_800_000_000
