"""Migrations on a new database, on one that other programs use already, and in bad moments."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from qbo_pipeline.catalog import tables
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse import migrate
from qbo_pipeline.warehouse.engine import open_engine
from qbo_pipeline.warehouse.migrate import VERSION_TABLE, current_revision, head_revision, upgrade
from qbo_pipeline.warehouse.tables import SCHEMA, metadata

# The other program's own DDL, faults included, and a column that only it knows.
SEED = """
CREATE SCHEMA quickbooks;
CREATE TABLE quickbooks.companies (
    id varchar(50) PRIMARY KEY, name varchar(255) NOT NULL,
    created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now(), last_updated timestamp DEFAULT now()
);
CREATE TABLE quickbooks.tokens (
    id bigint PRIMARY KEY, company_id varchar(50) NOT NULL, access_token text NOT NULL, refresh_token text,
    token_type varchar(50) DEFAULT 'Bearer', scope text, expires_at timestamp, refresh_token_expires_at timestamp,
    realm_id varchar(50), base_url varchar(500), is_active boolean DEFAULT true, created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(), last_updated timestamp DEFAULT now(), note text
);
CREATE INDEX idx_tokens_realm ON quickbooks.tokens (realm_id);
CREATE INDEX idx_tokens_active ON quickbooks.tokens (is_active);
COMMENT ON TABLE quickbooks.tokens IS 'ours since 2019';
INSERT INTO quickbooks.companies (id, name) VALUES ('c1', 'Craig''s Landscaping'), ('c2', 'Dormant Ltd'), ('c3', 'Ed');
INSERT INTO quickbooks.tokens (id, company_id, access_token, refresh_token, realm_id, base_url, is_active,
                               updated_at, last_updated, expires_at, note)
VALUES
    (1, 'c1', 'a1', 'r1', '9130', 'https://quickbooks.api', true, '2026-01-01', '2026-01-01', NULL, 'old'),
    (7, 'c1', 'a7', 'r7', '9130', 'https://quickbooks.api', true, '2026-02-01', '2026-02-01', NULL, 'winner'),
    (9, 'c1', 'a9', 'r9', '9130', 'https://quickbooks.api', false, '2026-03-01', '2026-03-01', NULL, 'inactive'),
    (3, 'c1', 'a3', 'r3', '9130', NULL, NULL, NULL, NULL, NULL, 'unknown'),
    (4, 'c2', 'a4', 'r4', '9140', 'https://sandbox-quickbooks.api', false, '2026-01-01', NULL, NULL, ''),
    (5, 'c3', 'a5', 'r5', '9150', 'https://sandbox-quickbooks.api', true, '2026-01-01', NULL, '2026-01-02', ''),
    (6, 'c3', 'a6', 'r6', '9150', 'https://sandbox-quickbooks.api', true, '2026-01-01', NULL, '2026-01-03', ''),
    (20, 'c4', 'a20', 'r20', NULL, NULL, true, NULL, NULL, NULL, ''),
    (21, 'c4', 'a21', 'r21', NULL, NULL, true, NULL, NULL, NULL, '');
