"""One writer per company, across processes and machines, and through a transaction pooler.

    with company_lease(engine, realm_id, who) as lease:
        ...                     a thread renews the lease for as long as the block runs
        lease.fence(cursor)     first statement of a transaction that writes: it fails if the company is not ours
        lease.check()           the same question at any other time

A lease is a row with an end. Whoever holds it and dies loses it when it ends. Whoever holds it and sleeps (a suspended
laptop, a frozen process) loses it too, but does not know: that is what the fence is for. It locks the row in the
writer's own transaction, FOR KEY SHARE, which stands in the way of a takeover (FOR UPDATE) and not of a renewal. So a
transaction either finds the company taken over and fails, or is over before anybody can take over.

Nothing here lives in a session, every statement may land on another one. Every time is the database's.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import sqlalchemy as sa

from qbo_pipeline.errors import BusyError, LeaseLostError

_PAUSE_SECONDS = 0.25

_ENSURE = "INSERT INTO quickbooks.company_leases (realm_id) VALUES (:realm_id) ON CONFLICT DO NOTHING"

# SKIP LOCKED: a transaction that holds the fence is waited for between attempts, never inside one, so that a claimant
# has no lock of its own while it waits and can say whom it waits for. And an epoch that a crash of Postgres took back
# would be given out twice: the commit waits for the disk whatever the database is set to.
_CLAIM = """
WITH free AS (
    SELECT realm_id, set_config('synchronous_commit', 'on', true) FROM quickbooks.company_leases
    WHERE realm_id = :realm_id AND (until IS NULL OR until < clock_timestamp())
    FOR UPDATE SKIP LOCKED
)
UPDATE quickbooks.company_leases l
SET holder = :holder, epoch = l.epoch + 1, acquired_at = clock_timestamp(),
    until = clock_timestamp() + make_interval(secs => :seconds)
FROM free WHERE l.realm_id = free.realm_id
RETURNING l.epoch
"""

# A renewal that comes late, after the release, must not bring the lease back to life.
_RENEW = """
UPDATE quickbooks.company_leases SET until = clock_timestamp() + make_interval(secs => :seconds)
WHERE realm_id = :realm_id AND epoch = :epoch AND until IS NOT NULL
RETURNING epoch
"""

_RELEASE = "UPDATE quickbooks.company_leases SET until = NULL WHERE realm_id = :realm_id AND epoch = :epoch"

# The holder's process is gone, we have seen it: nobody has to wait for the end of its lease.
_EXPIRE = "UPDATE quickbooks.company_leases SET until = '-infinity' WHERE realm_id = :realm_id AND epoch = :epoch"

_HOLDER = """
SELECT epoch, coalesce(holder, 'another program') AS holder,
    coalesce(to_char(acquired_at AT TIME ZONE 'UTC', 'HH24:MI:SS "UTC"'), 'just now') AS since
FROM quickbooks.company_leases WHERE realm_id = {}
"""

# Transactions that hold the fence carry this mark as their application's name, for as long as they last.
_FENCE = """
SELECT set_config('application_name', %(mark)s, true) FROM quickbooks.company_leases
WHERE realm_id = %(realm_id)s AND epoch = %(epoch)s
FOR KEY SHARE
"""

# A frozen process, or a machine that is gone, would keep its last transaction open, and everybody else waiting, for
# hours. When its lease is over and Postgres has waited for nothing but the client for a while, we end that transaction.
_END_ABANDONED = """
SELECT pg_terminate_backend(a.pid) FROM quickbooks.company_leases l, pg_stat_activity a
WHERE l.realm_id = :realm_id AND l.until < clock_timestamp()
  AND a.application_name = 'qbo ' || l.realm_id || ' lease ' || l.epoch
  AND a.datname = current_database() AND a.usename = current_user AND a.wait_event_type = 'Client'
  AND a.state_change < clock_timestamp() - interval '5 seconds'
