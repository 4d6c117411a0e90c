"""Planning what the company bought, moved between accounts, and worked."""

from __future__ import annotations

from typing import Any

from qbo_pipeline.sandbox.generator.ledger import DAY, Doc, Ledger

EXPENSES = ("Advertising", "Fuel", "Repairs", "Insurance", "Office", "Rent", "Telephone", "Utilities", "Subcontractors")


def plan_spending(ledger: Ledger, invoices: int) -> None:
    """Plan bills and their payments, purchases, orders, credits, transfers, journals and hours."""
    for number in range(max(8, invoices // 4)):
        _bill(ledger, number)
    for number in range(max(8, invoices // 4)):
        _purchase(ledger, number)
    for number in range(max(2, invoices // 30)):
        order = ledger.plan(Doc("PurchaseOrder", ledger.some_day(), ledger.any("Vendor"), _goods(ledger)))
        order.total = sum(line[-1] for line in order.lines)
        order.facts = {"status": "Open" if number % 2 else "Closed", "number": number}
    for _ in range(max(3, invoices // 40)):
        ledger.plan(Doc("Transfer", ledger.some_day(), total=ledger.rng.randrange(1, 60) * 10_000))
    for number in range(max(4, invoices // 40)):
        ledger.plan(Doc("JournalEntry", ledger.some_day(), lines=_journal(ledger, number), facts={"number": number}))
    for number in range(max(10, invoices // 6)):
        _hours(ledger, number)
    for doc in ledger.docs:
        if doc.entity in {"Bill", "VendorCredit"} and doc.party is not None:
            doc.party.open_cents += doc.open if doc.entity == "Bill" else -doc.open
            doc.party.moved_at = max(doc.party.moved_at, doc.touched_at)


def plan_deposits(ledger: Ledger) -> None:
    """Take payments to the bank, a handful at a time."""
    payments = sorted((doc for doc in ledger.docs if doc.entity == "Payment" and doc.total), key=lambda doc: doc.when)
    for start in range(0, len(payments) - 3, 5):
        taken = payments[start : start + 4]
        when = ledger.later(taken[-1].when, 4)
        if when >= ledger.end or any(_is_foreign(payment) for payment in taken):
            continue
        deposit = ledger.plan(Doc("Deposit", when, total=sum(payment.total for payment in taken)))
        deposit.links = [(payment, payment.total) for payment in taken]
        for payment in taken:
            payment.facts["deposit"] = deposit


def _is_foreign(doc: Doc) -> bool:
    return doc.party is not None and doc.party.facts["currency"]["value"] != "USD"


def _bill(ledger: Ledger, number: int) -> None:
    bill = ledger.plan(Doc("Bill", ledger.some_day(), ledger.any("Vendor"), _costs(ledger, number)))
    bill.total = bill.open = sum(line[-1] for line in bill.lines)
    bill.facts = {"number": number, "term": ledger.any("Term")}
    if number % 17 == 6:
        credit = Doc("VendorCredit", ledger.later(bill.when, 10), bill.party, _costs(ledger, 1), {"number": number})
        credit.total = credit.open = sum(line[-1] for line in credit.lines)
        if credit.when < ledger.end:
            ledger.plan(credit)
    when = ledger.later(bill.when, 45)
    if when < ledger.end and number % 5:
        pay = ledger.plan(Doc("BillPayment", when, bill.party, total=bill.total, links=[(bill, bill.total)]))
        pay.facts = {"number": number, "type": "CreditCard" if number % 3 == 0 else "Check"}
        bill.links.append((pay, bill.total))
        bill.open = 0


def _costs(ledger: Ledger, number: int) -> list[tuple[Any, ...]]:
    """Return account lines, and now and then item lines: (kind, …, amount in cents)."""
    rng = ledger.rng
    lines: list[tuple[Any, ...]] = [
        ("account", rng.choice(EXPENSES), rng.random() < 0.1, rng.randrange(1500, 180_000))
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    return lines + _goods(ledger) if number % 4 == 0 else lines


def _goods(ledger: Ledger) -> list[tuple[Any, ...]]:
    goods = [each for each in ledger.names["Item"].values() if each.facts.get("cost")]
    lines: list[tuple[Any, ...]] = []
    for _ in range(ledger.rng.choice((1, 2))):
        item, count = ledger.rng.choice(goods), ledger.rng.randrange(1, 30)
        lines.append(("goods", item, count, item.facts["cost"] * count))
    return lines


def _purchase(ledger: Ledger, number: int) -> None:
    purchase = ledger.plan(Doc("Purchase", ledger.some_day(), ledger.any("Vendor"), _costs(ledger, 1)))
    purchase.total = sum(line[-1] for line in purchase.lines)
    kind = ("CreditCard", "Check", "Cash")[number % 3]
    purchase.facts = {"number": number, "type": kind, "credit": kind == "CreditCard" and number % 12 == 0}


def _journal(ledger: Ledger, number: int) -> list[tuple[Any, ...]]:
    cents = ledger.rng.randrange(5000, 400_000)
    if number % 3 == 0:
        return [("Debit", "Depreciation Expense", cents), ("Credit", "Depreciation", cents)]
    taxes = cents // 5
    return [("Debit", "Wages", cents), ("Credit", "Checking", cents - taxes), ("Credit", "Payroll Liabilities", taxes)]


def _hours(ledger: Ledger, number: int) -> None:
    doc = ledger.plan(Doc("TimeActivity", ledger.some_day(), ledger.any("Customer")))
    doc.when = max(doc.when, doc.party.moved_at) if doc.party else doc.when
    doc.when = min(doc.when, ledger.end - DAY)
    employee = ledger.any("Employee")
    doc.facts = {"employee": employee, "hours": 1 + number % 8, "minutes": 15 * (number % 4), "number": number}
