"""The sensor of the inbox: one small run per company, for the tables that were told of, and never two at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.defs.inbox import webhook_inbox
from qbo_pipeline.defs.jobs import sync
from qbo_pipeline.defs.partitions import COMPANIES
from qbo_pipeline.defs.tables import quickbooks_tables, source_specs
from qbo_pipeline.settings import Settings
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox
from tests.support.webhooks import Letters, cloud_event

Tell = Callable[..., None]


@pytest.fixture
def instance(loaded: Books) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions(str(COMPANIES.name), [loaded.company(None).partition_key])
        yield made


@pytest.fixture
def tell(loaded: Books) -> Tell:
    letters = Letters(loaded)
    return lambda *events: letters.tell(list(events))


def look(books: Books, instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, resources={"books": books})
    found = webhook_inbox(context)
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def requests(found: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    assert isinstance(found, dg.SensorResult), found
    return list(found.run_requests or [])


def run(books: Books, instance: dg.DagsterInstance, asked: dg.RunRequest) -> dg.ExecuteInProcessResult:
    ours = dg.Definitions(
        assets=[*source_specs(), quickbooks_tables],
        jobs=[sync],
        resources={"books": books},
        executor=dg.in_process_executor,
    )
    return ours.resolve_job_def("sync").execute_in_process(
        instance=instance,
        raise_on_error=False,
        partition_key=asked.partition_key,
        asset_selection=list(asked.asset_selection or []),
        run_config=dict(asked.run_config),
        tags=dict(asked.tags),
    )


def test_an_edit_becomes_one_run_for_its_tables_alone(
    loaded: Books, quickbooks: Sandbox, tell: Tell, instance: dg.DagsterInstance
) -> None:
    key = next(iter(quickbooks.truth()["Invoice"]))
    quickbooks.edit({"op": "update", "entity": "Invoice", "id": key, "record": {"PrivateNote": "told"}})
    tell(*(cloud_event("Invoice", key) for _ in range(3)))
    found = look(loaded, instance)
    (asked,) = requests(found)
    assert asked.asset_selection == [dg.AssetKey(["quickbooks", name]) for name in ("invoices", "invoice_lines")]
    assert isinstance(found, dg.SensorResult)
    assert found.cursor == "3"
    result = run(loaded, instance, asked)
    assert result.success
    assert differences(loaded.engine, REALM, quickbooks.truth()) == []
    materialized = {event.asset_key for event in result.all_events if event.is_step_materialization}
    assert materialized == set(asked.asset_selection)
    (status,) = loaded.statuses()
    assert status.last_run is not None
    assert (status.last_run.trigger, status.last_run.mode, status.last_run.calls) == ("webhook", "1 records by id", 1)
    assert isinstance(look(loaded, instance), dg.SkipReason)
    late = run(loaded, instance, asked)
    assert late.success, "a run that finds nothing left is no failure"
    assert len(quickbooks.calls()) == 1


def test_a_company_is_not_asked_for_twice(loaded: Books, tell: Tell, instance: dg.DagsterInstance) -> None:
    tell(cloud_event())
    (asked,) = requests(look(loaded, instance))
    with instance_run(instance, asked.tags, dg.DagsterRunStatus.STARTED):
        tell(cloud_event())
        assert requests(look(loaded, instance)) == []
    (again,) = requests(look(loaded, instance))
    assert again.run_key != asked.run_key


class instance_run:  # noqa: N801 - reads as a verb
    """A run with these tags that is in this state for the block, and over after it."""

    def __init__(self, instance: dg.DagsterInstance, tags: Any, status: dg.DagsterRunStatus) -> None:
        self._instance = instance
        self._run = dg.DagsterRun(job_name="sync", tags=dict(tags), status=status)

    def __enter__(self) -> None:
        self._instance.add_run(self._run)

    def __exit__(self, *_: object) -> None:
        self._instance.delete_run(self._run.run_id)


def test_it_does_not_wait_for_other_runs_of_the_company(
    loaded: Books, tell: Tell, instance: dg.DagsterInstance
) -> None:
    """Those may take hours; the queue and the company's lock keep the order."""
    tell(cloud_event())
    with instance_run(instance, {"quickbooks/realm": REALM}, dg.DagsterRunStatus.STARTED):
        assert len(requests(look(loaded, instance))) == 1


def test_nothing_is_asked_for_that_cannot_run(
    loaded: Books, tell: Tell, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(cloud_event())
    statement = "UPDATE quickbooks.connections SET {}"
    for change, back in (
        ("status = 'needs_reauth'", "status = 'active'"),
        ("initial_load_at = NULL", "initial_load_at = now()"),
    ):
        with loaded.engine.begin() as connection:
            connection.execute(sa.text(statement.format(change)))
        assert requests(look(loaded, instance)) == []
        with loaded.engine.begin() as connection:
            connection.execute(sa.text(statement.format(back)))
    assert len(requests(look(loaded, instance))) == 1
    instance.delete_dynamic_partition(str(COMPANIES.name), loaded.company(None).partition_key)
    assert requests(look(loaded, instance)) == [], "a run for a partition that is missing would stop all others"


def test_once_the_months_calls_are_spent_it_rests(loaded: Books, tell: Tell, instance: dg.DagsterInstance) -> None:
    tell(cloud_event())
    poor = Books(
        Settings(
            database_url=loaded.settings.database_url,
            local_url=loaded.settings.local_url,
            monthly_call_budget=1,
            state_dir=loaded.settings.state_dir,
        )
    )
    found = look(poor, instance)
    poor.database.dispose()
    assert isinstance(found, dg.SkipReason)
    assert "calls of this month are used" in str(found.skip_message)


def test_a_quiet_tick_is_one_statement_that_an_index_answers(
    loaded: Books, tell: Tell, instance: dg.DagsterInstance
) -> None:
    assert isinstance(look(loaded, instance), dg.SkipReason)  # the first one looks at the database's version too
    asked: list[str] = []
    sa.event.listen(loaded.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert isinstance(look(loaded, instance), dg.SkipReason)
    (statement,) = asked
    with loaded.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.webhook_events (event_key, realm_id, raw, status, processed_at) "
                "SELECT n, '1', '', 'done', now() FROM generate_series(1, 20000) n"
            )
        )
        connection.execute(sa.text("ANALYZE quickbooks.webhook_events"))
        plan = connection.execute(sa.text(f"EXPLAIN {statement}")).scalars().all()
    assert any("idx_webhook_events_waiting" in line for line in plan), plan


def test_a_failed_entity_turns_the_run_red_and_the_others_load(
    loaded: Books, quickbooks: Sandbox, tell: Tell, instance: dg.DagsterInstance
) -> None:
    truth = quickbooks.truth()
    invoice, customer, item = (next(iter(truth[name])) for name in ("Invoice", "Customer", "Item"))
    for entity, key in (("Invoice", invoice), ("Customer", customer), ("Item", item)):
        quickbooks.edit({"op": "touch", "entity": entity, "id": key})
    quickbooks.tell("/settings", {"poisoned": [f"Invoice/{invoice}"]})
    tell(cloud_event("Invoice", invoice), cloud_event("Customer", customer), cloud_event("Item", item))
    (asked,) = requests(look(loaded, instance))
    result = run(loaded, instance, asked)
    assert not result.success
    materialized = {event.asset_key for event in result.all_events if event.is_step_materialization}
    assert materialized == {dg.AssetKey(["quickbooks", name]) for name in ("customers", "items")}
    assert loaded.inbox.states()[REALM].waiting == 1
