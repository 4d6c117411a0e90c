"""What Dagster loads: every table an asset, documented, grouped and linked to where it comes from."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from qbo_pipeline.catalog import ENTITIES, GROUPS, Entity, Table, tables
from qbo_pipeline.definitions import defs
from qbo_pipeline.defs.keys import source_key, table_key

GRAPH = defs.resolve_asset_graph()


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_every_table_is_an_asset_that_explains_itself(table: Table) -> None:
    node = GRAPH.get(table_key(table))
    assert node.description == table.description
    assert node.group_name in GROUPS
    assert node.metadata["dagster/table_name"] == f"quickbooks.{table.name}"
    schema = node.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [column.name for column in schema.columns] == list(table.column_names)
    assert all(column.description for column in schema.columns)
    assert node.partitions_def is not None
    assert node.backfill_policy == dg.BackfillPolicy.single_run()


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_lineage_starts_at_quickbooks(entity: Entity) -> None:
    for table in entity.tables:
        assert GRAPH.get(table_key(table)).parent_keys == {source_key(entity)}
    assert GRAPH.get(source_key(entity)).is_external


def test_companies_and_tokens_are_assets_too() -> None:
    for name in ("companies", "tokens", "reconciliations"):
        assert GRAPH.get(dg.AssetKey(["quickbooks", name])).is_materializable


def test_schedule_and_sensors_are_on_from_the_start() -> None:
    repository = defs.get_repository_def()
    assert {schedule.name: schedule.default_status for schedule in repository.schedule_defs} == {
        "hourly": dg.DefaultScheduleStatus.RUNNING,
        "daily": dg.DefaultScheduleStatus.RUNNING,
    }
    assert {sensor.name: sensor.default_status for sensor in repository.sensor_defs} == {
        "companies": dg.DefaultSensorStatus.RUNNING,
        "webhook_inbox": dg.DefaultSensorStatus.RUNNING,
        "token_freshness": dg.DefaultSensorStatus.RUNNING,
        "alert": dg.DefaultSensorStatus.RUNNING,
    }


def test_runs_stay_in_one_process() -> None:
    """The default executor starts a process per step, at 26 times the CPU; backfills use the location's executor."""
    assert defs.executor is dg.in_process_executor


def test_the_code_location_loads_with_an_empty_environment(tmp_path: object) -> None:
    program = "from qbo_pipeline.definitions import defs; defs.get_repository_def(); print('loaded')"
    answer = subprocess.run(
        [sys.executable, "-W", "error::dagster.BetaWarning", "-c", program],
        env={"PATH": ""},
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.strip() == "loaded", answer.stderr[-2000:]
