"""The hourly run of several companies: each by itself, and Dagster told what changed and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import tables
from qbo_pipeline.definitions import defs
from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
from qbo_pipeline.defs.schedules import TOGETHER
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.leases import company_lease
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox
from tests.support.ticks import tick

pytestmark = pytest.mark.slow

OTHERS = ["9130000000000011", "9130000000000012"]
MONTH = current_month(datetime.now(UTC))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def name_of(realm: str) -> str:
    """Return the partition key of one of the others."""
    return f"company-{realm}-{realm}"


@pytest.fixture
def several(loaded: Books, quickbooks: Sandbox, instance: dg.DagsterInstance) -> list[Company]:
    """The loaded company and two empty ones, all of them loaded and known to Dagster."""
    for realm in OTHERS:
        quickbooks.tell("/companies", {"realm": realm, "name": f"Company {realm}"})
        quickbooks.connect(loaded, realm)
        assert loaded.sync(realm, trigger="test").failed == []
    quickbooks.tell("/calls", method="DELETE")
    companies = loaded.connected()
    instance.add_dynamic_partitions(str(COMPANIES.name), [company.partition_key for company in companies])
    return companies


def hour(books: Books, instance: dg.DagsterInstance, companies: list[Company]) -> dg.ExecuteInProcessResult:
    config = {"companies": [company.partition_key for company in companies]}
    return defs.resolve_job_def("sync").execute_in_process(
        instance=instance,
        resources={"books": books},
        run_config={"ops": {"sync_company": {"config": config}}},
        raise_on_error=False,
    )


def materialized(result: dg.ExecuteInProcessResult) -> set[tuple[str, str]]:
    """Return the tables and partitions a run materialized."""
    events = [event for event in result.all_events if event.is_step_materialization]
    return {(str(event.asset_key.path[-1]), str(event.partition)) for event in events if event.asset_key}


def report(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the line of each company, as the run observed it."""
    (event,) = [e for e in result.all_events if e.event_type is dg.DagsterEventType.ASSET_OBSERVATION]
    table = event.asset_observation_data.asset_observation.metadata["companies"]
    return {record.data["company"]: dict(record.data) for record in table.value.records}  # type: ignore[union-attr]


def test_a_month_is_marked_once_and_then_only_what_changed_is(
    loaded: Books, quickbooks: Sandbox, several: list[Company], instance: dg.DagsterInstance
) -> None:
    keys = {str(key(company.partition_key, MONTH)) for company in several}
    first = hour(loaded, instance, several)
    assert first.success
    assert {partition for _, partition in materialized(first)} == keys
    assert len({table for table, _ in materialized(first)}) > len(tables()) - 10, "all but what is not asked for hourly"

    quickbooks.tell("/calls", method="DELETE")
    quiet = hour(loaded, instance, several)
    assert quiet.success
    assert materialized(quiet) == set()
    assert {line["outcome"] for line in report(quiet).values()} == {"quiet"}
    # The made-up company keeps time, which change data capture does not cover; the others do not.
    asked = [(call["realm"], call["path"].rsplit("/", 1)[-1]) for call in quickbooks.calls() if call["realm"] != REALM]
    assert sorted(asked) == [(realm, "cdc") for realm in OTHERS]

    quickbooks.edit({"op": "create", "entity": "Customer", "record": {"DisplayName": "New"}}, realm=OTHERS[1])
    busy = hour(loaded, instance, several)
    changed = loaded.company(OTHERS[1])
    assert busy.success
    assert materialized(busy) == {("customers", str(key(changed.partition_key, MONTH)))}
    assert report(busy)[changed.partition_key] == {
        "company": changed.partition_key, "rows": 1, "api_calls": 1, "outcome": "changed",
    }  # fmt: skip
    assert instance.get_latest_materialization_event(dg.AssetKey(["quickbooks", "customers"])) is not None


def test_companies_that_changed_are_loaded_side_by_side(
    loaded: Books, quickbooks: Sandbox, several: list[Company], instance: dg.DagsterInstance
) -> None:
    """dlt, too, in several threads at once: no row of one company goes to another, or astray."""
    for realm in (REALM, *OTHERS):
        names = [{"op": "create", "entity": "Customer", "record": {"DisplayName": f"{realm} {n}"}} for n in range(20)]
        quickbooks.edit(*names, realm=realm)
    assert hour(loaded, instance, several).success
    for realm in (REALM, *OTHERS):
        assert differences(loaded.engine, realm, quickbooks.truth(realm)) == []


