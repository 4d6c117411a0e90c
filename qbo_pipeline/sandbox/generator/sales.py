"""Planning what the company sold and was paid for."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from qbo_pipeline.sandbox.generator import words
from qbo_pipeline.sandbox.generator.ledger import DAY, Doc, Ledger, Named
from qbo_pipeline.sandbox.generator.lists import TAX_PERCENT

SUBTOTAL_AFTER = 3


def plan_sales(ledger: Ledger, invoices: int) -> None:
    """Plan invoices and everything that hangs on them."""
    customers = list(ledger.names["Customer"].values())
    moments = sorted(ledger.some_day() for _ in range(invoices))
    for number, when in enumerate(moments):
        invoice = _sale(ledger, "Invoice", customers, when, number)
        if number % 37 == 11:
            _void(invoice)
        else:
            _settle(ledger, invoice, number)
        if number % 10 == 4:
            _estimate(ledger, customers, invoice, number)
        if number % 12 == 5:
            receipt = _sale(ledger, "SalesReceipt", customers, ledger.some_day(), number)
            receipt.open = 0
        if number % 60 == 7:
            refund = _sale(ledger, "RefundReceipt", customers, ledger.some_day(), number)
            refund.open = 0
    for invoice in ledger.docs:
        if invoice.entity in {"Invoice", "CreditMemo", "Payment"} and invoice.party is not None:
            sign = 1 if invoice.entity == "Invoice" else -1
            invoice.party.open_cents += sign * invoice.open
            invoice.party.moved_at = max(invoice.party.moved_at, invoice.touched_at)


def _sale(ledger: Ledger, entity: str, customers: list[Named], when: int, number: int) -> Doc:
    party = customers[min(int(ledger.rng.random() ** 1.6 * len(customers)), len(customers) - 1)]
    doc = Doc(entity, max(when, party.moved_at + DAY), party)
    lines, taxable = _lines(ledger, number, foreign=party.facts["currency"]["value"] != "USD")
    doc.lines = lines
    subtotal = sum(line[-1] for line in lines)
    doc.facts["subtotal"] = subtotal
    if number % 9 == 2:
        percent = ledger.rng.choice((5, 10, 15))
        doc.facts["discount"] = (percent, subtotal * percent // 100)
    doc.tax = int((Decimal(taxable) * TAX_PERCENT / 100).quantize(Decimal(1), ROUND_HALF_UP)) if taxable else 0
    doc.facts["taxable"] = taxable
    doc.total = doc.open = subtotal - doc.facts.get("discount", (0, 0))[1] + doc.tax
    doc.facts["term"] = ledger.any("Term")
    doc.facts["number"] = number
    if number % 4 == 0:
        doc.facts["note"] = ledger.rng.choice(words.NOTES)
    return ledger.plan(doc)


def _lines(ledger: Ledger, number: int, *, foreign: bool) -> tuple[list[tuple[Any, ...]], int]:
    """Return lines as (kind, …, amount in cents) and the taxable part of their sum."""
    rng, items = ledger.rng, [each for each in ledger.names["Item"].values() if "price" in each.facts]
    lines: list[tuple[Any, ...]] = []
    taxable = 0
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 6))):
        item = rng.choice(items)
        quarters = rng.randrange(2, 40) if item.facts["type"] == "Service" else 4 * rng.randrange(1, 12)
        cents = item.facts["price"] * quarters // 4
        lines.append(("item", item, Decimal(quarters) / 4, cents))
        taxable += cents if item.facts["taxable"] and not foreign else 0
    if number % 8 == 3:
        lines.insert(1, ("text", rng.choice(words.TASKS), 0))
    if number % 13 == 6:
        group = ledger.named("Item", rng.choice(words.GROUPS)[0])
        nested = [ledger.named("Item", name) for name in group.facts["members"]]
        lines.append(("group", group, nested, sum(each.facts["price"] for each in nested)))
        taxable += sum(each.facts["price"] for each in nested if each.facts["taxable"] and not foreign)
    return lines, taxable


def _void(invoice: Doc) -> None:
    invoice.facts["void"] = True
    invoice.total = invoice.open = invoice.tax = 0


def _settle(ledger: Ledger, invoice: Doc, number: int) -> None:
    """Pay it in one or two instalments, credit a part of it, or leave it open."""
    rng = ledger.rng
    if number % 29 == 9:
        _credit(ledger, invoice, number)
    parts = rng.choice((1, 1, 1, 1, 2, 0))
    for part in range(parts):
        when = ledger.later(invoice.when, 75)
        cents = invoice.open if part == parts - 1 else invoice.open // 2
        if when >= ledger.end or cents <= 0:
            return
        payment = ledger.plan(Doc("Payment", when, invoice.party, total=cents, links=[(invoice, cents)]))
        if number % 41 == 8 and part == 0:  # overpaid: the rest stays with the payment
            payment.total, payment.open = payment.total + 2500, 2500
        payment.facts |= {"method": ledger.any("PaymentMethod"), "number": number, "rate_at": invoice.when}
        invoice.links.append((payment, cents))
        invoice.open -= cents


def _credit(ledger: Ledger, invoice: Doc, number: int) -> None:
    """Give a credit memo, and use it up against the invoice with a payment of nothing."""
    when = ledger.later(invoice.when, 20)
    if when + DAY >= ledger.end:
        return
    credit = _sale(ledger, "CreditMemo", [invoice.party] if invoice.party else [], when, 1)
    cents = min(credit.open, invoice.open)
    payment = Doc("Payment", credit.when + 3600, invoice.party, links=[(invoice, cents), (credit, cents)])
    payment.facts |= {"method": ledger.any("PaymentMethod"), "number": number, "rate_at": invoice.when}
    ledger.plan(payment)
    for document in (invoice, credit):
        document.links.append((payment, cents))
        document.open -= cents


def _estimate(ledger: Ledger, customers: list[Named], invoice: Doc, number: int) -> None:
    estimate = _sale(ledger, "Estimate", customers, max(ledger.start, invoice.when - 9 * DAY), number)
    estimate.facts["status"] = ledger.rng.choice(("Pending", "Accepted", "Closed", "Rejected"))
    estimate.open = 0
    if number % 20 == 4 and invoice.total:  # the estimate this invoice was made from
        estimate.party, estimate.lines, estimate.total, estimate.tax = (
            invoice.party,
            invoice.lines,
            invoice.total,
            invoice.tax,
        )
        estimate.facts |= invoice.facts | {"status": "Closed"}
        estimate.links.append((invoice, 0))
        invoice.links.append((estimate, 0))
