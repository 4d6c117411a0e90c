"""A database that goes away in the middle of a load, and many who sync one company at once.

    python -m tests.soak.cuts

Cuts happen where a lock of ours is seen to hold the load; who was at work when is read from ``sync_runs``, whose rows
are written under the company's lock.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from tests.soak.installation import Installation, installation, restart_at_once, say
from tests.soak.kills import end_lease, live, locked, new_stage, wait_until
from tests.support.histories import Stage

#: Where a load is cut off from its database.
TABLES = (
    *("quickbooks_staging_{realm}.invoices", "quickbooks.invoices", "quickbooks.invoice_lines"),
    *("quickbooks._dlt_pipeline_state", "quickbooks.deleted_records"),
)
CROWD = ("incremental", "incremental", "cli", "range")


@dataclass
class Cut:
    """What became of a sync that was disturbed."""

    what: str
    happened: bool
    wrong: list[str]

    def __str__(self) -> str:
        return f"{self.what:<62} {'' if self.happened else 'did not happen; '}{'; '.join(self.wrong) or 'nothing lost'}"


def backends_terminated(home: Installation, stage: Stage, table: str) -> Cut:
    """Cut the connections of a load that waits for ``table``."""
    with locked(stage, table.format(realm=stage.realm)) as waiting:
        process = home.sync_process(stage, "incremental")
        wait_until(lambda: bool(waiting()) or process.poll() is not None)
        victims = waiting()
        with stage.books.engine.connect() as connection:
            for pid in victims:
                connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    process.communicate(timeout=120)
    end_lease(stage)
    return Cut(f"backends terminated at {table}", bool(victims), _crashed(process) + stage.settle())


def restarted(home: Installation, stage: Stage, table: str, server: EmbeddedPostgres) -> Cut:
    """Let Postgres crash and come back while a load waits for ``table``."""
    process = home.sync_process(stage, "incremental")
    try:
        with locked(stage, table.format(realm=stage.realm)) as waiting:
            happened = wait_until(lambda: bool(waiting()) or process.poll() is not None) and process.poll() is None
            restart_at_once(server)
    except sa.exc.DBAPIError:
        stage.books.engine.dispose()  # our own lock went with the server
    process.communicate(timeout=120)
    end_lease(stage)
    return Cut(f"Postgres restarted at once at {table}", happened, _crashed(process) + stage.settle())


def frozen(home: Installation, stage: Stage, table: str) -> Cut:
    """Freeze a process that waits for ``table``, sync past it, and wake it: it must not write any more."""
    with locked(stage, table.format(realm=stage.realm)) as waiting:
        process = home.sync_process(stage, "incremental")
        happened = wait_until(lambda: bool(waiting()) or process.poll() is not None) and process.poll() is None
        process.send_signal(signal.SIGSTOP)
    end_lease(stage)
    wrong = stage.settle()
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=300)
    return Cut(f"frozen at {table}, and woken too late", happened, wrong + _crashed(process, said) + stage.wrong())


def crowd(home: Installation, stage: Stage, turn: int) -> Cut:
    """Let two schedulers, the terminal and a backfill sync one company at once, while its books change."""
    match = {"realm": stage.realm}
    kinds = ["edit", "insert", "delete", "void"]
    rule = {"fault": "mutate_books", "seed": turn, "kinds": kinds, "match": match, "times": 40}
    stage.sandbox.tell("/faults", rule)
    since = datetime.now(UTC)
    processes = [home.sync_process(stage, window) for window in CROWD]
    said = [process.communicate(timeout=300)[0] for process in processes]
    wrong = [line for process, line in zip(processes, said, strict=True) for line in _crashed(process, line)]
    return Cut(f"{', '.join(CROWD)} at once", happened=True, wrong=wrong + overlaps(stage, since) + stage.settle())


def overlaps(stage: Stage, since: datetime) -> list[str]:
    """Return which runs of a company were at work at the same time, among those begun after ``since``.

    Earlier ones were frozen on purpose: they end long after others have taken the company over.
    """
    statement = sa.text(
        "SELECT a.trigger, b.trigger FROM quickbooks.sync_runs a JOIN quickbooks.sync_runs b USING (realm_id) "
        "WHERE realm_id = :realm AND a.run_id < b.run_id AND a.started_at > :since AND b.started_at > :since "
        "AND a.started_at < b.finished_at AND b.started_at < a.finished_at"
    )
    with stage.books.engine.connect() as connection:
        found = connection.execute(statement, {"realm": stage.realm, "since": since})
        return [f"{one} and {other} overlapped" for one, other in found]


def _crashed(process: subprocess.Popen[str], said: str = "") -> list[str]:
    """Failing is allowed to a sync that is disturbed, crashing is not."""
    return [] if process.returncode in (0, 1) and "Traceback" not in said else [f"it crashed: {said[-500:]}"]


def everything(home: Installation, server: EmbeddedPostgres, rounds: int = 1) -> list[Cut]:
    """Do all of it, and tell each."""
    done: list[Cut] = []

    def note(cut: Cut) -> None:
        done.append(cut)
        say(cut)

    for turn in range(rounds):
        stage = new_stage(home, loaded=True)
        for number, table in enumerate(TABLES):
            chance = random.Random(f"{turn}/{number}")
            live(stage, chance)
            note(backends_terminated(home, stage, table))
            live(stage, chance)
            note(restarted(home, stage, table, server))
            live(stage, chance)
            note(frozen(home, stage, table))
        live(stage, random.Random(turn))
        note(crowd(home, stage, turn))
        note(crowd(home, new_stage(home, loaded=False), turn))
    return done


def figure(done: list[Cut]) -> str:
    """Return the line to report."""
    lost = sum(bool(each.wrong) for each in done)
    return f"{sum(each.happened for each in done)} cuts and crowds; {lost} lost anything"


def main() -> None:
    """Do all of it once; exit 1 when anything was lost."""
    with installation() as (home, server):
        done = everything(home, server)
    say(figure(done))
    sys.exit(any(each.wrong for each in done))


if __name__ == "__main__":
    main()
