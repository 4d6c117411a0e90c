"""Writing planned documents out as QuickBooks payloads, in the members and order recorded answers show."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from qbo_pipeline.sandbox.generator import writing_costs as costs
from qbo_pipeline.sandbox.generator.ledger import Doc, Ledger, Named, dollars, linked, party_ref, plus_days
from qbo_pipeline.sandbox.generator.lists import DOLLARS, TAX_PERCENT
from qbo_pipeline.sandbox.values import Payload

Writer = Callable[[Ledger, Doc], Payload]
DOC_NUMBERED = {"Invoice", "Estimate", "CreditMemo", "SalesReceipt", "RefundReceipt"}


def write_all(ledger: Ledger) -> None:
    """Give every planned document its Id, in order of time, and write it into the books."""
    ledger.docs.sort(key=lambda doc: doc.when)
    for doc in ledger.docs:
        doc.id = ledger.books.next_id(doc.entity)
    for doc in ledger.docs:
        head: Payload = {"TxnDate": ledger.day_of(doc.when).isoformat()}
        if doc.entity != "TimeActivity":  # hours have no currency
            head["CurrencyRef"] = _currency(doc)
        if doc.entity in DOC_NUMBERED:
            head["DocNumber"] = str(1000 + int(doc.id))
        if "note" in doc.facts and not doc.facts.get("void"):
            head["PrivateNote"] = doc.facts["note"]
        body = WRITERS[doc.entity](ledger, doc)
        sync_token = 1 if doc.facts.get("void") else 0
        payload = ledger.stamped(doc.id, head | body | _home(ledger, doc), doc.when, doc.touched_at, sync_token)
        ledger.books.keep(doc.entity, payload)


def _currency(doc: Doc) -> dict[str, str]:
    return doc.party.facts.get("currency", DOLLARS) if doc.party else DOLLARS


def _home(ledger: Ledger, doc: Doc) -> Payload:
    """Return rate and home amount of a document in a foreign currency."""
    if _currency(doc) is DOLLARS or doc.entity == "TimeActivity":
        return {}
    rates = ledger.names["Rate"]
    month = (doc.facts.get("rate_at", doc.when) - ledger.start) // (30 * 86_400)
    rate: Decimal = rates[str(max(0, min(month, len(rates) - 1)))].facts["rate"]
    cents = Decimal("0.01")
    home = {"ExchangeRate": rate, "HomeTotalAmt": (dollars(doc.total) * rate).quantize(cents)}
    return home | ({"HomeBalance": (dollars(doc.open) * rate).quantize(cents)} if doc.entity == "Invoice" else {})


def _sale(ledger: Ledger, doc: Doc) -> Payload:
    void = doc.facts.get("void", False)
    body: Payload = {
        "CustomField": [{"DefinitionId": "1", "Name": "Crew", "Type": "StringType"}],
        "LinkedTxn": [] if void else linked(doc),
        "Line": _sale_lines(doc, void=void),
        "TxnTaxDetail": _tax(ledger, doc),
        "CustomerRef": party_ref(doc.party),
        "TotalAmt": dollars(doc.total),
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "NotSet",
    }
    if doc.facts["number"] % 3 == 0:
        body["CustomField"][0]["StringValue"] = f"Crew {1 + doc.facts['number'] % 4}"
    if void:
        body["PrivateNote"] = "Voided"
    if doc.facts["number"] % 5 == 0:
        body["ClassRef"] = ledger.named("Class", ("Maintenance", "Design")[doc.facts["number"] % 2]).ref
        body["DepartmentRef"] = ledger.named("Department", "Port Ames").ref
    return body


def _sale_lines(doc: Doc, *, void: bool) -> list[dict[str, Any]]:
    lines = [_sale_line(number, line, void=void) for number, line in enumerate(doc.lines, start=1)]
    lines.append(
        {
            "Amount": dollars(0 if void else doc.facts["subtotal"]),
            "DetailType": "SubTotalLineDetail",
            "SubTotalLineDetail": {},
        }
    )
    if "discount" in doc.facts:
        percent, cents = doc.facts["discount"]
        detail = {"PercentBased": True, "DiscountPercent": percent}
        discount = {"Amount": dollars(0 if void else cents), "DetailType": "DiscountLineDetail"}
        lines.append(discount | {"DiscountLineDetail": detail})
    return lines


def _sale_line(number: int, line: tuple[Any, ...], *, void: bool) -> dict[str, Any]:
    head = {"Id": str(number), "LineNum": number}
    if line[0] == "text":
        return head | {"Description": line[1], "DetailType": "DescriptionOnly", "DescriptionLineDetail": {}}
    kind, item, quantity, cents = line
    amount = dollars(0 if void else cents)
    if kind == "item":
        return head | {"Description": f"{item.name}, as agreed", "Amount": amount} | _item(item, quantity, void=void)
    nested = [
        {"Id": f"{number}0{index}", "LineNum": index, "Amount": dollars(0 if void else each.facts["price"])}
        | _item(each, Decimal(1), void=void)
        for index, each in enumerate(quantity, start=1)
    ]
    detail = {"GroupItemRef": item.ref, "Quantity": 0 if void else 1, "Line": nested}
    return head | {"Amount": amount, "DetailType": "GroupLineDetail", "GroupLineDetail": detail}


def _item(item: Named, quantity: Decimal, *, void: bool) -> dict[str, Any]:
    detail = {
        "ItemRef": item.ref,
        "UnitPrice": dollars(0 if void else item.facts["price"]),
        "Qty": Decimal(0) if void else quantity,
        "TaxCodeRef": {"value": "TAX" if item.facts["taxable"] else "NON"},
    }
    return {"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}


def _tax(ledger: Ledger, doc: Doc) -> Payload:
    if not doc.tax:
        return {"TotalTax": Decimal(0)}
    rate = ledger.named("TaxRate", "Alder sales tax")
    detail = {"TaxRateRef": {"value": rate.id}, "PercentBased": True, "TaxPercent": TAX_PERCENT}
    detail["NetAmountTaxable"] = dollars(doc.facts["taxable"])
    line = {"Amount": dollars(doc.tax), "DetailType": "TaxLineDetail", "TaxLineDetail": detail}
    code = ledger.named("TaxCode", "Alder").id
    return {"TxnTaxCodeRef": {"value": code}, "TotalTax": dollars(doc.tax), "TaxLine": [line]}


def _invoice(ledger: Ledger, doc: Doc) -> Payload:
    term: Named = doc.facts["term"]
    due = plus_days(ledger.day_of(doc.when), term.facts["days"])
    terms = {"SalesTermRef": {"value": term.id}, "DueDate": due}
    switches = {"AllowIPNPayment": False, "AllowOnlinePayment": False, "AllowOnlineCreditCardPayment": False}
    return switches | _sale(ledger, doc) | terms | {"Balance": dollars(doc.open)}


def _estimate(ledger: Ledger, doc: Doc) -> Payload:
    expires = plus_days(ledger.day_of(doc.when), 30)
    return {"TxnStatus": doc.facts["status"], "ExpirationDate": expires} | _sale(ledger, doc)


def _credit_memo(ledger: Ledger, doc: Doc) -> Payload:
    return {"RemainingCredit": dollars(doc.open)} | _sale(ledger, doc) | {"Balance": dollars(doc.open)}


def _receipt(ledger: Ledger, doc: Doc) -> Payload:
    paid = {"PaymentMethodRef": ledger.named("PaymentMethod", "Card").ref, "Balance": Decimal(0)}
    return _sale(ledger, doc) | paid | {"DepositToAccountRef": ledger.account("Checking")}


def _payment(ledger: Ledger, doc: Doc) -> Payload:
    lines = [
        {"Amount": dollars(cents), "LinkedTxn": [{"TxnId": other.id, "TxnType": other.entity}]}
        for other, cents in doc.links
    ]
    deposit = doc.facts.get("deposit")
    return {
        "CustomerRef": party_ref(doc.party),
        "DepositToAccountRef": ledger.account("Undeposited Funds"),
        "PaymentMethodRef": {"value": doc.facts["method"].id},
        "PaymentRefNum": str(40_000 + doc.facts["number"]),
        "TotalAmt": dollars(doc.total),
        "UnappliedAmt": dollars(doc.open),
        "ProcessPayment": False,
        "LinkedTxn": [{"TxnId": deposit.id, "TxnType": "Deposit"}] if deposit else [],
        "Line": lines,
    }


WRITERS: dict[str, Writer] = {
    "Invoice": _invoice,
    "Estimate": _estimate,
    "CreditMemo": _credit_memo,
    "SalesReceipt": _receipt,
    "RefundReceipt": _receipt,
    "Payment": _payment,
    "Deposit": costs.deposit,
    "Bill": costs.bill,
    "VendorCredit": costs.vendor_credit,
    "BillPayment": costs.bill_payment,
    "Purchase": costs.purchase,
    "PurchaseOrder": costs.order,
    "Transfer": costs.transfer,
    "JournalEntry": costs.journal,
    "TimeActivity": costs.hours,
}
