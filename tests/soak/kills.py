"""Kills: a process that syncs is held at a place of its work, seen to be there, and killed; then one undisturbed sync.

    python -m tests.soak.kills               every place, for every kind of sync, twice
    python -m tests.soak.kills --place merge --window full

Nothing is left to the clock: a fault of the sandbox holds an answer back, a lock of ours holds a statement back, or the
files of a load are watched; the kill comes when the place is seen to be reached.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from qbo_pipeline.catalog import entity_named
from tests.soak.installation import Installation, installation, say
from tests.support.histories import Stage

WINDOWS = ("incremental", "full", "range", "cli", "webhook")
ENTITIES = ("Customer", "Invoice", "Payment")
#: Longer than any process needs to get anywhere, on a machine with others on it.
PATIENCE = 90.0
_realms = itertools.count(9160000000000000)


@dataclass(frozen=True)
class Place:
    """Somewhere in a sync: how to hold a process there."""

    name: str
    #: The table whose writers wait; ``{realm}`` is the company's.
    table: str = ""
    #: The answer that does not come: after so many queries or calls.
    after: int | None = None
    #: Files that are there then, below the temporary folder.
    files: str = ""
    #: Whether records are deleted before; they leave their tables first, and would be met there instead.
    deletes: bool = True


PLACES = (
    Place("reading what changed", after=0),
    Place("reading, some answers later", after=2),
    Place("reading, many answers later", after=6),
    Place("normalize", files="*/normalize/extracted/*/*"),
    Place("load package made", files="*/load/normalized/*/new_jobs/*"),
    Place("staging", table="quickbooks_staging_{realm}.invoices"),
    Place("merge", table="quickbooks.invoices", deletes=False),
    Place("merge of lines", table="quickbooks.invoice_lines", deletes=False),
    Place("merge of another table", table="quickbooks.payments", deletes=False),
    Place("cursor", table="quickbooks._dlt_pipeline_state"),
    Place("load noted", table="quickbooks._dlt_loads"),
    Place("deletions noted", table="quickbooks.deleted_records"),
    Place("deleted lines leave", table="quickbooks.invoice_lines"),
    Place("deleted rows leave", table="quickbooks.invoices"),
    Place("run recorded", table="quickbooks.api_calls"),
    Place("events taken up", table="quickbooks.webhook_events"),
)


@dataclass
class Killed:
    """What became of one try."""

    place: Place
    window: str
    was_there: bool
    wrong: list[str]
    said: str = ""

    def __str__(self) -> str:
        fate = "killed there" if self.was_there else "never came there"
        return f"{self.window:>11}  {self.place.name:<28} {fate:<17} {'; '.join(self.wrong) or 'nothing lost'}"


def new_stage(place: Installation, *, loaded: bool, page_size: int = 4) -> Stage:
    """Return a company of its own, loaded or as it was connected."""
    realm, books = str(next(_realms)), place.books()
    place.sandbox.tell("/companies", {"realm": realm, "seed": int(realm[-3:]), "invoices": 8})
    place.sandbox.connect(books, realm)
    stage = Stage(place.sandbox, books, realm, tuple(map(entity_named, ENTITIES)), page_size)
    if loaded:
        stage.do("sync", 0)
    return stage


def live(stage: Stage, chance: random.Random, *, deletes: bool = True) -> None:
    """Let a little happen to the books, of every table; with ``deletes`` also to what is there no more."""
    stage.sandbox.tell("/clock", {"advance_seconds": 3600})
    gone = ("delete", "delete", "delete", "delete", "restore") if deletes else ()
    for kind in ("bulk", "edit", "lines", "lines", "pay", *gone):
        stage.do(kind, chance.randrange(10**6))


def kill_at(place: Place, window: str, home: Installation, stage: Stage) -> Killed:
    """Start a sync, kill it at a place, and see what an undisturbed one makes of it."""
    with _held(place, stage) as is_there:
        process = home.sync_process(stage, window)
        was_there = wait_until(lambda: is_there() or process.poll() is not None) and process.poll() is None
        process.kill()
        said, _ = process.communicate()
    end_lease(stage)
    return Killed(place, window, was_there, stage.settle(), said)


def end_lease(stage: Stage) -> None:
    """Let the time pass that a lease outlives whoever held it: times of leases are the database's."""
    with stage.books.engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE quickbooks.company_leases SET until = clock_timestamp() "
                "WHERE realm_id = :realm AND until IS NOT NULL"
            ),
            {"realm": stage.realm},
        )


