"""One writer per company: ``with company_lock(engine, realm_id, who): ...``, across processes and machines.

A session advisory lock on a connection of its own: Postgres lets go of it when the holder dies, however it dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from qbo_pipeline.errors import BusyError

_SPACE = 0x71626F  # "qbo": our advisory locks among those of other programs
_PAUSE_SECONDS = 0.25

# The connection of a holder has done nothing since it took the lock, so its last change of state is when it did.
_HOLDER = """
SELECT a.application_name, a.pid, to_char(a.state_change AT TIME ZONE 'UTC', 'HH24:MI:SS "UTC"') AS since
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = CAST(:space AS oid)
  AND l.objid = CAST(CAST(hashtext(:realm_id) AS bigint) & 4294967295 AS oid)
"""


@contextmanager
def company_lock(
    engine: sa.Engine,
    realm_id: str,
    who: str,
    *,
    timeout_seconds: float = 600,
    on_wait: Callable[[str], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Hold the company for the length of the block; ``who`` is what others are told while they wait.

    ``on_wait`` is called with a sentence when another holds it (again when the holder changes). BusyError when it is
    still held after ``timeout_seconds``.
    """
    give_up_at = monotonic() + timeout_seconds
    told = None
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()  # closed at the end, never handed back to the pool with a lock on it
    try:
        connection.execute(sa.text("SELECT set_config('application_name', :who, false)"), {"who": f"qbo: {who}"[:63]})
        lock = {"space": _SPACE, "realm_id": realm_id}
        while not connection.execute(
            sa.text("SELECT pg_try_advisory_lock(:space, hashtext(:realm_id))"), lock
        ).scalar_one():
            holder = connection.execute(sa.text(_HOLDER), lock).first()
            name = f"{holder.application_name} (process {holder.pid})" if holder else "another program"
            sentence = f"Company {realm_id} is being written by {name}" + (f" since {holder.since}" if holder else "")
            if monotonic() >= give_up_at:
                raise BusyError(f"{sentence}; gave up after {timeout_seconds:g} seconds. Try again when it is done.")
            if on_wait is not None and holder is not None and told != holder.pid:
                on_wait(f"{sentence}; waiting for it.")
                told = holder.pid
            sleep(_PAUSE_SECONDS)
        yield
    finally:
        connection.close()
