"""Recurring templates: what QuickBooks makes invoices, bills and the like from, by schedule or on request.

A template can be of a dozen kinds, and looks like a transaction of its kind. So its class is made of theirs: a field
added to ``Invoice`` is a column of ``recurring_transactions`` too. What they disagree about, lines above all, stays
jsonb.

QuickBooks wraps each template in an object named after its kind, ``{"Invoice": {...}}``; here the kind is the field
``TxnType``. Its Ids are numbers of their own: template 12 has nothing to do with invoice 12.
"""

from __future__ import annotations

import typing
from typing import Annotated, Any

import msgspec

from qbo_pipeline.catalog import accounting, purchases, sales
from qbo_pipeline.catalog.fields import ABSENT, Flag, Json, Text
from qbo_pipeline.catalog.transactions import Transaction

#: Field that holds the name of the object a template comes wrapped in.
WRAPPER = "TxnType"

_KINDS: tuple[type[Transaction], ...] = (
    sales.Invoice,
    sales.Estimate,
    sales.SalesReceipt,
    sales.CreditMemo,
    sales.RefundReceipt,
    purchases.PurchaseOrder,
    purchases.Bill,
    purchases.VendorCredit,
    purchases.Purchase,
    accounting.JournalEntry,
    accounting.Deposit,
    accounting.Transfer,
)


class Recurrence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How and when a template is used."""

    Name: Annotated[Text, "name of the template"] = None
    RecurType: Annotated[Text, "Automated, Reminded or UnScheduled"] = None
    Active: Annotated[Flag, "whether it is in use"] = None
    ScheduleInfo: Annotated[Json, "interval, next and previous date, how often still"] = ABSENT


class _Template(Transaction, kw_only=True):
    TxnType: Annotated[Text, "kind of transaction it makes"] = None
    RecurringInfo: Annotated[Recurrence, "recurrence"] = Recurrence()  # type: ignore[assignment]
    Line: Annotated[Json, "lines, as those of a transaction of its kind"] = ABSENT


def _fields_of_kinds() -> list[tuple[str, Any, Any]]:
    """Return the fields the kinds have beyond those of every template: name, type, default."""
    own = set(_Template.__struct_fields__)
    found: dict[str, tuple[str, Any, Any]] = {}
    for kind in _KINDS:
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            if field.name in own:
                continue
            name, hint = field.name, hints[field.name]
            known = found.setdefault(name, (name, hint, field.default))
            if known[2] != field.default:
                found[name] = (name, Annotated[Json, known[1].__metadata__[0]], ABSENT)
    return list(found.values())


RecurringTransaction = msgspec.defstruct(
    "RecurringTransaction",
    _fields_of_kinds(),
    bases=(_Template,),
    kw_only=True,
    forbid_unknown_fields=True,
    namespace={"__doc__": "Recurring templates: what QuickBooks makes transactions from, by schedule or on request."},
)
