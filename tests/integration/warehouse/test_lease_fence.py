"""The fence: a transaction that finds its company taken over fails, and one that does not is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from qbo_pipeline.errors import LeaseLostError, LoadError
from qbo_pipeline.warehouse.engine import psycopg2_url
from qbo_pipeline.warehouse.leases import Lease, company_lease
from tests.support.lease_holder import REALM
from tests.support.leases import NEVER, OPEN, OVER, ask, do, fenced, is_busy, wait_for

pytestmark = pytest.mark.slow


def test_nobody_takes_over_while_a_transaction_holds_the_fence(engine: sa.Engine) -> None:
    do(engine, "CREATE TABLE written AS SELECT 0 AS rows")
    waiting, seen = threading.Event(), []

    def write(lease: Lease) -> None:
        with fenced(engine, lease) as cursor:
            cursor.execute("UPDATE written SET rows = rows + 1")

    def take_over() -> None:
        with company_lease(engine, REALM, "heir", on_wait=lambda _: waiting.set()):
            seen.append(ask(engine, "SELECT rows FROM written"))

    with company_lease(engine, REALM, "late", **NEVER) as lease, ExitStack() as at_the_end:
        with engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE written"))
            writer, heir = threading.Thread(target=write, args=[lease]), threading.Thread(target=take_over)
            at_the_end.callback(heir.join)
            writer.start()
            wait_for(engine, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'written'::regclass")
            do(engine, OVER)
            heir.start()
            assert waiting.wait(60)
            assert seen == []
        writer.join()
    assert seen == [1], "the heir began before the late writer's transaction was over"


@pytest.fixture
def impatient(database_url: str) -> Iterator[sa.Engine]:
    """An engine whose statements fail rather than wait for a lock."""
    opened = sa.create_engine(psycopg2_url(database_url), connect_args={"options": "-c lock_timeout=10s"})
    yield opened
    opened.dispose()


def test_a_renewal_does_not_wait_for_a_transaction_that_holds_the_fence(
    engine: sa.Engine, impatient: sa.Engine
) -> None:
    with company_lease(impatient, REALM, "busy", **NEVER) as lease, fenced(engine, lease):
        assert lease.renew(1000)


def test_the_fence_does_not_wait_for_a_renewal(engine: sa.Engine, impatient: sa.Engine) -> None:
    with company_lease(engine, REALM, "busy", **NEVER) as lease, engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.company_leases SET until = until + interval '1 second'"))
        with fenced(impatient, lease) as cursor:
            cursor.execute("SELECT 1")


def test_who_was_taken_over_can_write_nothing_and_is_told_by_whom(engine: sa.Engine) -> None:
    sentence = (
        r"Company 9130 was taken over by heir \(process \d+ on .+\) at \d\d:\d\d:\d\d UTC, because this run had not "
        r"been heard of for too long; nothing of this run was written after that"
    )
    do(engine, "CREATE TABLE written (x int)")
    with company_lease(engine, REALM, "late", **NEVER) as late:
        late.check()
        do(engine, OVER)
        with company_lease(engine, REALM, "heir") as heir:
            heir.check()
            with pytest.raises(LeaseLostError, match=sentence):
                late.check()
            with pytest.raises(LeaseLostError, match=sentence), fenced(engine, late) as cursor:
                cursor.execute("INSERT INTO written VALUES (1)")
            assert not late.renew(90)
        with pytest.raises(LeaseLostError, match=sentence), fenced(engine, late):
            pytest.fail("that the heir is done does not bring the late one back")
    assert ask(engine, "SELECT count(*) FROM written") == 0


def test_a_failure_that_came_of_a_lost_lease_is_called_so(engine: sa.Engine) -> None:
    with company_lease(engine, REALM, "late", **NEVER) as late:
        with pytest.raises(LoadError, match="of its own"), late.guard():
            raise LoadError("a failure of its own")
        do(engine, OVER)
        with company_lease(engine, REALM, "heir"), pytest.raises(LeaseLostError), late.guard():
            raise LoadError("the connection was ended")


def test_a_transaction_whose_client_is_gone_is_ended_when_its_lease_is_over(engine: sa.Engine) -> None:
    do(engine, "CREATE TABLE written (x int)")
    with company_lease(engine, REALM, "gone", **NEVER) as lease, engine.connect() as connection:
        cursor = connection.connection.cursor()
        lease.fence(cursor)
        cursor.execute("INSERT INTO written VALUES (1)")
        wait_for(engine, f"SELECT state_change < now() - interval '6 seconds' {OPEN}")
        assert is_busy(engine)
        cursor.execute("SELECT 'it is left alone while the lease lasts'")
        do(engine, OVER)
        with company_lease(engine, REALM, "heir"):
            pass
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELECT 'too late'"))
    assert ask(engine, "SELECT count(*) FROM written") == 0
