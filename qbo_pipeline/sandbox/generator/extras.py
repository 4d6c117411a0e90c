"""A few records of the rarer entities, so that none is forgotten: attachments, budgets, templates, rates."""

from __future__ import annotations

import random
from decimal import Decimal

from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.generator.ledger import DAY, Ledger, dollars, plus_days
from qbo_pipeline.sandbox.generator.lists import DOLLARS
from qbo_pipeline.sandbox.values import Payload


def write_extras(ledger: Ledger) -> None:
    """Write them at once, dated through the years."""
    for name in ("Household", "Business"):
        ledger.add_name("CustomerType", name, {"Name": name, "Active": True})
    _budget(ledger)
    for number in range(3):
        _attachment(ledger, number)
    for number in range(4):
        _card_payment(ledger, number)
    for number in range(2):
        _template(ledger, number)
    _invoice_template(ledger)
    _daily_rates(ledger)
    _classifications(ledger)
    for number in range(2):
        _stock_count(ledger, number)
        _tax_payment(ledger, number)
    _recharge(ledger)


def _keep(ledger: Ledger, entity: str, payload: Payload, when: int) -> None:
    books: Books = ledger.books
    books.keep(entity, ledger.stamped(books.next_id(entity), payload, when, when))


def _budget(ledger: Ledger) -> None:
    first = ledger.day_of(ledger.end - 300 * DAY).replace(day=1)
    rent, sales = ledger.account("Rent"), ledger.account("Services")
    detail = [
        {"BudgetDate": plus_days(first, 31 * month)[:8] + "01", "Amount": dollars(cents), "AccountRef": account}
        for month in range(6)
        for account, cents in ((rent, 140_000), (sales, 2_500_000))
    ]
    span = {"StartDate": first.isoformat(), "EndDate": plus_days(first, 180), "BudgetEntryType": "Monthly"}
    payload = {"Name": "Half a year", "BudgetType": "ProfitAndLoss", "Active": True} | span
    _keep(ledger, "Budget", payload | {"BudgetDetail": detail}, ledger.end - 300 * DAY)


def _attachment(ledger: Ledger, number: int) -> None:
    bills = list(ledger.books.table("Bill").records)
    target = {"EntityRef": {"type": "Bill", "value": bills[number % len(bills)]}, "IncludeOnSend": False}
    payload = {"FileName": f"receipt-{number}.pdf", "Size": 14_000 + number, "ContentType": "application/pdf"}
    if number == 2:  # a note without a file
        payload = {"Note": "Paid in cash at the counter; receipt is in the blue folder."}
    _keep(ledger, "Attachable", payload | {"AttachableRef": [target]}, ledger.end - (number + 1) * 90 * DAY)


def _card_payment(ledger: Ledger, number: int) -> None:
    when = ledger.end - (number + 1) * 60 * DAY
    refs = {"CreditCardAccountRef": ledger.account("Company Card"), "BankAccountRef": ledger.account("Checking")}
    head = {
        "TxnDate": ledger.day_of(when).isoformat(),
        "CurrencyRef": DOLLARS,
        "Amount": dollars(50_000 + 125 * number),
    }
    _keep(ledger, "CreditCardPaymentTxn", head | refs, when)


def _template(ledger: Ledger, number: int) -> None:
    when = ledger.end - (number + 1) * 200 * DAY
    schedule = {"IntervalType": "Monthly", "NumInterval": 1, "DayOfMonth": 1 + number}
    info = {"Name": f"Monthly {number + 1}", "RecurType": "Automated", "Active": True, "ScheduleInfo": schedule}
    detail = {"AccountRef": ledger.account("Rent"), "BillableStatus": "NotBillable", "TaxCodeRef": {"value": "NON"}}
    line = {"Id": "1", "Amount": dollars(140_000), "DetailType": "AccountBasedExpenseLineDetail"}
    body: Payload = {"VendorRef": ledger.any("Vendor").ref, "RecurringInfo": info, "CurrencyRef": DOLLARS}
    body |= {"Line": [line | {"AccountBasedExpenseLineDetail": detail}], "TotalAmt": dollars(140_000)}
    key = ledger.books.next_id("RecurringTransaction")
    template = ledger.stamped(key, body | {"RecurDataRef": {"value": key}}, when, when)
    ledger.books.keep("RecurringTransaction", {"Bill": template})


