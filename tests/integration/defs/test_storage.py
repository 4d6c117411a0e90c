"""Dagster's memory in Postgres: the same as ever, over connections that are kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

DAGSTER_YAML = Path(__file__).parents[3] / "dagster.yaml"


@dg.asset
def table() -> None:
    """Something to materialize."""


@pytest.fixture
def instance(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance as this project's own dagster.yaml describes it."""
    monkeypatch.setenv("DAGSTER_PG_URL", database_url)
    shutil.copy(DAGSTER_YAML, tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def engines(instance: dg.DagsterInstance) -> list[sa.Engine]:
    storages: tuple[Any, ...] = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    return [storage._engine for storage in storages]


def test_a_run_is_remembered_over_a_handful_of_connections(instance: dg.DagsterInstance) -> None:
    opened: list[object] = []
    for engine in engines(instance):
        sa.event.listen(engine, "connect", lambda connection, _: opened.append(connection))
    results = [dg.materialize([table], instance=instance) for _ in range(3)]
    assert all(result.success for result in results)
    assert len(instance.get_run_records()) == 3
    event = instance.get_latest_materialization_event(dg.AssetKey("table"))
    assert event is not None
    assert event.run_id == results[-1].run_id
    assert 0 < len(opened) <= 8, "dagster-postgres itself opens a hundred"


def test_connections_that_were_cut_are_made_anew(instance: dg.DagsterInstance, database_url: str) -> None:
    """Neon ends idle ones; a restart of Postgres ends all."""
    dg.materialize([table], instance=instance)
    engine = sa.create_engine(database_url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        cut = connection.execute(
            sa.text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).scalar_one()
    engine.dispose()
    assert cut >= 1
    assert dg.materialize([table], instance=instance).success
    assert len(instance.get_run_records()) == 2
