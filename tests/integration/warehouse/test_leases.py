"""The lease that lets one writer at a time at a company: who has it, who waits, and what becomes of it."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.errors import BusyError, LeaseLostError
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from qbo_pipeline.warehouse.engine import open_engine, psycopg2_url
from qbo_pipeline.warehouse.leases import company_lease
from qbo_pipeline.warehouse.migrate import upgrade
from tests.support.lease_holder import REALM, SHORT, said, started, take_turns
from tests.support.leases import NEVER, OVER, ask, do, fenced, is_busy, wait_for


@pytest.fixture
def turns(engine: sa.Engine) -> sa.Engine:
    """The database, with a table in which contenders write down who else is inside."""
    do(engine, "CREATE TABLE turns AS SELECT 0 AS inside, 0 AS met, 0 AS taken")
    return engine


# --- one at a time --------------------------------------------------------------------------------------------------


def test_six_threads_are_never_inside_together(turns: sa.Engine) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: take_turns(turns, 4, f"contender {number}"), range(6)))
    assert ask(turns, "SELECT (met, taken)::text FROM turns") == "(0,24)"
    assert ask(turns, "SELECT epoch FROM quickbooks.company_leases") == 24


def test_six_processes_are_never_inside_together(turns: sa.Engine, database_url: str) -> None:
    with ExitStack() as contenders:
        processes = [contenders.enter_context(started("contend", database_url, "4")) for _ in range(6)]
        assert [process.wait() for process in processes] == [0] * 6
    assert ask(turns, "SELECT (met, taken)::text FROM turns") == "(0,24)"


def test_one_writer_at_a_time_and_the_others_are_told_who(engine: sa.Engine) -> None:
    told: list[str] = []
    clock = [0.0]

    def pause(seconds: float) -> None:
        clock[0] += 100

    with company_lease(engine, REALM, "hourly sync"):
        with company_lease(engine, "9140", "another company"):
            pass
        with (
            pytest.raises(
                BusyError,
                match=r"Company 9130 is being written by hourly sync \(process \d+ on .+\) since \d\d:\d\d:\d\d UTC; "
                r"gave up after 600 seconds\. Try again when it is done\.",
            ),
            company_lease(engine, REALM, "me", on_wait=told.append, sleep=pause, monotonic=lambda: clock[0]),
        ):
            pytest.fail("two writers at once")
    assert len(told) == 1
    assert re.fullmatch(r"Company 9130 is being written by hourly sync \(.*\) since .* UTC; waiting for it\.", told[0])
    with company_lease(engine, REALM, "me", sleep=lambda _: pytest.fail("the lease was not given back")):
        pass


def test_who_waits_gets_its_turn(engine: sa.Engine) -> None:
    waiting, entered = threading.Event(), threading.Event()

    def second() -> None:
        with company_lease(engine, REALM, "second", on_wait=lambda _: waiting.set()):
            entered.set()

    thread = threading.Thread(target=second)
    with company_lease(engine, REALM, "first"):
        thread.start()
        assert waiting.wait(60)
        assert not entered.is_set()
    thread.join(60)
    assert entered.is_set()


# --- holders that die, sleep or are cut off ---------------------------------------------------------------------------


def test_nobody_waits_for_the_lease_of_a_process_that_was_killed_here(engine: sa.Engine, database_url: str) -> None:
    with started("hold", database_url) as doomed:
        assert said(doomed) == "holding"
        assert is_busy(engine)
        doomed.kill()
    do(engine, "UPDATE quickbooks.company_leases SET until = now() + interval '1 hour'")
    with company_lease(engine, REALM, "heir", timeout_seconds=120):
        assert ask(engine, "SELECT epoch FROM quickbooks.company_leases") == 2


def test_the_lease_of_a_process_killed_elsewhere_ends_and_the_next_one_gets_it(
    engine: sa.Engine, database_url: str
) -> None:
    with started("hold", database_url) as doomed:
        assert said(doomed) == "holding"
        doomed.kill()
    do(engine, "UPDATE quickbooks.company_leases SET holder = regexp_replace(holder, ' on .*', ' on elsewhere)')")
    end = ask(engine, "SELECT until FROM quickbooks.company_leases")
    told: list[str] = []
    with company_lease(engine, REALM, "heir", on_wait=told.append):
        assert ask(engine, "SELECT acquired_at FROM quickbooks.company_leases") > end
    assert f"doomed (process {doomed.pid} on " in told[0]


def test_a_long_run_keeps_its_lease(engine: sa.Engine) -> None:
    with company_lease(engine, REALM, "a long run", **SHORT) as lease:
        wait_for(engine, "SELECT clock_timestamp() > acquired_at + interval '4 seconds' FROM quickbooks.company_leases")
        assert is_busy(engine)
        lease.check()


def test_a_cut_connection_does_not_cost_the_lease(engine: sa.Engine) -> None:
    """The renewal is cut off in the middle: it waits for a row that the test holds, and its session is ended."""
    with company_lease(engine, REALM, "cut off", lease_seconds=90, renew_every_seconds=0.1) as lease:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1 FROM quickbooks.company_leases FOR UPDATE"))
            renewing = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            wait_for(engine, f"SELECT count(*) = 1 {renewing}")
            assert ask(engine, f"SELECT pg_terminate_backend(pid) {renewing}")
        before = ask(engine, "SELECT until FROM quickbooks.company_leases")
        wait_for(engine, f"SELECT until > '{before}' FROM quickbooks.company_leases")
        assert is_busy(engine)
        lease.check()


@pytest.mark.slow
def test_a_restart_of_postgres_does_not_cost_the_lease() -> None:
    folder = Path(tempfile.mkdtemp(prefix="qbo-embedded-"))
    folder.chmod(0o755)  # as root, another account runs the server and has to get in
    server = EmbeddedPostgres(folder / "state", service_home=folder / "service", settings={"shared_buffers": "16MB"})
    try:
        engine = open_engine(server.ensure())
        upgrade(engine)
        with company_lease(engine, REALM, "steady", lease_seconds=90, renew_every_seconds=0.1) as lease:
            server.stop()
            server.ensure()
            before = ask(engine, "SELECT clock_timestamp() + interval '90 seconds'")
            wait_for(engine, f"SELECT until > '{before}' FROM quickbooks.company_leases")
            assert is_busy(engine)
            lease.check()
        assert not is_busy(engine)
        engine.dispose()
    finally:
        server.stop()
        shutil.rmtree(folder)


# --- giving it back --------------------------------------------------------------------------------------------------


def test_giving_it_back_late_takes_it_from_nobody(engine: sa.Engine) -> None:
    with ExitStack() as late:
        late.enter_context(company_lease(engine, REALM, "late", **NEVER))
        do(engine, OVER)
        with company_lease(engine, REALM, "heir") as heir:
            late.close()
            assert is_busy(engine)
            heir.check()


def test_a_renewal_after_the_release_does_not_bring_the_lease_back(engine: sa.Engine) -> None:
    with company_lease(engine, REALM, "done", **NEVER) as lease:
        pass
    assert not lease.renew(90)
    assert not is_busy(engine)


# --- poolers ----------------------------------------------------------------------------------------------------------


def test_nothing_of_it_lives_in_a_session(database_url: str) -> None:
    """Through a transaction pooler every transaction may run in another session: here each has one of its own."""
    engine = sa.create_engine(psycopg2_url(database_url), poolclass=sa.NullPool)
    statements: list[str] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with company_lease(engine, REALM, "first", **SHORT) as first:
        assert is_busy(engine)
        first.check()
        with fenced(engine, first) as cursor:
            statements.append(cursor.query.decode())
            wait_for(engine, "SELECT until > acquired_at + interval '4 seconds' FROM quickbooks.company_leases")
    with company_lease(engine, REALM, "late", **NEVER) as late:
        do(engine, OVER)
        with company_lease(engine, REALM, "heir"), pytest.raises(LeaseLostError):
            late.check()
    everything = "\n".join(statements)
    assert "UPDATE quickbooks.company_leases" in everything
    assert not re.search(r"advisory|LISTEN|NOTIFY|PREPARE|TEMP|SET (?!LOCAL|until|holder)\w+ *=", everything)
    assert not re.search(r"set_config\([^)]*false\)", everything)
