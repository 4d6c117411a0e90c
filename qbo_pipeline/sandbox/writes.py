"""Creating, updating, deleting, restoring, voiding, deactivating and merging records.

The API side calls these with ``strict`` checks (Intuit's error codes); the remote control without, so that a test may
put any record anywhere. SyncToken is an optimistic lock: one more with every write to the record itself, and a stale
one is refused with 5010 (Intuit: basic field definitions; recorded batch answers).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from qbo_pipeline.sandbox.books import Books, Record, inner, key_of
from qbo_pipeline.sandbox.entities import BY_NAME, ENTITIES
from qbo_pipeline.sandbox.faults import business_rule, not_found, stale, unsupported
from qbo_pipeline.sandbox.links import PAYS, applied, open_amount, ripple, touch, unlink_payments
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.totals import OWING, complete
from qbo_pipeline.sandbox.validation import check, check_shape
from qbo_pipeline.sandbox.values import Payload, amount, copy, money

__all__ = ["create", "current", "deactivate", "delete", "merge", "restore", "touch", "update", "void"]


def create(books: Books, entity: str, record: Payload, settings: Settings, *, strict: bool = True) -> Record:
    """Add a record; what it does not say is filled in as QuickBooks would."""
    payload: Payload = copy(record)
    seen = inner(payload)
    check_shape(seen)
    if strict:
        check(books, entity, seen)
    if key_of(entity, payload) is None and BY_NAME[entity].key == ("Id",):
        seen["Id"] = books.next_id(entity)
    if BY_NAME[entity].stamped:
        seen.setdefault("SyncToken", "0")
        seen.setdefault("domain", "QBO")
        seen["sparse"] = False
        now = books.clock.stamp(books.clock.now())
        given = seen.get("MetaData") or {} if not strict else {}
        seen["MetaData"] = {"CreateTime": now, "LastUpdatedTime": now} | given
    complete(books, entity, seen)
    kept = books.keep(entity, payload)
    ripple(books, entity, None, payload, settings)
    return kept


def update(
    books: Books, entity: str, changes: Payload, settings: Settings, *, sparse: bool = True, strict: bool = True
) -> Record:
    """Change a record: a full update replaces everything writable, a sparse one what it names at the top level."""
    check_shape(inner(changes))
    before = current(books, entity, changes, strict=strict)
    old = inner(before)
    if strict:
        check(books, entity, changes, updating=key_of(entity, before), sparse=sparse)
    new: Payload = copy(inner(changes))
    after = old | new if sparse else _kept_on_full_update(old) | new
    after = {name: value for name, value in after.items() if value is not None}
    was_active = old.get("Active") is not False
    _retotal(
        books,
        entity,
        old,
        after,
        lines_given="Line" in new and "TotalAmt" not in (new if not strict else {}),
        strict=strict,
    )
    if BY_NAME[entity].has_active and after.get("Active") is False and was_active:
        _mark_inactive(entity, after)
    return _written(books, entity, before, after, settings, times=None if strict else new.get("MetaData"))


def delete(books: Books, entity: str, target: Payload, settings: Settings, *, strict: bool = True) -> str:
    """Remove a transaction for good; change data capture keeps a stub of it. Return its Id."""
    if strict and BY_NAME[entity].delete != "hard":
        raise unsupported("Operation delete is not supported.")
    before = current(books, entity, target, strict=strict)
    key = key_of(entity, before) or ""
    unlink_payments(books, entity, before, settings)
    books.table(entity).remove(key, int(books.clock.now()))
    ripple(books, entity, before, None, settings)
    return key


def restore(books: Books, entity: str, key: str, settings: Settings) -> Record:
    """Bring a deleted record back under its Id, as a newer version; what had paid it was let go when it went."""
    stone = books.table(entity).tombstones.get(key)
    if stone is None:
        raise not_found()
    payload = stone.record.payload()
    seen = inner(payload)
    if BY_NAME[entity].stamped:
        seen["SyncToken"] = str(stone.record.sync_token + 1)
        now = books.clock.stamp(books.clock.now())
        seen["MetaData"] = (seen.get("MetaData") or {}) | {"LastUpdatedTime": now}
    if "LinkedTxn" in seen and entity not in PAYS:
        links = [link for link in seen["LinkedTxn"] if not str(link.get("TxnType")).startswith(tuple(PAYS))]
        seen["LinkedTxn"] = links
    if entity in OWING and "TotalAmt" in seen:
        seen["Balance"] = seen["TotalAmt"]
        if "RemainingCredit" in seen:
            seen["RemainingCredit"] = seen["TotalAmt"]
    kept = books.keep(entity, payload)
    ripple(books, entity, None, payload, settings)
    return kept


def void(books: Books, entity: str, target: Payload, settings: Settings, *, strict: bool = True) -> Record:
    """Keep the record and take all its money out (recorded void of an invoice)."""
    before = current(books, entity, target, strict=strict)
    unlink_payments(books, entity, before, settings)
    after: Payload = copy(before)
    memo = after.get("PrivateNote")
    after["PrivateNote"] = f"Voided - {memo}" if memo else "Voided"
    for line in after.get("Line") or []:
        _zero_line(line)
    after["Line"] = [] if entity in {"Payment", "BillPayment"} else after.get("Line", [])
    zeroed = ("TotalAmt", "Balance", "UnappliedAmt", "HomeTotalAmt", "HomeBalance", "RemainingCredit")
    after.update({name: Decimal(0) for name in zeroed if name in after})
    if "TxnTaxDetail" in after:
        after["TxnTaxDetail"] = {"TotalTax": Decimal(0)}
    if entity not in {"Payment", "BillPayment"}:
        after["LinkedTxn"] = []
    with books.calling(entity, key_of(entity, before) or "", "voided"):
        return _written(books, entity, before, after, settings)


def deactivate(books: Books, entity: str, key: str, settings: Settings) -> Record:
    """Make a name inactive: it stays readable and leaves plain queries."""
    return update(books, entity, {"Id": key, "Active": False}, settings, strict=False)


def merge(books: Books, entity: str, loser: str, winner: str, settings: Settings) -> int:
    """Fold one name into another; return how many records were repointed. How CDC shows it is a knob (unverified)."""
    with books.calling(entity, loser, None), books.calling(entity, winner, None):
        repointed = _merged(books, entity, loser, winner, settings)
    books.told(entity, winner, "merged", loser)  # one event for both (Intuit: webhooks, deletedid)
    return repointed


def _merged(books: Books, entity: str, loser: str, winner: str, settings: Settings) -> int:
    kept, gone = current(books, entity, {"Id": winner}, strict=False), books.get(entity, loser)
    if gone is None:
        raise not_found()
    name = kept.get(BY_NAME[entity].name_field)
    repointed = 0
    for each in ENTITIES:
        for record in list(books.table(each.name).records.values()):
            if f'"value":"{loser}"'.encode() in record.body:
                repointed += _repoint(books, each.name, record, entity, (loser, winner, name), settings)
    if "Balance" in kept:
        kept["Balance"] = money(amount(kept["Balance"]) + amount(gone.payload().get("Balance")))
        books.keep(entity, kept)
    if settings.cdc_merge == "inactive":
        deactivate(books, entity, loser, settings)
    else:
        books.table(entity).remove(loser, int(books.clock.now()) if settings.cdc_merge == "stub" else None)
    return repointed


def _repoint(
    books: Books, name: str, record: Record, entity: str, who: tuple[str, str, Any], settings: Settings
) -> int:
    payload = record.payload()
    if not _renamed(payload, f"{entity}Ref", who):
        return 0
    if settings.merge_touches_transactions:
        inner(payload).setdefault("MetaData", {})["LastUpdatedTime"] = books.clock.stamp(books.clock.now())
    books.keep(name, payload, when=record.updated)
    return 1


def _renamed(value: Any, reference: str, who: tuple[str, str, Any]) -> bool:
    loser, winner, name = who
    if isinstance(value, list):
        return sum(_renamed(each, reference, who) for each in value) > 0  # every one, not the first
    if not isinstance(value, dict):
        return False
    found = False
    for key, member in value.items():
        if key.endswith(reference) and isinstance(member, dict) and member.get("value") == loser:
            value[key] = member | {"value": winner} | ({"name": name} if name else {})
            found = True
        else:
            found = _renamed(member, reference, who) or found
    return found


def current(books: Books, entity: str, target: Payload, *, strict: bool = False) -> Payload:
    """Return a fresh copy of the record a write is about, or the fault that it is gone or stale."""
    key = key_of(entity, target)
    record = books.get(entity, key or "")
    if record is None:
        raise not_found()
    if strict and str(inner(target).get("SyncToken")) != str(inner(record.payload()).get("SyncToken")):
        raise stale()
    return record.payload()


def _written(
    books: Books,
    entity: str,
    before: Payload,
    after: Payload,
    settings: Settings,
    *,
    times: dict[str, Any] | None = None,
) -> Record:
    old = inner(before)
    kind = BY_NAME[entity]
    after.update({name: old.get(name, after.get(name)) for name in kind.key})
    if kind.stamped:
        after["SyncToken"] = str(int(amount(old.get("SyncToken"))) + 1)
        now = books.clock.stamp(books.clock.now())
        after["MetaData"] = (old.get("MetaData") or {}) | {"LastUpdatedTime": now} | (times or {})
    if "sparse" in old or "sparse" in after:
        after["sparse"] = False
    wrapper = next(iter(before)) if old is not before else None
    record = books.keep(entity, {wrapper: after} if wrapper else after)
    ripple(books, entity, old, after, settings)
    return record


def _kept_on_full_update(old: Payload) -> Payload:
    """Read-only members survive a full update that leaves them out (Intuit: full update)."""
    read_only = ("Id", "domain", "FullyQualifiedName", "Balance", "CurrencyRef", "TotalAmt", "LinkedTxn", "Active")
    return {name: old[name] for name in read_only if name in old}


def _retotal(books: Books, entity: str, old: Payload, after: Payload, *, lines_given: bool, strict: bool) -> None:
    settled = amount(old.get("TotalAmt")) - open_amount(entity, old)
    if lines_given:
        after.pop("TotalAmt", None)
    complete(books, entity, after)
    if entity == "Payment":
        after["UnappliedAmt"] = money(amount(after.get("TotalAmt")) - applied(after))
        if strict and after["UnappliedAmt"] < 0:
            raise business_rule("The amount to apply is greater than the amount received.")
    elif "Balance" in old and "TotalAmt" in after:
        after["Balance"] = money(amount(after["TotalAmt"]) - settled)


def _mark_inactive(entity: str, after: Payload) -> None:
    name = BY_NAME[entity].name_field
    if name in after and not str(after[name]).endswith(" (deleted)"):
        after[name] = f"{after[name]} (deleted)"  # recorded deactivation of an account
    if "CurrentBalance" in after:
        after["CurrentBalance"] = Decimal(0)


def _zero_line(line: dict[str, Any]) -> None:
    if "Amount" in line:
        line["Amount"] = Decimal(0)
    for detail in [value for key, value in line.items() if key.endswith("Detail") and isinstance(value, dict)]:
        for name in ("UnitPrice", "Qty"):
            if name in detail:
                detail[name] = Decimal(0)
        for nested in detail.get("Line") or []:
            _zero_line(nested)
