"""The comparison as Dagster runs it: the asset, its table, and every check in green and in red."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from qbo_pipeline.catalog import ENTITIES, entity_named, tables
from qbo_pipeline.definitions import defs
from qbo_pipeline.defs.checks import book_checks
from qbo_pipeline.defs.partitions import COMPANIES
from qbo_pipeline.defs.schedules import SUNDAY_SAMPLE, daily
from tests.integration.conftest import Standing
from tests.support.quickbooks import REALM

pytestmark = pytest.mark.slow

OP = "quickbooks__reconciliations"
Evaluations = dict[tuple[str, str], dg.AssetCheckEvaluation]


@pytest.fixture
def instance(standing: Standing) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # in memory: hundreds of checks are hundreds of writes
        made.add_dynamic_partitions(str(COMPANIES.name), [standing.company.partition_key])
        yield made


@pytest.fixture
def daemon(standing: Standing) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def run(standing: Standing, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("reconcile").execute_in_process(
        instance=instance,
        resources={"books": standing.books},
        partition_key=standing.company.partition_key,
        run_config={"ops": {OP: {"config": config}}},
        raise_on_error=False,
    )


def alone(standing: Standing, *names: str) -> Evaluations:
    """Evaluate some of the checks by themselves, as a person does in the UI."""
    keys = [key for key in book_checks.check_keys if key.name in names]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [book_checks],
            selection=dg.AssetSelection.checks(*keys),
            instance=instance,
            resources={"books": standing.books},
            raise_on_error=False,
        )
        return evaluations(result)


def evaluations(result: dg.ExecuteInProcessResult) -> Evaluations:
    return {(each.check_name, each.asset_key.path[-1]): each for each in result.get_asset_check_evaluations()}


def bad(found: Evaluations) -> dict[tuple[str, str], str]:
    return {key: str(each.description) for key, each in found.items() if not each.passed}


def test_a_comparison_shows_its_table_and_then_every_check_is_green(
    standing: Standing, instance: dg.DagsterInstance
) -> None:
    standing.execute("DELETE FROM quickbooks.terms WHERE id = (SELECT min(id) FROM quickbooks.terms)")
    result = run(standing, instance, sample=3)
    assert result.success, [event.step_failure_data for event in result.all_events if event.is_step_failure]
    (materialization,) = result.asset_materializations_for_node(OP)
    assert materialization.partition == standing.company.partition_key
    metadata = materialization.metadata
    table = metadata["comparison"]
    assert isinstance(table, dg.TableMetadataValue)
    rows = {str(record.data["entity"]): record.data for record in table.records}
    assert list(rows) == [entity.name for entity in ENTITIES]
    assert (rows["Term"]["status"], rows["Term"]["missing"], rows["Term"]["repaired"]) == ("repaired", "1", "True")
    assert (rows["ExchangeRate"]["status"], rows["ExchangeRate"]["quickbooks"]) == ("not counted", "")
    assert metadata["repaired"].value == 1
    assert metadata["api_calls"].value == len(standing.quickbooks.calls())
    found = evaluations(result)
    assert bad(found) == {}
    assert {table for name, table in found if name == "unique_keys"} == {table.name for table in tables()}
    for name in ("matches_quickbooks", "is_fresh"):
        assert {table for each, table in found if each == name} == {entity.table.name for entity in ENTITIES}
    assert {table for name, table in found if name == "no_orphan_lines"} == {
        entity.line_table.name for entity in ENTITIES if entity.line_table is not None
    }
    invoices = found["lines_add_up", "invoices"]
    assert invoices.metadata["judged"].value == len(standing.quickbooks.truth()["Invoice"])


def test_what_differs_is_yellow_and_told_in_the_run(standing: Standing, instance: dg.DagsterInstance) -> None:
    standing.execute(
        "INSERT INTO quickbooks.bills (realm_id, id, synced_at) "
        "SELECT :realm, '77' || n, now() FROM generate_series(100, 130) n",
        realm=REALM,
    )
    result = run(standing, instance, entities=["Bill"])
    assert result.success
    assert "matches_quickbooks" in {name for name, _ in bad(evaluations(result))}
    check = evaluations(result)["matches_quickbooks", "bills"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "31 of" in str(check.description)
    standing.books.reconcile(None, (entity_named("Bill"),), trigger="test", believe_deletions=True)
    assert bad(alone(standing, "matches_quickbooks")) == {}


def test_a_wrong_entity_in_the_configuration_is_one_sentence(standing: Standing, instance: dg.DagsterInstance) -> None:
    result = run(standing, instance, entities=["Bills of lading"])
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert str(data.description).startswith("There is no entity 'Bills of lading'.")


def test_books_that_nobody_synced_for_hours_are_not_fresh(standing: Standing) -> None:
    standing.execute("UPDATE quickbooks.sync_runs SET started_at = started_at - interval '3 hours'")
    try:
        found = alone(standing, "is_fresh")
        assert len(bad(found)) == len(ENTITIES)
        assert f"{standing.company.partition_key}: synced 3 hours ago" == found["is_fresh", "invoices"].description
        standing.execute(
            "UPDATE quickbooks.sync_runs SET status = 'failed', started_at = started_at + interval '3 hours'"
        )
        assert "never synced" in str(alone(standing, "is_fresh")["is_fresh", "bills"].description)
    finally:
        standing.books.sync(None, trigger="test")
    assert bad(alone(standing, "is_fresh")) == {}


def test_a_company_that_was_never_compared_is_yellow(standing: Standing) -> None:
    standing.execute("DELETE FROM quickbooks.reconciliations WHERE entity = 'Item'")
    found = bad(alone(standing, "matches_quickbooks"))
    assert found["matches_quickbooks", "items"] == f"{standing.company.partition_key}: not compared yet"


def test_totals_that_do_not_add_up_are_yellow_and_named(standing: Standing) -> None:
    (one,) = standing.rows("SELECT min(id) AS id FROM quickbooks.invoices WHERE total_amt > 0")
    standing.execute("UPDATE quickbooks.invoices SET total_amt = total_amt + 0.01 WHERE id = :id", id=one.id)
    try:
        (check,) = [each for each in alone(standing, "lines_add_up").values() if not each.passed]
        assert check.severity is dg.AssetCheckSeverity.WARN
        assert f"{REALM}/{one.id}" in str(check.description)
        assert check.metadata["wrong"].value == 1
    finally:
        standing.execute("UPDATE quickbooks.invoices SET total_amt = total_amt - 0.01 WHERE id = :id", id=one.id)
    assert bad(alone(standing, "lines_add_up")) == {}


def test_orphans_and_the_deleted_that_are_still_there_are_red(standing: Standing) -> None:
    standing.execute(
        "INSERT INTO quickbooks.invoice_lines (realm_id, invoice_id, position, synced_at) "
        "VALUES (:realm, 'x', 0, now())",
        realm=REALM,
    )
    standing.execute(
        "INSERT INTO quickbooks.deleted_records (realm_id, entity, id, detected_by) "
        "SELECT realm_id, 'Bill', id, 'cdc' FROM quickbooks.bills ORDER BY id LIMIT 1"
    )
    try:
        found = alone(standing, "no_orphan_lines")
        assert {key: found[key].severity.value for key in bad(found)} == {
            ("no_orphan_lines", "invoice_lines"): "ERROR",
            ("no_orphan_lines", "bill_lines"): "ERROR",
        }
        assert f"{REALM}/x" in bad(found)["no_orphan_lines", "invoice_lines"]
    finally:
        standing.execute("DELETE FROM quickbooks.invoice_lines WHERE invoice_id = 'x'")
        standing.execute("DELETE FROM quickbooks.deleted_records WHERE entity = 'Bill'")


def test_a_key_that_is_there_twice_is_red_and_stops_the_run(standing: Standing, instance: dg.DagsterInstance) -> None:
    (name,) = standing.rows(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'quickbooks.tax_agencies'::regclass AND contype = 'p'"
    )
    standing.execute(f'ALTER TABLE quickbooks.tax_agencies DROP CONSTRAINT "{name.conname}"')
    try:
        assert bad(alone(standing, "unique_keys")) == {}, "nothing guards the key any more, but it holds"
        standing.execute("INSERT INTO quickbooks.tax_agencies SELECT * FROM quickbooks.tax_agencies")
        found = alone(standing, "unique_keys")
        assert list(bad(found)) == [("unique_keys", "tax_agencies")]
        assert found["unique_keys", "tax_agencies"].severity is dg.AssetCheckSeverity.ERROR
        result = run(standing, instance, entities=["Term"])
        assert not result.success, "blocking"
        assert result.asset_materializations_for_node(OP), "after the comparison"
    finally:
        standing.execute(
            "DELETE FROM quickbooks.tax_agencies a USING quickbooks.tax_agencies b "
            "WHERE a.id = b.id AND a.ctid > b.ctid"
        )
        standing.execute(
            f'ALTER TABLE quickbooks.tax_agencies ADD CONSTRAINT "{name.conname}" PRIMARY KEY (realm_id, id)'
        )


def tick(standing: Standing, instance: dg.DagsterInstance, at: datetime) -> Any:
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        resources={"books": standing.books},
        repository_def=defs.get_repository_def(),
    )
    with partition_loading_context(dynamic_partitions_store=instance):
        return daily.evaluate_tick(context)


def test_every_day_asks_for_one_comparison_per_company_and_sundays_for_a_sample(
    standing: Standing, daemon: dg.DagsterInstance
) -> None:
    daemon.add_dynamic_partitions(str(COMPANIES.name), [standing.company.partition_key])
    for day, sample in ((23, 0), (22, SUNDAY_SAMPLE)):
        (request,) = tick(standing, daemon, datetime(2026, 11, day, 3, 35, tzinfo=UTC)).run_requests
        assert request.partition_key == standing.company.partition_key
        assert request.tags["quickbooks/realm"] == REALM
        assert request.run_config == {"ops": {OP: {"config": {"sample": sample}}}}


def test_a_company_that_dagster_does_not_know_yet_is_not_compared(
    standing: Standing, daemon: dg.DagsterInstance
) -> None:
    assert tick(standing, daemon, datetime(2026, 11, 23, 3, 35, tzinfo=UTC)).run_requests == []


def test_the_hourly_sync_leaves_these_checks_alone() -> None:
    nodes = {node.name for node in defs.resolve_job_def("sync").graph.nodes}
    assert nodes == {"sync_company"}
