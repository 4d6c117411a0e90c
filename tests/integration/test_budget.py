"""The month's budget of API calls: said when it runs low, and respected when it is spent."""

from __future__ import annotations

import dagster as dg
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.errors import SettingsError
from qbo_pipeline.settings import load_settings
from qbo_pipeline.warehouse.calls import Budget, CallLedger
from qbo_pipeline.warehouse.companies import Company
from tests.support.quickbooks import REALM


@pytest.mark.parametrize(
    ("spent", "low", "over", "says"),
    [
        (0, False, False, "0 of 1,000 QuickBooks API calls of this month are used."),
        (799, False, False, "799 of 1,000"),
        (800, True, False, "(80%); at 100 % syncs become daily"),
        (1000, True, True, "every company is synced once a day instead of every hour"),
    ],
)
def test_it_warns_at_80_percent_and_slows_down_at_100(spent: int, low: bool, over: bool, says: str) -> None:
    budget = Budget(spent, 1000)
    assert (budget.is_low, budget.is_spent) == (low, over)
    assert says in str(budget)


def spend(books: Books, calls: int) -> None:
    CallLedger(books.engine).add("another company", {"query": calls})


def test_a_spent_budget_makes_hourly_syncs_daily(books: Books, company: Company) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.connections SET initial_load_at = now()"))
    assert [each.realm_id for each in books.hourly_companies()] == [REALM]
    spend(books, 500_000)
    assert [each.realm_id for each in books.hourly_companies()] == [REALM], "not synced today yet"
    with books.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.sync_runs (run_id, realm_id, trigger, mode, status, started_at) "
                "VALUES ('r', :realm, 'dagster', 'incremental', 'succeeded', now() - interval '3 hours')"
            ),
            {"realm": REALM},
        )
    assert books.hourly_companies() == []
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.sync_runs SET started_at = now() - interval '24 hours'"))
    assert [each.realm_id for each in books.hourly_companies()] == [REALM]


def test_the_schedule_says_why_it_does_nothing(books: Books, company: Company) -> None:
    from qbo_pipeline.defs.schedules import hourly

    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.connections SET initial_load_at = now()"))
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.sync_runs (run_id, realm_id, trigger, mode, status) "
                "VALUES ('r', :realm, 'dagster', 'incremental', 'succeeded')"
            ),
            {"realm": REALM},
        )
    spend(books, 600_000)
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("companies", [company.partition_key])
        context = dg.build_schedule_context(
            instance=instance, resources={"books": books}, scheduled_execution_time=company.connected_at
        )
        skip = hourly.evaluate_tick(context).skip_message
    assert skip is not None
    assert "600,000 of 500,000 QuickBooks API calls" in skip


@pytest.mark.parametrize(("value", "says"), [("many", "a whole number"), ("0", "at least 1")])
def test_a_budget_that_is_none_is_refused(value: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_settings({"QBO_MONTHLY_CALL_BUDGET": value})
    assert load_settings({"QBO_MONTHLY_CALL_BUDGET": "90000"}).monthly_call_budget == 90_000
