"""Runs, as Dagster makes them: on a real Postgres and a local QuickBooks, with an instance of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, tables
from qbo_pipeline.definitions import defs
from qbo_pipeline.defs.jobs import sync
from qbo_pipeline.defs.keys import table_key
from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
from qbo_pipeline.defs.sensors import FULL_SYNC, companies, every_month, token_freshness
from qbo_pipeline.defs.tables import quickbooks_tables, source_specs
from qbo_pipeline.settings import Settings
from qbo_pipeline.warehouse.companies import Company
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox
from tests.support.ticks import tick

INVOICES = dg.AssetKey(["quickbooks", "invoices"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def lasting() -> Iterator[dg.DagsterInstance]:
    """An instance that other parts of Dagster can find by its reference, as a schedule's context wants it."""
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def known(loaded: Books) -> Company:
    """The company, with its first load done (outside Dagster)."""
    return loaded.company(None)


def run(
    books: Books, instance: dg.DagsterInstance, *, tags: dict[str, str] | None = None, **more: Any
) -> dg.ExecuteInProcessResult:
    ours = dg.Definitions(
        assets=[*source_specs(), quickbooks_tables],
        jobs=[sync],
        resources={"books": books},
        executor=dg.in_process_executor,
    )
    return ours.resolve_job_def("sync").execute_in_process(
        instance=instance, raise_on_error=False, tags=tags or {}, **more
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None, event.step_failure_data.error
    return str(data.description)


def this_month(company: Company) -> dg.MultiPartitionKey:
    return key(company.partition_key, current_month(datetime.now(UTC)))


def add(instance: dg.DagsterInstance, *keys: str) -> None:
    instance.add_dynamic_partitions(str(COMPANIES.name), list(keys))


def last_run(books: Books) -> Any:
    (status,) = books.statuses()
    return status.last_run


@pytest.mark.slow
def test_the_first_load_marks_every_month_of_the_company(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    add(instance, company.partition_key)
    result = run(books, instance, tags=every_month(company), run_config=FULL_SYNC)
    assert result.success
    assert differences(books.engine, REALM, quickbooks.truth()) == []
    marked = instance.get_materialized_partitions(INVOICES)
    assert len(marked) == 37, "three years and the month we are in"
    materialized = {event.asset_key for event in result.all_events if event.is_step_materialization}
    assert materialized == {table_key(table) for table in tables()}
    assert (last_run(books).mode, last_run(books).run_id) == ("full", result.run_id)


def test_the_current_month_brings_what_changed(
    books: Books, quickbooks: Sandbox, known: Company, instance: dg.DagsterInstance
) -> None:
    add(instance, known.partition_key)
    quickbooks.edit({"op": "create", "entity": "Customer", "record": {"DisplayName": "Brand New"}})
    result = run(books, instance, partition_key=this_month(known))
    assert result.success
    assert last_run(books).mode == "incremental"
    assert differences(books.engine, REALM, quickbooks.truth()) == []
    metadata = result.asset_materializations_for_node("sync_company")
    customers = next(m for m in metadata if m.asset_key.path[-1] == "customers").metadata
    assert customers["rows_written"].value == 1
    assert customers["dagster/row_count"].value == len(quickbooks.truth()["Customer"])


def test_past_months_reload_what_was_created_in_them(
    books: Books, known: Company, instance: dg.DagsterInstance
) -> None:
    add(instance, known.partition_key)
    tags = {
        "dagster/asset_partition_range_start": str(key(known.partition_key, "2026-01-01")),
        "dagster/asset_partition_range_end": str(key(known.partition_key, "2026-03-01")),
    }
    assert run(books, instance, tags=tags, asset_selection=[INVOICES]).success
    assert last_run(books).mode == "created 2026-01-01 to 2026-04-01"
    assert last_run(books).calls == 2, "only the selected entity is read, and counted"
    assert len(instance.get_materialized_partitions(INVOICES)) == 3


@pytest.mark.slow
def test_a_backfill_may_ask_for_everything(books: Books, known: Company, instance: dg.DagsterInstance) -> None:
    add(instance, known.partition_key)
    config = {"ops": {"sync_company": {"config": {"mode": "full"}}}}
    assert run(books, instance, partition_key=this_month(known), run_config=config).success
    assert last_run(books).mode == "full"


def test_a_wrong_mode_is_one_sentence(books: Books, known: Company, instance: dg.DagsterInstance) -> None:
    add(instance, known.partition_key)
    config = {"ops": {"sync_company": {"config": {"mode": "everything"}}}}
    result = run(books, instance, partition_key=this_month(known), run_config=config)
    assert failure(result) == "mode is 'everything'; it must be auto, incremental, full or webhook."


def test_a_company_typed_by_hand_is_refused_in_one_sentence(
    books: Books, company: Company, instance: dg.DagsterInstance
) -> None:
    """The dialog lets anybody add a partition."""
    add(instance, "acme-123")
    result = run(books, instance, partition_key=key("acme-123", current_month(datetime.now(UTC))))
    assert failure(result).startswith("There is no company 'acme-123'")
    assert company.partition_key in failure(result)
    assert instance.get_materialized_partitions(INVOICES) == set()


def test_several_companies_in_one_run_are_refused(books: Books, company: Company, instance: dg.DagsterInstance) -> None:
    add(instance, company.partition_key, "zzz-other-9")
    month = current_month(datetime.now(UTC))
    tags = {
        "dagster/asset_partition_range_start": str(key(company.partition_key, month)),
        "dagster/asset_partition_range_end": str(key("zzz-other-9", month)),
    }
    assert "one run per company" in failure(run(books, instance, tags=tags))


@pytest.mark.slow
def test_an_entity_that_fails_turns_only_itself_red(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    add(instance, company.partition_key)
    quickbooks.tell("/faults", {"match": {"path": "query", "entity": "Invoice"}, "times": 99, "fault": "fault_200"})
    result = run(books, instance, partition_key=this_month(company))
    assert not result.success
    assert failure(result).startswith("Invoice: ")
    materialized = {event.asset_key.path[-1] for event in result.all_events if event.is_step_materialization}  # type: ignore[union-attr]
    assert materialized == {t.name for t in tables()} - {"invoices", "invoice_lines"}


def test_an_unreachable_quickbooks_is_one_sentence_per_entity(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    add(instance, company.partition_key)
    quickbooks.tell("/tokens/revoke", {})
    result = run(books, instance, partition_key=this_month(company))
    assert "qbo connect" in failure(result)
    assert "Traceback" not in failure(result)


# --- schedule and sensors -------------------------------------------------------------------------------------------


def test_the_hourly_tick_asks_for_one_run_per_loaded_company(
    books: Books, known: Company, lasting: dg.DagsterInstance
) -> None:
    add(lasting, known.partition_key)
    (request,), _ = tick(books, lasting)
    assert request.partition_key == key(known.partition_key, "2026-11-01")
    assert request.run_key == f"{REALM}:2026-11-23T14"
    assert request.tags["quickbooks/realm"] == REALM


def test_the_hourly_tick_leaves_companies_alone_that_are_not_loaded_yet(
    books: Books, company: Company, lasting: dg.DagsterInstance
) -> None:
    requests, skipped = tick(books, lasting)
    assert (requests, skipped) == ([], "No company is connected and loaded yet.")


def test_the_hourly_tick_survives_a_database_that_is_down(lasting: dg.DagsterInstance) -> None:
    gone = Books(Settings(database_url="postgresql://u:secret@127.0.0.1:1/none", local_url="http://127.0.0.1:1"))
    requests, skipped = tick(gone, lasting)
    assert requests == []
    assert "127.0.0.1:1" in skipped
    assert "secret" not in skipped


@pytest.mark.slow
def test_a_new_company_gets_its_partition_and_its_first_load(
    books: Books, company: Company, instance: dg.DagsterInstance
) -> None:
    context = dg.build_sensor_context(instance=instance, resources={"books": books})
    data = companies.evaluate_tick(context)
    assert [request.partition_keys for request in data.dynamic_partitions_requests or ()] == [[company.partition_key]]
    (request,) = data.run_requests or ()
    assert request.run_config == FULL_SYNC
    add(instance, company.partition_key)
    assert run(books, instance, tags=dict(request.tags), run_config=request.run_config).success
    again = companies.evaluate_tick(dg.build_sensor_context(instance=instance, resources={"books": books}))
    assert (again.run_requests, again.dynamic_partitions_requests) == ([], [])


def test_a_first_load_that_failed_is_asked_for_again_an_hour_later(
    books: Books, company: Company, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for hour in (14, 14, 15):
        monkeypatch.setattr("qbo_pipeline.defs.sensors.datetime", _Clock(datetime(2026, 11, 23, hour, tzinfo=UTC)))
        data = companies.evaluate_tick(dg.build_sensor_context(instance=instance, resources={"books": books}))
        keys += [request.run_key for request in data.run_requests or ()]
    assert keys[0] == keys[1] != keys[2]


class _Clock:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self, _: Any) -> datetime:
        return self._now


def test_a_company_dagster_does_not_know_yet_does_not_stop_the_others(
    books: Books, known: Company, lasting: dg.DagsterInstance
) -> None:
    """A company that was loaded from the command line has no partition until the companies sensor has seen it."""
    assert tick(books, lasting) == ([], "No company is connected and loaded yet.")
    add(lasting, known.partition_key)
    assert len(tick(books, lasting)[0]) == 1


def test_after_a_failed_refresh_the_sensor_waits(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.tokens SET expires_at = expires_at - interval '51 minutes'"))
    quickbooks.tell("/faults", {"match": {"path": "tokens/bearer"}, "times": 1, "fault": "http_503_html"})
    assert len(freshness(books, instance)[0]) == 1
    result = defs.resolve_job_def("refresh_tokens").execute_in_process(
        instance=instance, resources={"books": books}, raise_on_error=False
    )
    assert not result.success
    assert freshness(books, instance) == ([], "Every access token is fresh, or its next attempt has to wait.")


def freshness(books: Books, instance: dg.DagsterInstance) -> Any:
    data = token_freshness.evaluate_tick(dg.build_sensor_context(instance=instance, resources={"books": books}))
    return data.run_requests, data.skip_message


def test_fresh_tokens_are_left_alone(books: Books, company: Company, instance: dg.DagsterInstance) -> None:
    assert freshness(books, instance) == ([], "Every access token is fresh, or its next attempt has to wait.")


def test_an_ageing_token_is_renewed_by_a_run_that_tells_no_secret(
    books: Books, company: Company, instance: dg.DagsterInstance
) -> None:
    before = books.keeper.access_token(REALM)
    with books.engine.begin() as connection:
        for table, column in (("connections", "refreshed_at"), ("tokens", "updated_at")):
            connection.execute(sa.text(f"UPDATE quickbooks.{table} SET {column} = {column} - interval '51 minutes'"))
    (request,), _ = freshness(books, instance)
    result = defs.resolve_job_def("refresh_tokens").execute_in_process(
        instance=instance, resources={"books": books}, tags=dict(request.tags)
    )
    after = books.keeper.access_token(REALM)
    assert before != after
    (materialization,) = result.asset_materializations_for_node("quickbooks__tokens")
    assert materialization.metadata["renewed"].value == 1
    log = "".join(str(entry) for entry in instance.all_logs(result.run_id))
    assert before not in log
    assert after not in log
    assert freshness(books, instance)[0] == []


def test_the_companies_asset_shows_how_each_is_doing(
    books: Books, known: Company, instance: dg.DagsterInstance
) -> None:
    result = dg.materialize(
        [defs.get_assets_def(["quickbooks", "companies"])], instance=instance, resources={"books": books}
    )
    (materialization,) = result.asset_materializations_for_node("quickbooks__companies")
    (record,) = materialization.metadata["companies"].value.records  # type: ignore[union-attr]
    assert record.data["company"] == known.partition_key


@pytest.mark.slow
def test_the_run_history_keeps_no_record_of_the_books(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    add(instance, company.partition_key)
    result = run(books, instance, partition_key=this_month(company))
    log = "".join(str(entry) for entry in instance.all_logs(result.run_id))
    customers = quickbooks.truth()["Customer"].values()
    assert [each["DisplayName"] for each in customers if each["DisplayName"] in log] == []


def test_a_month_begins_and_ends_at_utc_midnight(books: Books, known: Company, lasting: dg.DagsterInstance) -> None:
    """Late in the evening in California it already is the next month here, and Dagster's partitions agree."""
    add(lasting, known.partition_key)
    november = datetime(2026, 11, 1, 0, 5, tzinfo=UTC)
    (request,), _ = tick(books, lasting, november)
    assert request.partition_key == key(known.partition_key, "2026-11-01")
    (before,), _ = tick(books, lasting, november - timedelta(hours=1))
    assert before.partition_key == key(known.partition_key, "2026-10-01")


def test_every_entity_is_read_by_some_asset() -> None:
    assert {entity.name for entity in ENTITIES} == {
        str(spec.key.path[-1]) for spec in defs.resolve_all_asset_specs() if spec.key.path[0] == "quickbooks_online"
    }
