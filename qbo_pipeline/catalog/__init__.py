"""What we sync: every QuickBooks entity, in the order an accountant would list them.

``ENTITIES`` is the table everything else loops over: Postgres tables, dlt resources, Dagster assets, docs and tests. A
fact about how QuickBooks treats an entity is a column of this table, never an ``if entity.name == ...`` elsewhere.
"""

from __future__ import annotations

from datetime import timedelta

from qbo_pipeline.catalog import accounting, company, people, purchases, sales, taxes, templates
from qbo_pipeline.catalog.entities import Entity, Group, Table
from qbo_pipeline.errors import UsageError

__all__ = ["ENTITIES", "GROUPS", "NOTIFIED", "SCHEMA", "Entity", "Group", "Table", "entity_named", "tables"]

#: The Postgres schema the books live in.
SCHEMA = "quickbooks"

_DAILY = timedelta(days=1)

ENTITIES: tuple[Entity, ...] = (
    Entity(company.CompanyInfo, "company_info", "company", singleton=True),
    Entity(company.Preferences, "preferences", "company", singleton=True),
    Entity(company.Attachable, "attachables", "company", volatile=("TempDownloadUri", "ThumbnailTempDownloadUri")),
    Entity(sales.Customer, "customers", "sales", active=True),
    Entity(sales.CustomerType, "customer_types", "sales", active=True),
    Entity(sales.Item, "items", "sales", active=True),
    Entity(sales.Estimate, "estimates", "sales", singular="estimate", adds_up=True),
    Entity(sales.Invoice, "invoices", "sales", singular="invoice", adds_up=True),
    Entity(sales.SalesReceipt, "sales_receipts", "sales", singular="sales_receipt", adds_up=True),
    Entity(sales.Payment, "payments", "sales", singular="payment"),
    Entity(sales.CreditMemo, "credit_memos", "sales", singular="credit_memo", adds_up=True),
    Entity(sales.RefundReceipt, "refund_receipts", "sales", singular="refund_receipt", adds_up=True),
    Entity(sales.ReimburseCharge, "reimburse_charges", "sales", singular="reimburse_charge"),
    Entity(sales.PaymentMethod, "payment_methods", "sales", active=True),
    Entity(sales.Term, "terms", "sales", active=True),
    Entity(purchases.Vendor, "vendors", "purchases", active=True),
    Entity(purchases.PurchaseOrder, "purchase_orders", "purchases", singular="purchase_order", adds_up=True),
    Entity(purchases.Bill, "bills", "purchases", singular="bill", adds_up=True),
    Entity(purchases.BillPayment, "bill_payments", "purchases", singular="bill_payment"),
    Entity(purchases.VendorCredit, "vendor_credits", "purchases", singular="vendor_credit", adds_up=True),
    Entity(purchases.Purchase, "purchases", "purchases", singular="purchase", adds_up=True),
    Entity(purchases.CreditCardPayment, "credit_card_payments", "purchases", answers_as="CreditCardPaymentTxn"),
    Entity(accounting.Account, "accounts", "accounting", active=True),
    Entity(accounting.JournalEntry, "journal_entries", "accounting", singular="journal_entry"),
    # Journal codes exist in France only, cannot be filtered by Active, and change data capture does not cover them.
    Entity(accounting.JournalCode, "journal_codes", "accounting", cdc=False, every=_DAILY),
    Entity(accounting.Deposit, "deposits", "accounting", singular="deposit"),
    Entity(accounting.Transfer, "transfers", "accounting"),
    Entity(accounting.InventoryAdjustment, "inventory_adjustments", "accounting", singular="inventory_adjustment"),
    Entity(accounting.Class, "classes", "accounting", active=True),
    Entity(accounting.Department, "departments", "accounting", active=True),
    Entity(accounting.CompanyCurrency, "company_currencies", "accounting", active=True, notified_as="Currency"),
    # A rate is known by its currencies and its day, and asked for currency by currency. Change data capture names the
    # deleted by Id, which a rate does not have.
    Entity(
        accounting.ExchangeRate,
        "exchange_rates",
        "accounting",
        key_fields=("SourceCurrencyCode", "TargetCurrencyCode", "AsOfDate"),
        reads="per currency",
        cdc=False,
        every=_DAILY,
    ),
    # How change data capture wraps a deleted template is documented nowhere.
    Entity(
        templates.RecurringTransaction, "recurring_transactions", "accounting", wrapped=True, cdc=False, every=_DAILY
    ),
    Entity(
        accounting.Budget, "budgets", "accounting", singular="budget", line_table_name="budget_details", active=True
    ),
    # Change data capture covers neither tax codes nor rates nor agencies.
    Entity(taxes.TaxCode, "tax_codes", "taxes", active=True, cdc=False, every=_DAILY),
    Entity(taxes.TaxRate, "tax_rates", "taxes", active=True, cdc=False, every=_DAILY),
    Entity(taxes.TaxAgency, "tax_agencies", "taxes", cdc=False, every=_DAILY),
    Entity(taxes.TaxPayment, "tax_payments", "taxes"),
    # The whole list comes every time, its records do not say when they changed, and tax law changes slowly.
    Entity(
        taxes.TaxClassification,
        "tax_classifications",
        "taxes",
        key_fields=("id",),
        reads="list",
        cdc=False,
        every=timedelta(days=7),
    ),
    Entity(people.Employee, "employees", "people", active=True),
    # Intuit's documents contradict each other about time activities and change data capture.
    Entity(people.TimeActivity, "time_activities", "people", cdc=False),
)

#: An entity's name, by each name that webhooks have for it, in small letters.
NOTIFIED: dict[str, str] = {
    name.lower(): entity.name for entity in ENTITIES for name in (entity.name, entity.notified_as) if name
}

GROUPS: dict[Group, str] = {
    "company": "The company itself",
    "sales": "What is sold, to whom, and what they owe",
    "purchases": "What is bought, from whom, and what is owed",
    "accounting": "The general ledger",
    "taxes": "Sales and purchase taxes",
    "people": "Who works here, and the time they spend",
}


def entity_named(word: str) -> Entity:
    """Return the entity a person means by ``word``: its QuickBooks name or its table, in any case.

    Raises UsageError, listing the known entities, when there is none.
    """
    wanted = word.strip().lower().replace("_", "").replace(" ", "")
    for entity in ENTITIES:
        if wanted and wanted in (
            entity.name.lower(),
            entity.table_name.replace("_", ""),
            entity.singular.replace("_", ""),
        ):
            return entity
    known = ", ".join(entity.name for entity in ENTITIES)
    raise UsageError(f"There is no entity {word!r}. Known entities: {known}.")


def tables() -> tuple[Table, ...]:
    """Return every table of the catalogue, parents before their lines."""
    return tuple(table for entity in ENTITIES for table in entity.tables)
