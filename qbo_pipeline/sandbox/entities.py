"""The catalogue of entities: what can be queried, filtered, sorted, captured, deleted and voided.

One row per entity. Filterable and sortable properties follow the per-entity pages of Intuit's API Explorer; a star
marks a property that may also be sorted by. ``MetaData.CreateTime`` and ``MetaData.LastUpdatedTime`` are both on every
entity. Where the pages carry no markers (Deposit, Transfer, Account, Purchase) the row holds what third parties saw
working.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

TIMES = ("MetaData.CreateTime", "MetaData.LastUpdatedTime")


@dataclass(frozen=True, slots=True)
class Entity:
    """One QuickBooks entity and how the API treats it."""

    name: str
    kind: Literal["company", "list", "transaction"]
    properties: str = "Id*"
    family: str = ""  # which Id sequence it draws from
    path: str = ""
    query: bool = True
    cdc: bool = True
    has_active: bool = False
    name_field: str = ""  # the property a deactivation marks and a default order sorts by
    void: Literal["", "operation", "update"] = ""  # Intuit: invoice and payment void; the rest by update+include
    delete: Literal["hard", "soft", ""] = "hard"
    aliases: tuple[str, ...] = ()
    key: tuple[str, ...] = ("Id",)  # the members that say which record it is
    needs: str = ""  # a property every statement must name (Intuit: ExchangeRate)
    stamped: bool = True  # carries Id, SyncToken, MetaData and domain like everything else
    filterable: frozenset[str] = field(init=False)
    sortable: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        words = self.properties.split()
        object.__setattr__(self, "filterable", frozenset(TIMES).union(word.rstrip("*") for word in words))
        object.__setattr__(self, "sortable", frozenset(TIMES).union(w[:-1] for w in words if w.endswith("*")))
        object.__setattr__(self, "path", self.path or self.name.lower())
        object.__setattr__(self, "family", self.family or ("Transaction" if self.kind == "transaction" else self.name))


def _named(name: str, properties: str, name_field: str = "Name", **more: object) -> Entity:
    facts: dict[str, object] = {"has_active": True, "delete": "soft"} | more
    return Entity(name, "list", properties, name_field=name_field, **facts)  # type: ignore[arg-type]


def _txn(name: str, properties: str, **more: object) -> Entity:
    return Entity(name, "transaction", properties, **more)  # type: ignore[arg-type]


_PERSON = "Id* DisplayName* GivenName* MiddleName* FamilyName* PrintOnCheckName* Active*"

ENTITIES: tuple[Entity, ...] = (
    Entity("CompanyInfo", "company", delete=""),
    Entity("Preferences", "company", "", delete=""),
    _named(
        "Account",
        "Id* Name* AccountType* AccountSubType Classification Active FullyQualifiedName SubAccount CurrentBalance* "
        "Description",
    ),
    Entity(
        "Attachable",
        "list",
        "Id* FileName* Note* Category* ContentType* PlaceName* Long* Lat* Tag* Size* AttachableRef.EntityRef.Type "
        "AttachableRef.EntityRef.value",
        family="Long",
    ),
    _named("Budget", "Id* Name* BudgetType* Active"),
    _named("Class", "Id* Name* Active* FullyQualifiedName*", family="Long"),
    _named("CompanyCurrency", "Id* Name* Code Active*"),
    _named(
        "Customer",
        f"{_PERSON} CompanyName* FullyQualifiedName PrimaryEmailAddr Balance* Job ParentRef",
        "DisplayName",
        family="Name",
    ),
    _named("CustomerType", "Id* Name* Active*", delete="", family="Long"),
    _named("Department", "Id* Name* Active* FullyQualifiedName* SubDepartment*"),
    _named("Employee", f"{_PERSON} Suffix*", "DisplayName", family="Name"),
    Entity(
        "ExchangeRate",
        "list",
        "AsOfDate SourceCurrencyCode TargetCurrencyCode",
        delete="",
        key=("SourceCurrencyCode", "TargetCurrencyCode", "AsOfDate"),
        needs="SourceCurrencyCode",
    ),
    _named("Item", "Id* Name* Type* Active Taxable FullyQualifiedName SubItem ParentRef"),
    _named("JournalCode", "Id* Name* Type", cdc=False),
    _named("PaymentMethod", "Id* Name* Type Active*"),
    Entity("TaxAgency", "list", "Id* DisplayName", name_field="DisplayName", cdc=False, delete=""),
    _named("TaxCode", "Id* Name* Description* Active", cdc=False, delete=""),
    _named("TaxRate", "Id* Name* AgencyRef* TaxReturnLineRef* Active* Description*", cdc=False, delete=""),
    Entity(
        "TaxClassification",
        "list",
        query=False,
        cdc=False,
        name_field="name",
        delete="",
        key=("id",),
        stamped=False,
    ),
    _named("Term", "Id* Name* Active*"),
    _named("Vendor", f"{_PERSON} CompanyName* Balance*", "DisplayName", family="Name"),
    _txn("Bill", "Id* VendorRef* TxnDate* APAccountRef* SalesTermRef* TotalAmt* DueDate* DocNumber* Balance"),
    _txn(
        "BillPayment",
        "Id* VendorRef* TotalAmt* DocNumber* TxnDate* APAccountRef* CheckPayment* CreditCardPayment*",
        void="update",
    ),
    _txn(
        "CreditCardPaymentTxn",
        "Id* TxnDate* VendorRef",
        path="creditcardpayment",
        aliases=("CreditCardPayment",),
    ),
    _txn("CreditMemo", "Id* TxnDate* DocNumber* Balance* CustomerRef ProjectRef SalesTermRef"),
    _txn("Deposit", "Id* TxnDate* DocNumber*"),
    _txn("Estimate", "Id* TxnDate* DueDate* DocNumber* CustomerRef ProjectRef"),
    _txn("InventoryAdjustment", "Id* TxnDate* DocNumber*"),
    _txn("Invoice", "Id* TxnDate* DocNumber* DueDate* Balance* CustomerRef SalesTermRef ProjectRef", void="operation"),
    _txn("JournalEntry", "Id* DocNumber* TxnDate*"),
    _txn("Payment", "Id* TxnDate* TotalAmt CustomerRef PaymentMethodRef PaymentRefNum", void="operation"),
    _txn("Purchase", "Id* TxnDate* TotalAmt PaymentType AccountRef DocNumber*"),
    _txn("PurchaseOrder", "Id* TxnDate* DueDate* DocNumber*"),
    _txn("RecurringTransaction", "Id* RecurDataRef* Type", family="RecurringTransaction"),
    _txn(
        "RefundReceipt",
        "Id* TxnDate* DocNumber* CheckPayment* CreditCardPayment* PaymentType* Balance* CustomerRef ProjectRef",
    ),
    _txn("ReimburseCharge", "Id* CustomerRef HasBeenInvoiced", delete=""),
    _txn("SalesReceipt", "Id* TxnDate* DocNumber* Balance* CustomerRef ProjectRef TotalAmt", void="update"),
    _txn("TaxPayment", "Id*", delete=""),
    _txn("TimeActivity", "Id* TxnDate* ProjectRef BillableStatus"),
    _txn("Transfer", "Id* TxnDate*"),
    _txn("VendorCredit", "Id* DocNumber* TxnDate* TotalAmt* APAccountRef* Balance*"),
)

# Properties the pages mark as sortable but not filterable.
SORT_ONLY = {"Item": {"UnitPrice", "PurchaseCost"}, "TaxAgency": {"DisplayName"}, "VendorCredit": {"Balance"}}

BY_NAME = {entity.name: entity for entity in ENTITIES}
_BY_WORD = {word.lower(): entity for entity in ENTITIES for word in (entity.name, entity.path, *entity.aliases)}


def find(word: str) -> Entity | None:
    """Find an entity by any spelling the API accepts; case does not matter (Intuit: data queries)."""
    return _BY_WORD.get(word.lower())


def canonical(entity: Entity, wanted: str) -> str | None:
    """Return a filterable property in its canonical spelling, or None."""
    return next((known for known in entity.filterable if known.lower() == wanted.lower()), None)


def canonical_sort(entity: Entity, wanted: str) -> str | None:
    """Return a sortable property in its canonical spelling, or None."""
    sortable = entity.sortable | SORT_ONLY.get(entity.name, set())
    return next((known for known in sortable if known.lower() == wanted.lower()), None)