def test_a_company_that_fails_fails_alone_and_by_name(
    loaded: Books, quickbooks: Sandbox, several: list[Company], instance: dg.DagsterInstance
) -> None:
    quickbooks.tell("/tokens/revoke", {"realm": OTHERS[0]})
    quickbooks.edit({"op": "create", "entity": "Customer", "record": {"DisplayName": "Still"}}, realm=OTHERS[1])
    result = hour(loaded, instance, several)
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert str(data.description).startswith("1 of 3 companies could not be brought up to date:\ncompany-9130")
    assert "qbo connect" in str(data.description)
    lines = report(result)
    assert {name for name, line in lines.items() if "qbo connect" in line["outcome"]} == {
        f"company-{OTHERS[0]}-{OTHERS[0]}"
    }
    assert differences(loaded.engine, OTHERS[1], quickbooks.truth(OTHERS[1])) == []
    assert str(key(name_of(OTHERS[0]), MONTH)) not in {partition for _, partition in materialized(result)}


def test_a_company_that_another_run_has_is_left_to_it(
    loaded: Books, several: list[Company], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qbo_pipeline.defs.hourly.PATIENCE", 0.0)
    with company_lease(loaded.engine, OTHERS[1], "a long backfill"):
        result = hour(loaded, instance, several)
    assert result.success
    assert "a long backfill" in report(result)[name_of(OTHERS[1])]["outcome"]


def test_each_company_has_its_own_row_in_the_run_table(
    loaded: Books, several: list[Company], instance: dg.DagsterInstance
) -> None:
    result = hour(loaded, instance, several)
    last = {status.company.realm_id: status.last_run for status in loaded.statuses()}
    assert {realm: run.run_id for realm, run in last.items() if run} == {
        realm: f"{result.run_id}/{realm}" for realm in (REALM, *OTHERS)
    }


def test_an_unforeseen_failure_of_one_company_quotes_nothing(
    loaded: Books, several: list[Company], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = loaded.sync

    def spoilt(word: str, *arguments: Any, **more: Any) -> Any:
        if word == OTHERS[0]:
            raise ValueError("row of a book: Amy's Bird Sanctuary")
        return sync(word, *arguments, **more)

    monkeypatch.setattr(loaded, "sync", spoilt)
    result = hour(loaded, instance, several)
    assert not result.success
    log = "".join(str(entry) for entry in instance.all_logs(result.run_id))
    assert "ValueError" in log
    assert "Amy" not in log
    assert [line["outcome"] for line in report(result).values()].count("quiet") == 2


def test_many_companies_are_dealt_to_few_runs(loaded: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    company = loaded.company(None)
    with dg.instance_for_test() as instance:
        keys = [f"company-{number:03}" for number in range(2 * TOGETHER + 1)]
        instance.add_dynamic_partitions(str(COMPANIES.name), keys)
        many = [replace(company, partition_key=each) for each in keys]
        monkeypatch.setattr(loaded, "hourly_companies", lambda: many)
        requests, _ = tick(loaded, instance)
    dealt = [request.run_config["ops"]["sync_company"]["config"]["companies"] for request in requests]
    assert len(dealt) == 3
    assert max(map(len, dealt)) <= TOGETHER
    assert sorted(company for companies in dealt for company in companies) == keys
    assert len({request.run_key for request in requests}) == 3


def test_few_companies_have_a_run_each_in_their_own_partition(loaded: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    company = loaded.company(None)
    with dg.instance_for_test() as instance:
        keys = ["company-1", "company-2"]
        instance.add_dynamic_partitions(str(COMPANIES.name), keys)
        few = [replace(company, partition_key=each) for each in keys]
        monkeypatch.setattr(loaded, "hourly_companies", lambda: few)
        requests, _ = tick(loaded, instance)
    assert [request.partition_key for request in requests] == [key(each, "2026-11-01") for each in keys]


def test_a_run_that_names_no_company_says_what_to_choose(loaded: Books, instance: dg.DagsterInstance) -> None:
    result = hour(loaded, instance, [])
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert str(data.description).startswith("This run has no partition, so no company: choose one")