"""
UPSERT = """
INSERT INTO quickbooks.tokens (company_id, access_token, refresh_token, realm_id) VALUES ('c1', :access, 'r', :realm)
ON CONFLICT (realm_id) DO UPDATE SET access_token = excluded.access_token RETURNING id
"""


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[sa.Engine]:
    engine = open_engine(empty_database_url, pool_size=6)
    yield engine
    engine.dispose()


@pytest.fixture
def seeded(empty: sa.Engine) -> sa.Engine:
    with empty.begin() as connection:
        connection.exec_driver_sql(SEED)
    return empty


def rows(engine: sa.Engine, question: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(question))]


def everything(engine: sa.Engine) -> object:
    """Return what the database looks like: tables, columns, indexes, and the rows of tokens."""
    return (
        rows(engine, "SELECT table_name, column_name, column_default, is_nullable, is_identity FROM "
                     "information_schema.columns WHERE table_schema = 'quickbooks' ORDER BY 1, 2"),
        rows(engine, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'quickbooks' ORDER BY 1"),
        rows(engine, "SELECT to_jsonb(t)::text FROM quickbooks.tokens t ORDER BY id"),
    )  # fmt: skip


@pytest.mark.parametrize("start", ["empty", "seeded"])
def test_the_database_is_what_tables_py_describes(start: str, request: pytest.FixtureRequest) -> None:
    """Two descriptions of one thing drift apart unless somebody compares them."""
    engine: sa.Engine = request.getfixturevalue(start)
    upgrade(engine)

    def ours(name: str | None, kind: str, _parents: object) -> bool:
        return name == SCHEMA if kind == "schema" else name not in {VERSION_TABLE, *(table.name for table in tables())}

    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "include_name": ours,
            "compare_type": True,
            "compare_server_default": True,
            "version_table_schema": SCHEMA,
        }
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    found = [difference for difference in differences if "comment" not in str(difference) or start == "empty"]
    expected = ["note"] if start == "seeded" else []  # the other program's column stays
    assert [difference[3].name for difference in found] == expected, found


def test_a_new_database_explains_itself(empty: sa.Engine) -> None:
    upgrade(empty)
    assert current_revision(empty) == head_revision()
    question = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'quickbooks'::regnamespace AND relkind = 'r' "
        "AND obj_description(oid) IS NULL"
    )
    silent = [table for (table,) in rows(empty, question) if table != VERSION_TABLE]
    assert silent == []


def test_twice_is_once(seeded: sa.Engine) -> None:
    assert upgrade(seeded)
    before = everything(seeded)
    assert upgrade(seeded) == []
    assert everything(seeded) == before


def test_four_at_once_do_it_once(seeded: sa.Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: upgrade(seeded), range(4)))
    assert sorted(bool(report) for report in reports) == [False, False, False, True]


def test_the_newest_active_row_wins_and_the_others_are_archived_whole(seeded: sa.Engine) -> None:
    report = upgrade(seeded)
    assert rows(seeded, "SELECT id FROM quickbooks.tokens ORDER BY id") == [(4,), (6,), (7,), (20,), (21,)]
    archived = rows(seeded, "SELECT token_id, realm_id, token->>'refresh_token', token->>'note' "
                            "FROM quickbooks.tokens_archive ORDER BY token_id")  # fmt: skip
    assert archived == [
        (1, "9130", "r1", "old"),
        (3, "9130", "r3", "unknown"),
        (5, "9150", "r5", ""),
        (9, "9130", "r9", "inactive"),
    ]
    assert "Moved 4 superseded token rows of 2 companies to tokens_archive." in report


def test_other_programs_can_insert_without_an_id_and_upsert_by_realm(seeded: sa.Engine) -> None:
    upgrade(seeded)
    with seeded.begin() as connection:
        assert connection.execute(sa.text(UPSERT), {"access": "new", "realm": "9130"}).scalar_one() == 7
        assert connection.execute(sa.text(UPSERT), {"access": "new", "realm": "9999"}).scalar_one() > 21
        connection.exec_driver_sql(
            "INSERT INTO quickbooks.tokens (id, company_id, access_token) VALUES (500, 'c', 'a')"
        )
    assert rows(seeded, "SELECT access_token FROM quickbooks.tokens WHERE realm_id = '9130'") == [("new",)]


def test_active_companies_are_taken_over_with_a_readable_key(seeded: sa.Engine) -> None:
    upgrade(seeded)
    assert rows(seeded, "SELECT realm_id, environment, partition_key FROM quickbooks.connections ORDER BY 1") == [
        ("9130", "production", "craigs-landscaping-9130"),
        ("9150", "sandbox", "ed-9150"),
    ]


def test_other_peoples_comments_stay(seeded: sa.Engine) -> None:
    upgrade(seeded)
    assert rows(seeded, "SELECT obj_description('quickbooks.tokens'::regclass)") == [("ours since 2019",)]


def test_columns_and_indexes_that_are_missing_are_added(empty: sa.Engine) -> None:
    with empty.begin() as connection:
        connection.exec_driver_sql(
            "CREATE SCHEMA quickbooks; CREATE TABLE quickbooks.companies (id varchar(50));"
            "CREATE TABLE quickbooks.tokens (id bigint, realm_id varchar(50), access_token text);"
            "INSERT INTO quickbooks.companies VALUES ('c1'); INSERT INTO quickbooks.tokens VALUES (3, '9130', 'a')"
        )
    upgrade(empty)
    assert rows(empty, "SELECT company_id, is_active, token_type, updated_at FROM quickbooks.tokens") == [
        ("9130", True, "Bearer", None)
    ]
    assert rows(empty, "SELECT name FROM quickbooks.companies") == [("c1",)]


@pytest.mark.parametrize(
    ("obstacle", "sentence"),
    [
        ("CREATE TABLE quickbooks.sync_runs (x int)", "stays as it was: relation .* already exists"),
        (
            "CREATE TABLE quickbooks.audit (token_id bigint REFERENCES quickbooks.tokens ON DELETE CASCADE)",
            "quickbooks.audit refers to that table",
        ),
        ("DROP TABLE quickbooks.companies; CREATE TABLE quickbooks.companies (x int)", "has no column id"),
    ],
)
def test_a_failure_leaves_the_database_as_it_was(seeded: sa.Engine, obstacle: str, sentence: str) -> None:
    with seeded.begin() as connection:
        connection.exec_driver_sql(obstacle)
    before = everything(seeded)
    with pytest.raises(WarehouseError, match=sentence):
        upgrade(seeded)
    assert everything(seeded) == before


def test_a_failure_at_the_very_end_leaves_the_database_as_it_was(
    seeded: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(seeded)

    def fail(_connection: sa.Connection) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(migrate, "adopt_tokens", fail)
    with pytest.raises(RuntimeError, match="killed"):
        upgrade(seeded)
    assert everything(seeded) == before


def test_a_database_of_a_newer_program_is_left_alone(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {SCHEMA}.{VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(WarehouseError, match="newer version of qbo"):
        upgrade(engine)
