"""What tests of leases ask and do."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from qbo_pipeline.errors import BusyError
from qbo_pipeline.warehouse.leases import Lease, company_lease
from tests.support.lease_holder import REALM

OVER = "UPDATE quickbooks.company_leases SET until = now() - interval '1 second'"
OPEN = "FROM pg_stat_activity WHERE application_name = 'qbo 9130 lease 1'"
#: A lease that neither ends nor is renewed while a test runs, unless the test says that it is over.
NEVER: dict[str, Any] = {"lease_seconds": 1000, "renew_every_seconds": 1000}


def ask(engine: sa.Engine, question: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(sa.text(question)).scalar_one()


def do(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(statement))


def wait_for(engine: sa.Engine, question: str) -> None:
    while not ask(engine, question):
        time.sleep(0.05)


def is_busy(engine: sa.Engine) -> bool:
    """Tell whether somebody who tries three times is turned away."""
    attempts = itertools.count()
    try:
        with company_lease(
            engine, REALM, "who asks", timeout_seconds=2, sleep=lambda _: None, monotonic=lambda: next(attempts)
        ):
            return False
    except BusyError:
        return True


@contextmanager
def fenced(engine: sa.Engine, lease: Lease) -> Iterator[Any]:
    """A transaction that holds the fence, rolled back when it fails as dlt would."""
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        lease.fence(cursor)
        yield cursor
