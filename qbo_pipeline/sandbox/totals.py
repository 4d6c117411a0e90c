"""Filling in what QuickBooks computes: line numbers, subtotals, totals, balances, names of references."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.entities import BY_NAME
from qbo_pipeline.sandbox.links import applied
from qbo_pipeline.sandbox.values import Payload, amount, money

SALES = {"Invoice", "Estimate", "SalesReceipt", "CreditMemo", "RefundReceipt"}
SUMMED = SALES | {"Bill", "VendorCredit", "Purchase", "PurchaseOrder", "Deposit"}
OWING = {"Invoice", "Bill", "CreditMemo", "VendorCredit"}
DOLLARS = {"value": "USD", "name": "United States Dollar"}
_HOMES = {"Customer": "CustomerRef", "Vendor": "VendorRef"}


def complete(books: Books, entity: str, payload: Payload) -> None:
    """Add what the writer left out; nothing the writer said is changed."""
    kind = BY_NAME[entity]
    if kind.kind == "transaction" and entity != "RecurringTransaction":
        payload.setdefault("TxnDate", books.clock.today().isoformat())
        payload.setdefault("CurrencyRef", dict(DOLLARS))
    if entity in {"Customer", "Vendor"}:
        payload.setdefault("Balance", Decimal(0))
        payload.setdefault("CurrencyRef", dict(DOLLARS))
        payload.setdefault("PrintOnCheckName", payload.get("DisplayName"))
    if kind.has_active:
        payload.setdefault("Active", True)
    if kind.name_field in payload and kind.name in {"Customer", "Account", "Item", "Class", "Department"}:
        payload.setdefault("FullyQualifiedName", _full_name(books, entity, payload))
    _name_parties(books, payload)
    if entity in SUMMED:
        _complete_lines(entity, payload)
        payload.setdefault("TotalAmt", total(payload))
    if entity == "Payment":
        settled = applied(payload)
        payload.setdefault("TotalAmt", money(settled))
        payload.setdefault("UnappliedAmt", money(amount(payload["TotalAmt"]) - settled))
    if entity in OWING:
        payload.setdefault("Balance", payload["TotalAmt"])
    if entity == "CreditMemo":
        payload.setdefault("RemainingCredit", payload["Balance"])
    if entity in {"Invoice", "Bill"}:
        due = books.clock.today() + timedelta(days=30)
        payload.setdefault("DueDate", due.isoformat())
    if entity in {"Invoice", "Estimate", "SalesReceipt", "CreditMemo"} and "DocNumber" not in payload:
        payload["DocNumber"] = str(1000 + int(payload["Id"]))[-21:] if str(payload.get("Id")).isdecimal() else "1000"


def total(payload: Payload) -> Decimal:
    """Add up a document: lines less discounts, plus tax. Subtotals repeat, descriptions have no amount (recorded)."""
    money_lines = [line for line in payload.get("Line") or [] if line.get("DetailType") != "SubTotalLineDetail"]
    signed = (
        -amount(line.get("Amount")) if line.get("DetailType") == "DiscountLineDetail" else amount(line.get("Amount"))
        for line in money_lines
    )
    tax = amount((payload.get("TxnTaxDetail") or {}).get("TotalTax"))
    return money(sum(signed, tax))


def _complete_lines(entity: str, payload: Payload) -> None:
    lines: list[dict[str, Any]] = payload.get("Line") or []
    own = [line for line in lines if line.get("DetailType") not in {"SubTotalLineDetail", "DiscountLineDetail"}]
    for number, line in enumerate(own, start=1):
        line.setdefault("Id", str(number))
        line.setdefault("LineNum", number)
    if entity in SALES and not any(line.get("DetailType") == "SubTotalLineDetail" for line in lines):
        subtotal = sum((amount(line.get("Amount")) for line in own), Decimal(0))
        payload["Line"] = [
            *lines,
            {"Amount": money(subtotal), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ]


def _full_name(books: Books, entity: str, payload: Payload) -> str:
    name = str(payload[BY_NAME[entity].name_field])
    parent = books.get(entity, str((payload.get("ParentRef") or {}).get("value")))
    return f"{parent.payload().get('FullyQualifiedName', '')}:{name}" if parent else name


def _name_parties(books: Books, payload: Payload) -> None:
    for party, reference in _HOMES.items():
        target = payload.get(reference)
        if isinstance(target, dict) and "name" not in target:
            found = books.get(party, str(target.get("value")))
            if found is not None:
                target["name"] = found.payload().get("DisplayName")
