"""A catalogue that changes under tables full of rows: what appears by itself, what is refused, what is a migration."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Annotated, Any

import pytest
import sqlalchemy as sa

from qbo_pipeline import catalog
from qbo_pipeline.catalog import Entity, entity_named, taxes
from qbo_pipeline.catalog.columns import columns_of
from qbo_pipeline.catalog.fields import ABSENT, Number, Text
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.sync.render import render
from qbo_pipeline.warehouse import migrate
from qbo_pipeline.warehouse.entity_rows import stored_record
from qbo_pipeline.warehouse.entity_tables import ensure_tables
from qbo_pipeline.warehouse.migrate import upgrade
from tests.integration.warehouse.old_service import count, rows, run
from tests.support.scripted import ScriptedReader

AGENCY = entity_named("TaxAgency")
TABLE = "quickbooks.tax_agencies"


def with_record(record: type[Any]) -> Entity:
    record.__name__ = AGENCY.name
    return dataclasses.replace(AGENCY, record=record)


class Wider(taxes.TaxAgency, kw_only=True):
    """Authorities taxes are paid to, and their moods."""

    Mood: Annotated[Text, "how they're feeling, 100% of the time"] = None


class Renamed(taxes.TaxAgency, kw_only=True):
    """Authorities taxes are paid to, and their tempers."""

    Temper: Annotated[Text, "how they are feeling"] = None


class Retyped(taxes.TaxAgency, kw_only=True):
    """Authorities taxes are paid to, and their moods by number."""

    Mood: Annotated[Number, "how they are feeling, from 0 to 10"] = ABSENT


WIDER, RENAMED, RETYPED = with_record(Wider), with_record(Renamed), with_record(Retyped)


def put(monkeypatch: pytest.MonkeyPatch, entity: Entity) -> None:
    """Put ``entity`` into the catalogue."""
    entities = tuple(entity if each.name == AGENCY.name else each for each in catalog.ENTITIES)
    monkeypatch.setattr(catalog, "ENTITIES", entities)


def sync(engine: sa.Engine, entity: Entity, *payloads: dict[str, Any], realm: str = "9130") -> None:
    outcome = sync_company(realm, engine=engine, reader=ScriptedReader({entity.name: [payloads]}), entities=(entity,))
    assert [each.error for each in outcome.failed] == []


def agency(record_id: str, **more: Any) -> dict[str, Any]:
    return {"Id": record_id, "SyncToken": "0", "DisplayName": f"Agency {record_id}", **more}


def shown(engine: sa.Engine, entity: Entity, record_id: str) -> dict[str, Any]:
    found = stored_record(engine, entity, "9130", record_id)
    assert found is not None
    return render(entity, *found)


def columns(engine: sa.Engine, schema: str = "quickbooks") -> dict[str, str]:
    return {
        str(name): str(kind)
        for name, kind in rows(
            engine,
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{schema}' AND table_name = 'tax_agencies'",
        )
    }


def comment(engine: sa.Engine, column: str) -> str:
    return str(
        rows(
            engine,
            f"SELECT col_description('{TABLE}'::regclass, attnum) FROM pg_attribute "
            f"WHERE attrelid = '{TABLE}'::regclass AND attname = '{column}'",
        )[0][0]
    )


def written(engine: sa.Engine) -> object:
    """Return what changes when Postgres rewrites a table, or only touches a row."""
    return rows(
        engine, f"SELECT pg_relation_filenode('{TABLE}'), t.ctid::text, t.xmin::text FROM {TABLE} t ORDER BY id"
    )


@pytest.mark.parametrize("way", ["upgrade", "sync"])
def test_a_new_column_appears_described_and_without_rewriting_a_row(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    sync(engine, AGENCY, agency("1"), agency("2"))
    before = written(engine)
    put(monkeypatch, WIDER)
    if way == "upgrade":
        said = upgrade(engine)
        assert "Added the column quickbooks.tax_agencies.mood (text)." in said
        assert upgrade(engine) == []
    else:
        sync(engine, WIDER)
    assert written(engine) == before
    assert comment(engine, "mood") == "how they're feeling, 100% of the time"
    sync(engine, WIDER, agency("2", Mood="sunny"), agency("3", Mood="grim"))
    assert rows(engine, f"SELECT id, mood FROM {TABLE} ORDER BY id") == [("1", None), ("2", "sunny"), ("3", "grim")]
    assert shown(engine, WIDER, "3") == agency("3", Mood="grim")
    assert set(columns(engine)) == set(WIDER.table.column_names)


def test_an_unchanged_catalogue_costs_one_query(engine: sa.Engine) -> None:
    ensure_tables(engine)
    asked: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert ensure_tables(engine) == []
    assert len(asked) == 1


def test_a_changed_description_is_written_by_an_upgrade_only(engine: sa.Engine) -> None:
    """By a sync, hourly, it would undo what the user writes there."""
    run(engine, f"COMMENT ON COLUMN {TABLE}.display_name IS 'mine'; COMMENT ON TABLE {TABLE} IS 'mine'")
    sync(engine, WIDER)  # has a column to add, and describes no other
    assert comment(engine, "display_name") == "mine"
    assert upgrade(engine) == ["Described quickbooks.tax_agencies anew."]
    assert comment(engine, "display_name") == "name"
    assert rows(engine, f"SELECT obj_description('{TABLE}'::regclass)") == [(AGENCY.table.description,)]


def test_a_column_of_another_type_is_refused_before_anything_is_loaded(engine: sa.Engine) -> None:
    sync(engine, AGENCY, agency("1"))
    run(engine, f"ALTER TABLE {TABLE} ALTER COLUMN display_name TYPE jsonb USING to_jsonb(display_name)")
    reader = ScriptedReader({AGENCY.name: [[agency("2")]]})
    with pytest.raises(WarehouseError) as refused:
        sync_company("9130", engine=engine, reader=reader, entities=(AGENCY,))
    for part in (
        "quickbooks.tax_agencies.display_name is of type jsonb, not text",
        "written migration: run 'qbo db upgrade'",
        'ALTER TABLE "quickbooks"."tax_agencies" ALTER COLUMN "display_name" TYPE text USING "display_name"::text;',
    ):
        assert part in str(refused.value)
    assert reader.asked == []
    assert count(engine, TABLE) == 1
    with pytest.raises(WarehouseError, match="is of type jsonb, not text"):
        upgrade(engine)


def test_a_type_that_only_looks_the_same_is_another(engine: sa.Engine) -> None:
    run(engine, "ALTER TABLE quickbooks.invoices ALTER total_amt TYPE numeric(10,2), ALTER synced_at TYPE timestamp")
    with pytest.raises(WarehouseError, match=r"total_amt is of type numeric\(10,2\), not numeric; .*without time zone"):
        ensure_tables(engine)


def test_every_kind_of_column_is_recognised_again(engine: sa.Engine) -> None:
    kinds = {column.kind for table in catalog.tables() for column in table.columns}
    assert kinds == {"text", "numeric", "boolean", "date", "bigint", "timestamptz", "jsonb"}
    assert ensure_tables(engine) == []
    assert [column.name for column in columns_of(Wider)][-1] == "mood"


MIGRATION = """
from alembic import op
from qbo_pipeline.warehouse.migrations.columns import rename_column, retype_column
revision, down_revision, branch_labels, depends_on = "9001", "{head}", None, None
def upgrade() -> None:
    {step}
