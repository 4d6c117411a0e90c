"""The one way to change tables: one process at a time, whole or not at all, and never waiting for long.

    with changing_tables(engine, "The database could not be upgraded") as connection: ...

Everything in the block is one transaction. ``keep=False`` takes it back at the end: that is what a dry run is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from qbo_pipeline.errors import WarehouseError

_LOCK = 0x71626F  # "qbo"


@contextmanager
def changing_tables(engine: Engine, failure: str, *, keep: bool = True) -> Iterator[Connection]:
    """Give a transaction that holds the lock on our tables' shapes.

    What Postgres refuses becomes a WarehouseError that begins with ``failure``.
    """
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            # Waiting for a lock on a table, we would in turn keep everybody else waiting.
            connection.execute(text("SET LOCAL lock_timeout = '20s'"))
            yield connection
            if keep:
                connection.commit()
            else:
                connection.rollback()
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0]  # the first line only: DETAIL may quote a row
        if "lock timeout" in said:
            said = "another program holds a lock on one of the tables; try again when it is done."
        raise WarehouseError(f"{failure} and stays as it was: {said}") from error