def wait_until(is_so: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Look until something is so; say whether it came to be."""
    give_up_at = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.002)
    return True


@contextmanager
def _held(place: Place, stage: Stage) -> Iterator[Callable[[], bool]]:
    """Hold whoever gets to a place; yields whether somebody has."""
    if place.after is not None:
        match = {"realm": stage.realm}
        rule = {"fault": "slow", "seconds": 20, "match": match, "after": place.after, "times": 1}
        stage.sandbox.tell("/faults", method="DELETE")
        stage.sandbox.tell("/faults", rule)
        yield lambda: bool(stage.sandbox.tell("/faults")["rules"][0]["broken"])
        stage.sandbox.tell("/faults", method="DELETE")
    elif place.files:
        scratch = stage_scratch(stage)
        yield lambda: any(True for _ in scratch.glob(f"qbo-load-*/{place.files}"))
    else:
        with locked(stage, place.table.format(realm=stage.realm)) as waiting:
            yield lambda: bool(waiting())


def stage_scratch(stage: Stage) -> Path:
    return stage.books.settings.state_dir.parent / "scratch"


@contextmanager
def locked(stage: Stage, table: str) -> Iterator[Callable[[], list[int]]]:
    """Let nobody write to a table, readers may go on; yields who (which backends) waits for it."""
    schema, _, name = table.partition(".")
    asked = sa.text(
        "SELECT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = "
        "c.relnamespace WHERE NOT l.granted AND n.nspname = :schema AND c.relname = :name"
    )

    def waiting() -> list[int]:
        with stage.books.engine.connect() as looking:
            return list(looking.execute(asked, {"schema": schema, "name": name}).scalars())

    with stage.books.engine.connect() as connection:
        there = connection.execute(sa.text("SELECT to_regclass(:table)"), {"table": table}).scalar_one()
        if there is not None:
            connection.execute(sa.text(f"LOCK TABLE {table} IN SHARE MODE"))
        yield waiting


def matrix(
    home: Installation, rounds: int, places: tuple[Place, ...] = PLACES, windows: tuple[str, ...] = WINDOWS
) -> list[Killed]:
    """Kill at every place in every kind of sync, ``rounds`` times, and once more in first loads; tell each."""
    done = []
    for turn in range(rounds):
        for window in windows:
            stage = new_stage(home, loaded=True)
            if window == "webhook":
                stage.listen()
            for number, place in enumerate(places):
                live(stage, random.Random(f"{turn}/{window}/{number}"), deletes=place.deletes)
                if stage.listens:
                    stage.deliver_everything()
                done.append(kill_at(place, window, home, stage))
                say(done[-1])
            stage.leave()
    for place in places:
        stage = new_stage(home, loaded=False)
        done.append(kill_at(place, "incremental", home, stage))
        say(f"{done[-1]} (first load)")
        stage.leave()
    return done


def figure(done: list[Killed]) -> str:
    """Return the line to report."""
    kills = [each for each in done if each.was_there]
    lost = [each for each in done if each.wrong]
    wedged = [each for each in lost if any("failed" in sentence for sentence in each.wrong)]
    return (
        f"{len(kills)} kills -9 at {len({each.place for each in kills})} places ({len(done) - len(kills)} tries never "
        f"came there); {len(lost)} lost anything, {len(wedged)} left the next sync wedged"
    )


def main() -> None:
    """Run what the command line asks for; exit 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--place", choices=[place.name for place in PLACES])
    parser.add_argument("--window", choices=WINDOWS)
    asked = parser.parse_args()
    places = tuple(each for each in PLACES if asked.place in (None, each.name))
    windows = (asked.window,) if asked.window else WINDOWS
    with installation() as (home, _):
        done = matrix(home, asked.rounds, places, windows)
    say(figure(done))
    sys.exit(any(each.wrong for each in done))


if __name__ == "__main__":
    main()
