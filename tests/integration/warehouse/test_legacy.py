"""A database of the old service becomes ours: its tables go aside whole, and everything that hangs on them works."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, entity_named, tables
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.settings import Settings
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.warehouse import migrate
from qbo_pipeline.warehouse.engine import open_engine
from qbo_pipeline.warehouse.entity_tables import ensure_tables
from qbo_pipeline.warehouse.migrate import upgrade
from tests.integration.warehouse.old_service import COUNTS, SEED, count, everything, rows, run
from tests.support.scripted import ScriptedReader, invoice


@pytest.fixture
def old(empty_database_url: str) -> Iterator[sa.Engine]:
    """The old service's database, as it left it."""
    engine = open_engine(empty_database_url, pool_size=6)
    run(engine, SEED)
    yield engine
    engine.dispose()


def test_its_tables_move_aside_with_every_row(old: sa.Engine) -> None:
    before = {table: rows(old, f"SELECT t::text FROM quickbooks.{table} t ORDER BY 1") for table in COUNTS}
    assert {table: len(found) for table, found in before.items()} == COUNTS
    report = upgrade(old, adopt=True)
    after = {table: rows(old, f"SELECT t::text FROM quickbooks_legacy.{table} t ORDER BY 1") for table in COUNTS}
    assert after == before
    assert {table: count(old, f"quickbooks.{table}") for table in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert "nothing is dropped" in report[0]
    for sentence in (
        "Moved quickbooks.customers (40 rows) to quickbooks_legacy.customers.",
        "Moved quickbooks.estimates (0 rows) to quickbooks_legacy.estimates.",
        "Moved quickbooks.invoices (100 rows) to quickbooks_legacy.invoices.",
        "Moved quickbooks.items (12 rows) to quickbooks_legacy.items.",
    ):
        assert sentence in report
    assert [name for name in report if name.startswith("Moved quickbooks.")] == report[1:5]


def test_companies_and_tokens_stay_and_are_mended(old: sa.Engine) -> None:
    upgrade(old, adopt=True)
    assert rows(old, "SELECT id, name FROM quickbooks.companies ORDER BY 1") == [
        ("c1", "Craig's Landscaping"),
        ("c2", "Ed's Diner"),
    ]
    assert rows(old, "SELECT realm_id, access_token FROM quickbooks.tokens ORDER BY 1") == [
        ("9130", "a2"),
        ("9140", "a3"),
    ]
    assert rows(old, "SELECT token_id FROM quickbooks.tokens_archive") == [(1,)]
    assert rows(old, "SELECT realm_id, partition_key FROM quickbooks.connections ORDER BY 1") == [
        ("9130", "craigs-landscaping-9130"),
        ("9140", "eds-diner-9140"),
    ]


def test_what_hangs_on_its_tables_works_as_before(old: sa.Engine) -> None:
    view = rows(old, "SELECT * FROM quickbooks.open_invoices ORDER BY total_amt")
    upgrade(old, adopt=True)
    assert rows(old, "SELECT * FROM quickbooks.open_invoices ORDER BY total_amt") == view
    run(old, "INSERT INTO quickbooks_legacy.invoices (id, company_id, customer_id) VALUES ('101', 'c1', '1')")
    assert rows(old, "SELECT max(row_id) FROM quickbooks_legacy.invoices") == [(101,)]
    run(old, "UPDATE quickbooks_legacy.invoices SET doc_number = 'x' WHERE id = '7'")
    assert rows(old, "SELECT last_updated::date::text FROM quickbooks_legacy.invoices WHERE id = '7'") == [
        ("2026-05-05",)
    ]
    for forbidden, constraint in (
        (
            "INSERT INTO quickbooks_legacy.invoices (id, company_id, customer_id) VALUES ('1', 'c1', '1')",
            "company_id_id_key",
        ),
        (
            "INSERT INTO quickbooks_legacy.invoices (id, company_id, customer_id) VALUES ('x', 'c1', 'nobody')",
            "customer_id_fk",
        ),
        ("INSERT INTO quickbooks_legacy.customers (id, company_id, display_name) VALUES ('x', 'c1', '')", "check"),
        (
            "INSERT INTO quickbooks_legacy.customers (id, company_id, display_name) VALUES ('x', 'c9', 'X')",
            "company_id_fk",
        ),
        ("INSERT INTO quickbooks.invoice_reminders VALUES (999)", "invoice_fk"),
    ):
        with pytest.raises(sa.exc.IntegrityError, match=constraint):
            run(old, forbidden)
    assert ("quickbooks_legacy", "idx_customers_name") in rows(old, "SELECT schemaname, indexname FROM pg_indexes")
    assert rows(old, "SELECT nextval('quickbooks.sync_number')") == [(1,)]


def test_the_next_sync_loads_the_books_beside_them(old: sa.Engine) -> None:
    upgrade(old, adopt=True)
    customer = {"Id": "1", "SyncToken": "0", "DisplayName": "Amy", "Balance": 1}
    reader = ScriptedReader({"Invoice": [[invoice("1", 10, 20)]], "Customer": [[customer]]})
    outcome = sync_company("9130", engine=old, reader=reader)
    assert outcome.failed == []
    assert rows(old, "SELECT id, total_amt FROM quickbooks.invoices") == [("1", Decimal(30))]
    assert (count(old, "quickbooks.invoice_lines"), count(old, "quickbooks.customers")) == (2, 1)
    assert {table: count(old, f"quickbooks_legacy.{table}") for table in COUNTS} == COUNTS


def test_a_second_run_changes_nothing(old: sa.Engine) -> None:
    upgrade(old, adopt=True)
    before = everything(old)
    assert upgrade(old, adopt=True) == []
    assert everything(old) == before


def test_a_dry_run_says_what_a_real_one_does_and_changes_nothing(old: sa.Engine) -> None:
    before = everything(old)
    would = upgrade(old, adopt=True, dry_run=True)
    assert everything(old) == before
    assert upgrade(old, adopt=True) == would
    assert everything(old) != before
    assert upgrade(old, adopt=True, dry_run=True) == []


def test_a_dry_run_on_a_new_database_leaves_it_empty(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    before = everything(engine)
    would = upgrade(engine, dry_run=True)
    assert everything(engine) == before
    (created,) = (sentence for sentence in would if "of the books" in sentence)
    assert [name for table in tables() for name in [table.name] if name not in created] == []
    assert upgrade(engine) == would
    engine.dispose()


def test_four_at_once_move_them_once(old: sa.Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: upgrade(old, adopt=True), range(4)))
    assert sorted(bool(report) for report in reports) == [False, False, False, True]
    assert {table: count(old, f"quickbooks_legacy.{table}") for table in COUNTS} == COUNTS


def test_only_a_person_who_asks_for_it_has_them_moved(old: sa.Engine, tmp_path: Path) -> None:
    """Guards a running service: 'qbo up' and 'qbo demo' upgrade too, and would pull its tables from under it."""
    before = everything(old)
    url = old.url.render_as_string(hide_password=False)
    with pytest.raises(WarehouseError, match=r"customers, estimates, invoices, items\. 'qbo db upgrade' moves them"):
        Books(Settings(database_url=url, state_dir=tmp_path)).upgrade()
    with pytest.raises(WarehouseError, match="'qbo db upgrade' moves them"):
        ensure_tables(old)
    assert everything(old) == before


@pytest.mark.parametrize(
    ("obstacle", "sentence"),
    [
        ("CREATE SEQUENCE quickbooks.vendors", 'stays as it was: relation "vendors" already exists'),
        ("CREATE TABLE quickbooks.sync_runs (x int)", 'stays as it was: relation "sync_runs" already exists'),
        ("DROP TABLE quickbooks.companies CASCADE; CREATE TABLE quickbooks.companies (x int)", "has no column id"),
        ("CREATE SCHEMA quickbooks_legacy; CREATE TYPE quickbooks_legacy.items AS ENUM ('x')", "stays as it was: type"),
    ],
)
def test_a_failure_in_the_middle_leaves_the_database_as_it_was(old: sa.Engine, obstacle: str, sentence: str) -> None:
    run(old, obstacle)
    before = everything(old)
    with pytest.raises(WarehouseError, match=sentence):
        upgrade(old, adopt=True)
    assert everything(old) == before


def test_a_process_that_dies_at_the_very_end_leaves_the_database_as_it_was(
    old: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(old)

    def die(connection: sa.Connection) -> list[object]:
        me = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        rows(old, f"SELECT pg_terminate_backend({me})")
        return list(connection.execute(sa.text("SELECT 1")))

    monkeypatch.setattr(migrate, "adopt_tokens", die)
    with pytest.raises(WarehouseError, match="stays as it was"):
        upgrade(old, adopt=True)
    assert everything(old) == before


def test_a_second_adoption_overwrites_nothing(old: sa.Engine) -> None:
    """Indexes and sequences have names in the schema as well, and their namesakes are there already."""
    upgrade(old, adopt=True)
    first = {table: rows(old, f"SELECT t::text FROM quickbooks_legacy.{table} t ORDER BY 1") for table in COUNTS}
    run(old, "DROP TABLE quickbooks.invoices, quickbooks.customers CASCADE")
    run(
        old,
        "CREATE TABLE quickbooks.customers (id int PRIMARY KEY, name text);"
        "CREATE INDEX idx_customers_name ON quickbooks.customers (name);"
        "CREATE TABLE quickbooks.invoices (row_id serial PRIMARY KEY, note text);"
        "INSERT INTO quickbooks.invoices (note) VALUES ('100% new')",
    )
    report = upgrade(old, adopt=True)
    assert "Moved quickbooks.invoices (1 row) to quickbooks_legacy.invoices_2." in report
    assert "Moved quickbooks.customers (0 rows) to quickbooks_legacy.customers_2." in report
    for table, found in first.items():
        assert rows(old, f"SELECT t::text FROM quickbooks_legacy.{table} t ORDER BY 1") == found
    run(old, "INSERT INTO quickbooks_legacy.invoices_2 (note) VALUES ('next')")
    assert rows(old, "SELECT * FROM quickbooks_legacy.invoices_2 ORDER BY 1") == [(1, "100% new"), (2, "next")]
    assert upgrade(old, adopt=True) == []


def test_a_view_under_a_name_of_ours_moves_too(old: sa.Engine) -> None:
    run(old, "CREATE VIEW quickbooks.vendors AS SELECT id, name FROM quickbooks.items")
    assert "Moved the view quickbooks.vendors to quickbooks_legacy.vendors." in upgrade(old, adopt=True)
    assert count(old, "quickbooks_legacy.vendors") == COUNTS["items"]


def test_tables_of_ours_are_never_taken_for_strangers(engine: sa.Engine) -> None:
    """Not even one that lost its key: moved aside it would be empty, and the cursor would not read it again."""
    sync_company("9130", engine=engine, reader=ScriptedReader({"Invoice": [[invoice("1", 5)]]}), entities=ENTITIES)
    run(engine, "ALTER TABLE quickbooks.invoices DROP CONSTRAINT invoices_pkey; ALTER TABLE quickbooks.bills ADD x int")
    with pytest.raises(WarehouseError, match=r"the key of quickbooks\.invoices is \(\), not \(realm_id, id\)"):
        upgrade(engine, adopt=True)
    run(engine, "ALTER TABLE quickbooks.invoices ADD PRIMARY KEY (realm_id, id)")
    assert upgrade(engine, adopt=True) == []
    assert count(engine, "quickbooks.invoices") == 1
    assert entity_named("bills").table_name == "bills"
