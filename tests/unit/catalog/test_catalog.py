"""The catalogue: what it promises to everything that is derived from it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention

from qbo_pipeline.catalog import ENTITIES, Entity, Table, entity_named, tables
from qbo_pipeline.catalog.columns import snake_case
from qbo_pipeline.errors import UsageError
from tests.support.promised import PROMISES, promised

TABLES = pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)


@TABLES
def test_every_column_has_its_own_name_and_a_description(table: Table) -> None:
    assert len(set(table.column_names)) == len(table.column_names)
    assert table.description
    assert [column.name for column in table.columns if not column.description] == []


@TABLES
def test_names_survive_dlt_and_postgres_unchanged(table: Table) -> None:
    """dlt normalises names on its own; one that it spells differently would become a second column."""
    naming = NamingConvention(max_length=63)
    for name in (table.name, *table.column_names):
        assert naming.normalize_identifier(name) == name


@TABLES
def test_keys_are_columns_that_cannot_be_null(table: Table) -> None:
    required = {column.name for column in table.columns if not column.nullable}
    assert set(table.key) <= required
    assert table.key[0] == "realm_id"


def test_no_column_is_floating_point() -> None:
    kinds = {column.kind for table in tables() for column in table.columns}
    assert kinds == {"text", "numeric", "boolean", "date", "bigint", "timestamptz", "jsonb"}


def test_tables_of_the_old_service_keep_their_names() -> None:
    assert {"customers", "items", "estimates", "invoices"} <= {table.name for table in tables()}


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("DocNumber", "doc_number"),
        ("APAccountRef", "ap_account_ref"),
        ("V4IDPseudonym", "v4_id_pseudonym"),
        ("GSTIN", "gstin"),
        ("Vendor1099", "vendor1099"),
        ("domain", "domain"),
    ],
)
def test_quickbooks_names_become_snake_case(field: str, column: str) -> None:
    assert snake_case(field) == column


@pytest.mark.parametrize("word", ["Invoice", "invoice", "invoices", "INVOICES", " Invoice "])
def test_an_entity_is_found_by_any_of_its_names(word: str) -> None:
    assert entity_named(word).name == "Invoice"


def test_compound_names_are_found_too() -> None:
    assert entity_named("journal entries").name == entity_named("journal_entry").name == "JournalEntry"


def test_an_unknown_entity_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no entity 'Invioce'.*Invoice"):
        entity_named("Invioce")


@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_word_names_no_entity(word: str) -> None:
    with pytest.raises(UsageError):
        entity_named(word)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_every_field_seen_in_real_payloads_is_in_the_catalogue(entity: Entity, samples: Path) -> None:
    """Stands guard over forgotten fields: they would silently move into ``extra``."""
    known = {field.encode_name for field in msgspec.structs.fields(entity.record)}
    assert _seen_fields(samples)[entity.json_key] - {"time"} <= known  # the envelope's, inside two documented records


def _seen_fields(samples: Path) -> dict[str, set[str]]:
    entities = json.loads((samples.parent / "qbo-fields.json").read_text())["entities"]
    return {name: {field for field, (_, times) in each["fields"].items() if times} for name, each in entities.items()}


def test_a_template_has_every_field_of_the_transactions_it_can_make(samples: Path) -> None:
    """A wrapped invoice has an invoice's fields; without them every template would look like schema drift."""
    known = {field.encode_name for field in msgspec.structs.fields(entity_named("RecurringTransaction").record)}
    kinds = ["Invoice", "Estimate", "SalesReceipt", "CreditMemo", "RefundReceipt", "PurchaseOrder", "Bill"]
    for kind in [*kinds, "VendorCredit", "Purchase", "JournalEntry", "Deposit", "Transfer"]:
        assert _seen_fields(samples)[kind] <= known, kind
        assert set(entity_named(kind).record.__struct_fields__) <= known, kind
    inside = {"recurring_info_name", "recurring_info_recur_type", "recurring_info_active"}
    assert inside | {"txn_type", "recurring_info_schedule_info", "line"} <= set(
        entity_named("RecurringTransaction").table.column_names
    )


def test_columns_are_as_promised() -> None:
    """Deleting or retyping a column breaks somebody's query: it is a written migration, never an edit of a class.

    When a column is added, write the promise down: python -m tests.support.promised
    """
    assert promised() == PROMISES.read_text()


def test_what_changes_at_every_read_is_a_field() -> None:
    for entity in ENTITIES:
        assert set(entity.volatile) <= set(entity.record.__struct_fields__)
    assert entity_named("Attachable").volatile


def test_a_natural_key_is_made_of_its_parts() -> None:
    rates = entity_named("ExchangeRate")
    assert rates.table.key == ("realm_id", "source_currency_code", "target_currency_code", "as_of_date")
    assert rates.key_of("EUR-USD-2026-11-23") == ("EUR", "USD", "2026-11-23")
    assert entity_named("TaxClassification").key_of("EUC-01010101-V1-00100000") == ("EUC-01010101-V1-00100000",)


@pytest.mark.parametrize("word", ["EUR", "EUR-USD-", "-USD-2026-11-23", "EUR-USD-2026-13-01", "EUR-USD-soon"])
def test_what_names_no_rate_is_refused_with_how_to_name_one(word: str) -> None:
    with pytest.raises(UsageError, match="SourceCurrencyCode-TargetCurrencyCode-AsOfDate"):
        entity_named("ExchangeRate").key_of(word)
