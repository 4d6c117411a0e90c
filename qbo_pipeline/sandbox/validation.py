"""What the API refuses to write, with Intuit's codes (Intuit: error codes; recorded faults)."""

from __future__ import annotations

from decimal import InvalidOperation

from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.entities import BY_NAME
from qbo_pipeline.sandbox.faults import ApiError, duplicate_name, missing, not_found, unknown_property
from qbo_pipeline.sandbox.properties import known_properties
from qbo_pipeline.sandbox.values import Payload, amount

REQUIRED = {
    "Invoice": ("CustomerRef", "Line"),
    "Estimate": ("CustomerRef", "Line"),
    "CreditMemo": ("CustomerRef", "Line"),
    "Payment": ("CustomerRef", "TotalAmt"),
    "SalesReceipt": ("Line",),
    "RefundReceipt": ("DepositToAccountRef", "Line"),
    "Bill": ("VendorRef", "Line"),
    "BillPayment": ("VendorRef", "PayType", "TotalAmt", "Line"),
    "VendorCredit": ("VendorRef", "Line"),
    "Purchase": ("PaymentType", "AccountRef", "Line"),
    "PurchaseOrder": ("VendorRef", "Line"),
    "JournalEntry": ("Line",),
    "Deposit": ("DepositToAccountRef", "Line"),
    "Transfer": ("FromAccountRef", "ToAccountRef", "Amount"),
    "Account": ("Name",),
    "Item": ("Name",),
    "Class": ("Name",),
    "Department": ("Name",),
    "Term": ("Name",),
    "PaymentMethod": ("Name",),
    "Customer": ("DisplayName",),
    "Vendor": ("DisplayName",),
}
ALWAYS_RESENT = {"Purchase": "PaymentType", "Bill": "VendorRef"}  # even in a sparse update (live sandbox)
NUMBERS = {"Amount", "TotalAmt", "Balance", "BalanceWithJobs", "UnappliedAmt", "RemainingCredit", "TotalTax"}
LISTS = {"Line", "LinkedTxn", "TaxLine"}
OBJECTS = {"MetaData"}
PEOPLE = ("Customer", "Vendor", "Employee")
REFERENCES = {"CustomerRef": "Customer", "VendorRef": "Vendor"}


def check(books: Books, entity: str, record: Payload, *, updating: str | None = None, sparse: bool = False) -> None:
    """Raise the fault QuickBooks would answer with."""
    _check_properties(entity, record)
    required = REQUIRED.get(entity, ())
    if sparse:
        required = tuple(name for name in required if name == ALWAYS_RESENT.get(entity))
    for name in required:
        if record.get(name) in (None, "", []) and not (entity in PEOPLE and (record.get("GivenName") or updating)):
            raise missing(name)
    if entity in PEOPLE and "DisplayName" not in record and not updating:
        record["DisplayName"] = " ".join(filter(None, (record.get("GivenName"), record.get("FamilyName"))))
    if len(str(record.get("DocNumber", ""))) > 21:
        detail = "Max allowed length is 21. Supplied length is greater"
        raise ApiError(400, "2050", "String length is either shorter or longer than supported", detail)
    _check_name(books, entity, record, updating)
    for reference, target in REFERENCES.items():
        found = record.get(reference)
        if isinstance(found, dict) and books.get(target, str(found.get("value"))) is None:
            detail = f"Invalid Reference Id : {target} id {found.get('value')} is not valid"
            raise ApiError(400, "2500", "Invalid Reference Id", detail)


def check_shape(record: Payload) -> None:
    """Refuse members of a kind no record has: a reference that is a number, lines that are no list."""
    for name, value in record.items():
        if value is None:
            continue
        if name in NUMBERS:
            well = _is_number(value)
        elif name in LISTS:
            well = isinstance(value, list) and all(isinstance(each, dict) for each in value)
        elif name in OBJECTS or name.endswith(("Ref", "Detail")):
            well = isinstance(value, dict) or (name in {"AttachableRef", "BudgetDetail"} and isinstance(value, list))
        else:
            continue
        if not well:
            detail = f"Property Name:Can not deserialize value of {name} specified is unsupported or invalid"
            raise ApiError(400, "2010", "Request has invalid or unsupported property", detail, element=None)
        for nested in value if isinstance(value, list) else [value]:
            if isinstance(nested, dict):
                check_shape(nested)


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, bool | dict | list) and amount(value).is_finite()
    except InvalidOperation:
        return False


def check_id(key: str) -> None:
    """Refuse an Id that could never be one."""
    if not key.replace("-", "").isalnum():
        detail = f"Id should be a valid number. Supplied value:{key}"
        raise ApiError(400, "2030", "Invalid ID", detail, element="Id")
    if not key.isdecimal() and not key.isupper():
        raise not_found()


def _check_properties(entity: str, record: Payload) -> None:
    known = known_properties(entity)
    for name in record:
        if name not in known:
            raise unknown_property(entity, name, sorted(known))


def _check_name(books: Books, entity: str, record: Payload, updating: str | None) -> None:
    name = record.get(BY_NAME[entity].name_field)
    if not isinstance(name, str):
        return
    for family in PEOPLE if entity in PEOPLE else (entity,):
        table = books.table(family)
        field = BY_NAME[family].name_field
        for other in table.records.values():
            itself = family == entity and other.key == updating
            if not itself and any(str(value).casefold() == name.casefold() for value in table.values(other, field)):
                raise duplicate_name()