def _invoice_template(ledger: Ledger) -> None:
    when = ledger.end - 150 * DAY
    info = {"Name": "Garden care, on request", "RecurType": "UnScheduled", "Active": True}
    price = dollars(12_000)
    detail = {"ItemRef": ledger.any("Item").ref, "Qty": 1, "UnitPrice": price, "TaxCodeRef": {"value": "NON"}}
    line = {"Id": "1", "LineNum": 1, "Amount": price, "DetailType": "SalesItemLineDetail"}
    body: Payload = {"CustomerRef": ledger.any("Customer").ref, "RecurringInfo": info, "CurrencyRef": DOLLARS}
    body |= {"Line": [line | {"SalesItemLineDetail": detail}], "TotalAmt": price, "Balance": price}
    key = ledger.books.next_id("RecurringTransaction")
    template = ledger.stamped(key, body | {"RecurDataRef": {"value": key}}, when, when)
    ledger.books.keep("RecurringTransaction", {"Invoice": template})


def _stock_count(ledger: Ledger, number: int) -> None:
    """Write what a look into the store room found missing."""
    goods = [record for record in ledger.books.table("Item").records.values() if b'"Inventory"' in record.body]
    item = goods[number % len(goods)].payload()
    when = ledger.end - (number + 1) * 120 * DAY
    detail = {"ItemRef": {"value": item["Id"], "name": item["Name"]}, "QtyDiff": -1 - number}
    head = {"DocNumber": str(number + 1), "TxnDate": ledger.day_of(when).isoformat(), "PrivateNote": "Stock count"}
    line = {"Id": "1", "DetailType": "ItemAdjustmentLineDetail", "ItemAdjustmentLineDetail": detail}
    refs = {"AdjustAccountRef": ledger.account("Cost of Goods Sold")}
    _keep(ledger, "InventoryAdjustment", head | refs | {"Line": [line]}, when)


def _tax_payment(ledger: Ledger, number: int) -> None:
    when = ledger.end - (number + 1) * 91 * DAY
    head = {"PaymentDate": ledger.day_of(when).isoformat(), "PaymentAmount": dollars(12_350 + 75 * number)}
    refs = {"PaymentAccountRef": ledger.account("Checking")}
    _keep(ledger, "TaxPayment", head | refs | {"Refund": False, "Description": "Sales tax of the quarter"}, when)


def _recharge(ledger: Ledger) -> None:
    """Write a cost that is to be charged on to the customer it was made for."""
    when = ledger.end - 45 * DAY
    customer = next(iter(ledger.books.table("Customer").records.values())).payload()
    detail = {"ItemAccountRef": ledger.account("Services"), "Qty": 1, "UnitPrice": dollars(10_000)}
    line = {"Id": "1", "LineNum": 1, "Amount": dollars(10_000), "DetailType": "ReimburseLineDetail"}
    body: Payload = {"TxnDate": ledger.day_of(when).isoformat(), "CurrencyRef": DOLLARS, "HasBeenInvoiced": False}
    body |= {"CustomerRef": {"value": customer["Id"], "name": customer["DisplayName"]}, "Amount": dollars(10_000)}
    line |= {"ReimburseLineDetail": detail | {"TaxCodeRef": {"value": "NON"}}}
    _keep(ledger, "ReimburseCharge", body | {"Line": [line]}, when)


def _daily_rates(ledger: Ledger) -> None:
    """Write what foreign money was worth on each of the last thirty days, beside the monthly rates invoices use."""
    chance = random.Random(len(ledger.docs))  # of its own, so that nothing else comes out differently
    for code, about in (("EUR", 10_850), ("CAD", 7_300)):
        for ago in range(30, 0, -1):
            when = ledger.end - ago * DAY + DAY // 4
            pair = {"SourceCurrencyCode": code, "TargetCurrencyCode": "USD"}
            day = ledger.day_of(when).isoformat()
            if ledger.books.get("ExchangeRate", f"{code}/USD/{day}") is None:
                rate = Decimal(about + chance.randrange(-90, 90)).scaleb(-4)
                times = ledger.stamped("", {}, when, when)["MetaData"]
                head = {"SyncToken": "0", "domain": "QBO", "sparse": False, "AsOfDate": day}
                ledger.books.keep("ExchangeRate", head | pair | {"Rate": rate, "MetaData": times})


def _classifications(ledger: Ledger) -> None:
    """Write a part of the tree of tax classifications: lower-case names, no times, no token (Intuit: entity page)."""
    for root, title, members in (
        ("V1-00020000", "Goods", ("Plants and seeds", "Garden tools")),
        ("V1-00100000", "Professional Services", ("Garden design", "Landscaping work")),
    ):
        ledger.books.keep("TaxClassification", {"id": root, "code": root, "name": title, "level": "1"})
        for number, name in enumerate(members, 1):
            code = f"EUC-{root[3:7]}{number:04}"
            member: Payload = {"id": f"{code}-{root}", "code": code, "name": name, "level": "2"}
            member |= {"description": f"{name}, sold or done for a customer", "applicableTo": ["Service", "Inventory"]}
            ledger.books.keep("TaxClassification", member | {"ParentRef": {"name": title, "value": root}})