"""


@pytest.fixture
def migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``migration(step)`` adds a written migration to those there are."""

    def write(step: str) -> None:
        head = migrate.head_revision()
        shutil.copytree(migrate.MIGRATIONS, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(migrate, "MIGRATIONS", tmp_path / "migrations")
        text = MIGRATION.format(head=head, step=step)
        (tmp_path / "migrations" / "versions" / "r9001_step.py").write_text(text)

    return write


def test_a_renamed_column_keeps_its_values(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, migration: Any) -> None:
    """dlt remembers every column it has seen, and would add the old one again: the migration makes it forget."""
    for realm in ("9130", "9140"):
        sync(engine, WIDER, agency("1", Mood="sunny"), realm=realm)
    before = written(engine)
    put(monkeypatch, RENAMED)
    migration('rename_column(op.get_bind(), "tax_agencies", "mood", "temper")')
    upgrade(engine)
    assert written(engine) == before
    assert comment(engine, "temper") == "how they are feeling"
    for realm in ("9130", "9140"):
        sync(engine, RENAMED, agency("2", Temper="grim"), realm=realm)
    assert rows(engine, f"SELECT DISTINCT id, temper FROM {TABLE} ORDER BY id") == [("1", "sunny"), ("2", "grim")]
    assert set(columns(engine)) == set(RENAMED.table.column_names)
    assert upgrade(engine) == []


def test_a_retyped_column_keeps_its_values(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, migration: Any) -> None:
    sync(engine, WIDER, agency("1", Mood="7"))
    put(monkeypatch, RETYPED)
    with pytest.raises(WarehouseError, match="mood is of type text, not numeric"):
        sync_company("9130", engine=engine, reader=ScriptedReader(), entities=(RETYPED,))
    migration('retype_column(op.get_bind(), "tax_agencies", "mood", "numeric")')
    upgrade(engine)
    sync(engine, RETYPED, agency("2", Mood=9.5))
    assert rows(engine, f"SELECT id, mood::text FROM {TABLE} ORDER BY id") == [("1", "7"), ("2", "9.5")]
    assert columns(engine, "quickbooks_staging_9130")["mood"] == "numeric"


def test_a_migration_keeps_the_cursor(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, migration: Any) -> None:
    sync(engine, WIDER, agency("1", Mood="sunny"))
    put(monkeypatch, RENAMED)
    migration('rename_column(op.get_bind(), "tax_agencies", "mood", "temper")')
    upgrade(engine)
    reader = ScriptedReader()
    sync_company("9130", engine=engine, reader=reader, entities=(RENAMED,))
    assert [since is not None for _, since in reader.asked] == [True]


def test_a_migration_passes_over_a_new_database(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, migration: Any
) -> None:
    from qbo_pipeline.warehouse.engine import open_engine

    put(monkeypatch, RENAMED)
    migration('rename_column(op.get_bind(), "tax_agencies", "mood", "temper")')
    engine = open_engine(empty_database_url)
    upgrade(engine)
    assert set(columns(engine)) == set(RENAMED.table.column_names)
    engine.dispose()


def test_a_migration_leaves_another_programs_table_as_it_was(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, migration: Any
) -> None:
    """What is not ours has to be out of the way before a migration of ours looks for its table by name."""
    run(engine, f"DROP TABLE {TABLE} CASCADE; CREATE TABLE {TABLE} (id int PRIMARY KEY, mood text)")
    put(monkeypatch, RENAMED)
    migration('rename_column(op.get_bind(), "tax_agencies", "mood", "temper")')
    upgrade(engine, adopt=True)
    assert columns(engine, "quickbooks_legacy") == {"id": "integer", "mood": "text"}
    assert set(columns(engine)) == set(RENAMED.table.column_names)
