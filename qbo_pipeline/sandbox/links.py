"""What one write does to other records: balances move, links appear on both sides.

A payment lowers the balance of the invoices it links to and of its customer; a bill payment that of bills and vendor.
Such derived changes move ``MetaData.LastUpdatedTime`` and leave ``SyncToken`` alone (recorded traffic, 2020). Balances
of accounts and quantities on hand are not followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from qbo_pipeline.sandbox.books import Books, inner
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.values import Payload, amount, money

PAYS = {"Payment": ("Invoice", "CreditMemo"), "BillPayment": ("Bill", "VendorCredit")}
PARTY = {
    "Invoice": ("Customer", "CustomerRef", 1),
    "CreditMemo": ("Customer", "CustomerRef", -1),
    "Payment": ("Customer", "CustomerRef", -1),
    "Bill": ("Vendor", "VendorRef", 1),
    "VendorCredit": ("Vendor", "VendorRef", -1),
}
Link = tuple[str, str]  # entity and Id of the record a payment line settles


def paid(entity: str, payload: Payload | None) -> dict[Link, Decimal]:
    """Return what a payment settles: target and amount."""
    settled: dict[Link, Decimal] = {}
    for line in (payload or {}).get("Line") or [] if entity in PAYS else []:
        for link in line.get("LinkedTxn") or []:
            if link.get("TxnType") in PAYS[entity]:
                target = (str(link["TxnType"]), str(link.get("TxnId")))
                settled[target] = settled.get(target, Decimal(0)) + amount(line.get("Amount"))
    return settled


def applied(payment: Payload) -> Decimal:
    """Return how much of a payment's own money is used up: invoices take it, credit memos bring some along."""
    sums = paid("Payment", payment)
    return sum((value if kind == "Invoice" else -value for (kind, _), value in sums.items()), Decimal(0))


def open_amount(entity: str, payload: Payload | None) -> Decimal:
    """Return what a document still adds to (or, for credits, takes from) its customer's or vendor's balance."""
    if payload is None or entity not in PARTY:
        return Decimal(0)
    return amount(payload.get("UnappliedAmt" if entity == "Payment" else "Balance"))


def ripple(books: Books, entity: str, before: Payload | None, after: Payload | None, settings: Settings) -> None:
    """Carry the difference between two versions of a record over to everything that depends on it."""
    shifts: Counter[Link] = Counter()
    _shift_party(shifts, entity, before, after)
    was, now = paid(entity, before), paid(entity, after)
    payer = after or before or {}
    for target in dict.fromkeys([*was, *now]):
        difference = was.get(target, Decimal(0)) - now.get(target, Decimal(0))
        if difference or (target in was) != (target in now):
            _settle(
                books, target, difference, _link(entity, payer), linked=target in now, shifts=shifts, knobs=settings
            )
    for party, shift in shifts.items():
        if shift:
            _move_balance(books, party, Decimal(shift), settings)


def unlink_payments(books: Books, entity: str, document: Payload, settings: Settings) -> None:
    """Take a deleted or voided document out of the payments that settled it; their money becomes unapplied."""
    key = str(document.get("Id"))
    for payer in [name for name, pays in PAYS.items() if entity in pays]:
        for link in document.get("LinkedTxn") or []:
            record = books.get(payer, str(link.get("TxnId"))) if str(link.get("TxnType")).startswith(payer) else None
            if record is None:
                continue
            before, payment = record.payload(), record.payload()
            freed = paid(payer, payment).get((entity, key))
            if freed is None:
                continue
            payment["Line"] = [line for line in payment["Line"] if (entity, key) not in paid(payer, {"Line": [line]})]
            if payer == "Payment":
                payment["UnappliedAmt"] = money(amount(payment.get("UnappliedAmt")) + freed)
            touch(books, payer, payment, settings)
            shifts: Counter[Link] = Counter()
            _shift_party(shifts, payer, before, payment)
            for party, shift in shifts.items():
                _move_balance(books, party, Decimal(shift), settings)


def touch(books: Books, entity: str, payload: Payload, settings: Settings) -> None:
    """Store a derived change: LastUpdatedTime moves, SyncToken does not."""
    if settings.balance_side_effects:
        inner(payload).setdefault("MetaData", {})["LastUpdatedTime"] = books.clock.stamp(books.clock.now())
    books.keep(entity, payload)


def _link(entity: str, payer: Payload) -> dict[str, str]:
    kind = f"BillPayment{payer.get('PayType', 'Check')}" if entity == "BillPayment" else entity
    return {"TxnId": str(payer.get("Id")), "TxnType": kind}


def _settle(
    books: Books,
    target: Link,
    difference: Decimal,
    link: dict[str, str],
    *,
    linked: bool,
    shifts: Counter[Link],
    knobs: Settings,
) -> None:
    record = books.get(*target)
    if record is None:
        return
    before, document = record.payload(), record.payload()
    document["Balance"] = money(amount(document.get("Balance")) + difference)
    if "RemainingCredit" in document:
        document["RemainingCredit"] = document["Balance"]
    others = [each for each in document.get("LinkedTxn") or [] if each != link]
    document["LinkedTxn"] = [*others, link] if linked else others
    touch(books, target[0], document, knobs)
    _shift_party(shifts, target[0], before, document)


def _shift_party(shifts: Counter[Link], entity: str, before: Payload | None, after: Payload | None) -> None:
    for payload, direction in ((before, -1), (after, 1)):
        for party, sign in _parties(entity, payload):
            shifts[party] += direction * sign * open_amount(entity, payload)  # type: ignore[assignment]


def _parties(entity: str, payload: Payload | None) -> Iterator[tuple[Link, int]]:
    if payload is not None and entity in PARTY:
        name, reference, sign = PARTY[entity]
        key = (payload.get(reference) or {}).get("value")
        if key is not None:
            yield (name, str(key)), sign


def _move_balance(books: Books, party: Link, shift: Decimal, settings: Settings) -> None:
    record = books.get(*party)
    if record is None or not shift:
        return
    payload = record.payload()
    payload["Balance"] = money(amount(payload.get("Balance")) + shift)
    if "BalanceWithJobs" in payload:
        payload["BalanceWithJobs"] = money(amount(payload["BalanceWithJobs"]) + shift)
    touch(books, party[0], payload, settings)
