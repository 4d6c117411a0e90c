"""What we sync: every QuickBooks entity, in the order an accountant would list them.

``ENTITIES`` is the table everything else loops over: Postgres tables, dlt resources, Dagster assets, docs and tests. A
fact about how QuickBooks treats an entity is a column of this table, never an ``if entity.name == ...`` elsewhere.
"""

from __future__ import annotations

from qbo_pipeline.catalog.accounting import Account, JournalEntry
from qbo_pipeline.catalog.company import CompanyInfo
from qbo_pipeline.catalog.entities import Entity, Group, Table
from qbo_pipeline.catalog.purchases import Bill, Vendor
from qbo_pipeline.catalog.sales import CreditMemo, Customer, Estimate, Invoice, Item, Payment
from qbo_pipeline.catalog.taxes import TaxCode
from qbo_pipeline.errors import UsageError

__all__ = ["ENTITIES", "GROUPS", "SCHEMA", "Entity", "Group", "Table", "entity_named", "tables"]

#: The Postgres schema the books live in.
SCHEMA = "quickbooks"

ENTITIES: tuple[Entity, ...] = (
    Entity(CompanyInfo, "company_info", "company", singleton=True),
    Entity(Customer, "customers", "sales", active=True),
    Entity(Item, "items", "sales", active=True),
    Entity(Estimate, "estimates", "sales", singular="estimate"),
    Entity(Invoice, "invoices", "sales", singular="invoice"),
    Entity(Payment, "payments", "sales", singular="payment"),
    Entity(CreditMemo, "credit_memos", "sales", singular="credit_memo"),
    Entity(Vendor, "vendors", "purchases", active=True),
    Entity(Bill, "bills", "purchases", singular="bill"),
    Entity(Account, "accounts", "accounting", active=True),
    Entity(JournalEntry, "journal_entries", "accounting", singular="journal_entry"),
    # Change data capture does not cover tax codes.
    Entity(TaxCode, "tax_codes", "taxes", active=True, cdc=False),
)

GROUPS: dict[Group, str] = {
    "company": "The company itself",
    "sales": "What is sold, to whom, and what they owe",
    "purchases": "What is bought, from whom, and what is owed",
    "accounting": "The general ledger",
    "taxes": "Sales and purchase taxes",
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
