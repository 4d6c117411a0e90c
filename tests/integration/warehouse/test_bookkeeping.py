"""The record of runs, and the ledger of API calls."""

from __future__ import annotations

import datetime as dt
import threading

import sqlalchemy as sa

from qbo_pipeline.warehouse.calls import CallLedger
from qbo_pipeline.warehouse.runs import RunLog


def test_a_run_is_recorded_from_start_to_finish(engine: sa.Engine) -> None:
    log = RunLog(engine)
    log.start("run-1", "9130", trigger="schedule", mode="incremental")
    (running,) = log.latest("9130")
    assert (running.status, running.finished_at) == ("running", None)
    log.finish("run-1", status="partial", rows=12, calls=3, detail={"invoices": {"rows": 12}}, error="vendors: refused")
    (run,) = log.latest("9130")
    assert (run.status, run.rows, run.calls, run.detail) == ("partial", 12, 3, {"invoices": {"rows": 12}})
    assert run.finished_at is not None
    assert run.error == "vendors: refused"


def test_a_run_that_begins_again_starts_over(engine: sa.Engine) -> None:
    log = RunLog(engine)
    log.start("run-1", "9130", trigger="schedule", mode="incremental")
    log.finish("run-1", status="failed", rows=1, calls=1, error="x")
    log.start("run-1", "9130", trigger="schedule", mode="incremental")
    (run,) = log.latest("9130", limit=5)
    assert (run.status, run.rows, run.error, run.finished_at) == ("running", 0, None, None)


def test_calls_add_up_by_month_and_company(engine: sa.Engine) -> None:
    ledger = CallLedger(engine)
    ledger.add("9130", {"query": 3, "cdc": 1, "read": 0}, run_id="run-1")
    ledger.add("9130", {"query": 2}, run_id="run-1")
    ledger.add("9140", {"query": 10})
    assert ledger.month() == {"cdc": 1, "query": 15}
    assert ledger.month(realm_id="9130") == {"cdc": 1, "query": 5}
    assert ledger.month(dt.date(2001, 1, 15)) == {}
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE quickbooks.api_calls SET month = '2001-01-01' WHERE realm_id = '9140'")
    assert ledger.month(dt.date(2001, 1, 15)) == {"query": 10}


def test_counting_from_six_threads_loses_no_call(engine: sa.Engine) -> None:
    ledger = CallLedger(engine)

    def count() -> None:
        for _ in range(10):
            ledger.add("9130", {"read": 1, "query": 1}, run_id="r")

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.month() == {"query": 60, "read": 60}