"""


class Cursor(Protocol):
    """What the fence needs of a psycopg2 cursor."""

    def execute(self, query: str, vars: dict[str, Any], /) -> Any: ...  # noqa: A002 - psycopg2 calls it so
    def fetchone(self) -> Any: ...


class Lease:
    """The right to write one company's books, until somebody else's claim."""

    def __init__(self, engine: sa.Engine, realm_id: str, epoch: int) -> None:
        self._engine = engine
        self._row = {"realm_id": realm_id, "epoch": epoch}

    def fence(self, cursor: Cursor) -> None:
        """Keep the company ours to the end of the cursor's transaction; LeaseLostError when it is not ours any more."""
        row = self._row
        cursor.execute(_FENCE, row | {"mark": f"qbo {row['realm_id']} lease {row['epoch']}"})
        if cursor.fetchone() is None:
            cursor.execute(_HOLDER.format("%(realm_id)s"), row)
            raise self._lost(cursor.fetchone())

    def check(self) -> None:
        """Raise LeaseLostError when another has taken over."""
        found = _run(self._engine, _HOLDER.format(":realm_id"), self._row).first()
        if found is None or found.epoch != self._row["epoch"]:
            raise self._lost(found)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Name the loss of the lease as the reason of a failure in the block, if that is what it came of."""
        try:
            yield
        except LeaseLostError:
            raise
        except Exception:
            with suppress(sa.exc.SQLAlchemyError):  # a database that is away says nothing about the lease
                self.check()
            raise

    def renew(self, seconds: float) -> bool:
        """Move the lease's end; False when it is not ours any more."""
        return _run(self._engine, _RENEW, self._row | {"seconds": seconds}).first() is not None

    def release(self) -> None:
        """Give the company back; nothing happens if another has it."""
        _run(self._engine, _RELEASE, self._row)

    def _lost(self, found: Any) -> LeaseLostError:
        _, holder, since = found or (0, "another program", "an unknown time")
        return LeaseLostError(
            f"Company {self._row['realm_id']} was taken over by {holder} at {since}, because this run had not been "
            "heard of for too long; nothing of this run was written after that, so start it again when that one is "
            "done."
        )


@contextmanager
def company_lease(
    engine: sa.Engine,
    realm_id: str,
    who: str,
    *,
    timeout_seconds: float = 600,
    on_wait: Callable[[str], None] | None = None,
    lease_seconds: float = 90,
    renew_every_seconds: float = 20,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[Lease]:
    """Hold the company for the length of the block; ``who`` is what others are told while they wait.

    ``on_wait`` is called with a sentence when another holds it (again when the holder changes). BusyError when it is
    still held after ``timeout_seconds``.
    """
    give_up_at = monotonic() + timeout_seconds
    told = None
    _run(engine, _ENSURE, {"realm_id": realm_id})
    while (lease := _claim(engine, realm_id, who, lease_seconds)) is None:
        epoch, sentence = _who_has_it(engine, realm_id)
        if monotonic() >= give_up_at:
            raise BusyError(f"{sentence}; gave up after {timeout_seconds:g} seconds. Try again when it is done.")
        if on_wait is not None and told != epoch:
            on_wait(f"{sentence}; waiting for it.")
            told = epoch
        _run(engine, _END_ABANDONED, {"realm_id": realm_id})
        if _was_killed_here(sentence):
            _run(engine, _EXPIRE, {"realm_id": realm_id, "epoch": epoch})
        sleep(_PAUSE_SECONDS)
    done = threading.Event()
    threading.Thread(
        target=_keep, args=(lease, lease_seconds, renew_every_seconds, done), name=f"lease of {realm_id}", daemon=True
    ).start()
    try:
        yield lease
    finally:
        done.set()
        with suppress(sa.exc.SQLAlchemyError):  # what cannot be given back ends by itself
            lease.release()


def _claim(engine: sa.Engine, realm_id: str, who: str, seconds: float) -> Lease | None:
    holder = f"{who} (process {os.getpid()} on {socket.gethostname()})"
    claimed = _run(engine, _CLAIM, {"realm_id": realm_id, "holder": holder, "seconds": seconds}).first()
    return Lease(engine, realm_id, claimed.epoch) if claimed is not None else None


def _was_killed_here(sentence: str) -> bool:
    """Say whether the holder a sentence names was a process of this machine and is none any more.

    Where that is wrong (machines that share a name), the fence still keeps two from writing.
    """
    import psutil

    named = re.search(r"\(process (\d+) on (.*?)\) since ", sentence)
    if named is None or named[2] != socket.gethostname():
        return False
    try:
        return bool(psutil.Process(int(named[1])).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _who_has_it(engine: sa.Engine, realm_id: str) -> tuple[int, str]:
    found = _run(engine, _HOLDER.format(":realm_id"), {"realm_id": realm_id}).one()
    return found.epoch, f"Company {realm_id} is being written by {found.holder} since {found.since}"


def _run(engine: sa.Engine, statement: str, parameters: dict[str, Any]) -> sa.Result[Any]:
    """Run one statement that is a transaction by itself: nobody can fall asleep between it and its commit."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        result = connection.execute(sa.text(statement), parameters)
        return result.freeze()() if result.returns_rows else result


def _keep(lease: Lease, seconds: float, every_seconds: float, done: threading.Event) -> None:
    """Renew the lease until it is given back or lost; who lost it is told by the fence."""
    pause = every_seconds
    while not done.wait(pause):
        try:
            if not lease.renew(seconds):
                return
            pause = every_seconds
        except Exception:  # noqa: BLE001 - whatever it was, the lease lasts for some more attempts
            pause = min(1, every_seconds)
