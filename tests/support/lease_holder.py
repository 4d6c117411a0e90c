"""A process that holds a company's lease, to be killed, frozen and woken by a test: ``python -m`` this module.

    hold URL                 take the lease and keep it until standard input ends
    contend URL TURNS        take it so many times, and count who else was inside
    load URL PLACE QUESTION  load a late invoice, and freeze when QUESTION is true in the database, right before dlt's
                             next transaction (PLACE ``between``) or inside of it (``inside``)

It says what it does on standard output, a JSON document a line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.warehouse.engine import open_engine
from qbo_pipeline.warehouse.leases import company_lease
from tests.support.scripted import AT_NOON, ScriptedReader, invoice

REALM = "9130"
#: Long enough for a slow machine to renew in time, short enough to wait for.
SHORT: dict[str, Any] = {"lease_seconds": 3, "renew_every_seconds": 0.3}
ONE_TURN = (
    "UPDATE turns SET inside = inside + 1, met = met + (inside > 0)::int",
    "UPDATE turns SET inside = inside - 1, taken = taken + 1",
)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start this program; whatever became of it, it is gone at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.lease_holder", *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> Any:
    """Return the next thing it says."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it ended without a word"
    return json.loads(line)


def wait_until_frozen(process: subprocess.Popen[str]) -> None:
    """Return when it has stopped itself."""
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        assert process.poll() is None, "it ended without having met what it should freeze at"
        time.sleep(0.02)


def take_turns(engine: sa.Engine, turns: int, who: str) -> None:
    """Take the lease ``turns`` times and write into table ``turns`` who else is inside."""
    for _ in range(turns):
        with company_lease(engine, REALM, who):
            for statement in ONE_TURN:
                with engine.begin() as connection:
                    connection.execute(sa.text(statement))


def _say(document: Any) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _hold(engine: sa.Engine) -> None:
    with company_lease(engine, REALM, "doomed", **SHORT):
        _say("holding")
        sys.stdin.read()


def _load(engine: sa.Engine, place: str, question: str) -> None:
    from qbo_pipeline.sync.company import sync_company

    late = ScriptedReader({"Invoice": [[invoice("1", 10), invoice("2", 10)]]}, AT_NOON + timedelta(hours=1))
    frozen = False

    def freeze() -> None:
        nonlocal frozen
        with engine.connect() as connection:
            now = connection.execute(sa.text(question)).scalar_one()
        if now and not frozen:
            frozen = True
            os.kill(os.getpid(), signal.SIGSTOP)

    try:
        with company_lease(engine, REALM, "the late one", **SHORT) as lease, lease.guard():

            def fence(cursor: Any) -> None:
                if place == "between":
                    freeze()
                lease.fence(cursor)
                if place == "inside":
                    freeze()

            outcome = sync_company(REALM, engine=engine, reader=late, entities=(entity_named("Invoice"),), fence=fence)
            _say(["done", [str(each.error) for each in outcome.failed]])
    except PipelineError as error:
        _say([type(error).__name__, str(error)])


def main(command: str, url: str, *more: str) -> None:
    """Do what the command line says."""
    engine = open_engine(url)
    if command == "hold":
        _hold(engine)
    elif command == "contend":
        take_turns(engine, int(more[0]), f"contender {os.getpid()}")
    else:
        _load(engine, *more)


if __name__ == "__main__":
    main(*sys.argv[1:])
