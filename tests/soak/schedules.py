"""Random schedules: a company's life with everything going wrong, then one undisturbed sync, then the oracle.

python -m tests.soak.schedules               300 of them, and the figure
python -m tests.soak.schedules --seed 17     one of them again, told step by step
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import Entity, entity_named
from tests.soak.installation import installation, say
from tests.support.bookkeeping import BOOKKEEPING
from tests.support.histories import PASSING, SYNCS, TOLD, TROUBLE, Stage
from tests.support.quickbooks import Sandbox

ALWAYS = ("Customer", "Invoice", "Payment")
SOMETIMES = (
    *("Vendor", "Item", "Account", "Class", "Attachable", "Bill", "BillPayment", "Estimate", "CreditMemo"),
    *("SalesReceipt", "Purchase", "JournalEntry", "TimeActivity", "Transfer", "Deposit", "RefundReceipt"),
    *("PurchaseOrder", "VendorCredit", "RecurringTransaction"),
)

Step = tuple[str, int]


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before a schedule begins."""

    seed: int
    entities: tuple[Entity, ...]
    page_size: int
    invoices: int
    steps: tuple[Step, ...]

    @property
    def realm(self) -> str:
        return str(9140000000000000 + self.seed)


@dataclass
class Played:
    """What became of a schedule."""

    seed: int
    wrong: list[str]
    story: list[str]
    faults: Counter[str] = field(default_factory=Counter)
    syncs: int = 0
    told: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        again = f"python -m tests.soak.schedules --seed {self.seed}"
        return "\n".join([f"seed {self.seed} ({again})", *self.story, "and then:", *(self.wrong or ["all is well"])])


def plan(seed: int) -> Plan:
    """Return the schedule of a seed: a first load in trouble, then one to three rounds of life, trouble and a sync."""
    chance = random.Random(seed)
    kinds = ["faults" if chance.random() < 0.7 else "knobs", "sync"]
    for _ in range(chance.randint(1, 3)):
        kinds += chance.choices(BOOKKEEPING, k=chance.randint(2, 5))
        kinds += chance.choices(PASSING, k=chance.randint(0, 2))
        kinds += chance.choices(TOLD, k=chance.randint(0, 1))
        kinds += chance.choices(TROUBLE, k=chance.randint(1, 2))
        kinds.append(chance.choice(SYNCS + TOLD))
    kinds += chance.choices(BOOKKEEPING, k=chance.randint(0, 2))
    return Plan(
        seed,
        entities=tuple(map(entity_named, (*ALWAYS, *chance.sample(SOMETIMES, 2)))),
        page_size=chance.randint(2, 8),
        invoices=chance.randint(5, 10),
        steps=tuple((kind, chance.randrange(10**6)) for kind in kinds),
    )


def play(sandbox: Sandbox, books: Books, made: Plan, day: date | None = None) -> Played:
    """Let a schedule happen to a company that nobody has seen before."""
    at = datetime.combine(day or datetime.now(UTC).date(), datetime.min.time(), UTC).replace(hour=18)
    sandbox.tell("/reset", {})
    sandbox.tell("/clock", {"at": at.isoformat(), "freeze": True})
    sandbox.tell("/companies", {"realm": made.realm, "seed": made.seed, "invoices": made.invoices})
    sandbox.tell("/settings", {"throttle": False})
    sandbox.connect(books, made.realm)
    stage = Stage(sandbox, books, made.realm, made.entities, made.page_size)
    stage.story.append(f"on {at.date()}, pages of {made.page_size}: {', '.join(each.name for each in made.entities)}")
    stage.listen()
    try:
        for kind, pick in made.steps:
            stage.do(kind, pick)
        wrong = stage.settle()
        faults = Counter(sandbox.tell("/faults")["ledger"])
    except Exception as error:
        error.add_note(str(Played(made.seed, ["it broke off here"], stage.story)))
        raise
    finally:
        stage.leave()
    return Played(made.seed, wrong, stage.story, faults, stage.syncs.total(), stage.told)


def run(seeds: Iterable[int], day: date | None = None, *, tell: bool = False) -> list[Played]:
    """Play schedules one after another, each in words if it lost something."""
    played: list[Played] = []
    with installation() as (place, _):
        books = place.books()
        for seed in seeds:
            played.append(play(place.sandbox, books, plan(seed), day))
            say(played[-1] if tell or played[-1].wrong else f"seed {seed}: all is well")
        books.database.dispose()
    return played


def figure(played: list[Played]) -> str:
    """Return the one line to report."""
    faults = sum((each.faults for each in played), Counter[str]())
    told = sum((each.told for each in played), Counter[str]())
    kinds = Counter(_kind(sentence) for each in played for sentence in each.wrong)
    lost = ", ".join(
        f"{name} {kinds[name]}"
        for name in ("rows lost", "rows too many", "versions stale", "deletes missed", "sums wrong", "syncs failed")
    )
    seeds = f"{played[0].seed}-{played[-1].seed}" if played else "none"
    return (
        f"{faults.total()} faults of {len(faults)} kinds injected over {sum(each.syncs for each in played)} syncs in "
        f"{len(played)} schedules (seeds {seeds}), {told['told']} notifications 1 to 5 times, {told['lost']} lost, "
        f"{told['killed']} runs for them killed; {lost}; recovery: 1 undisturbed sync"
    )


def _kind(sentence: str) -> str:
    for word, kind in (
        ("failed", "syncs failed"),
        ("adds up", "sums wrong"),
        ("missing", "rows lost"),
        ("live and noted", "rows lost"),
        ("delete", "deletes missed"),
        ("should not", "deletes missed"),
        ("has", "rows too many"),
    ):
        if word in sentence:
            return kind
    return "versions stale"


def main() -> None:
    """Run what the command line asks for; exit 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="play this one alone and tell it")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--day", type=date.fromisoformat, help="the day it was played on (books depend on it)")
    asked = parser.parse_args()
    seeds = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.count)
    played = run(seeds, asked.day, tell=asked.seed is not None)
    say(figure(played))
    sys.exit(any(each.wrong for each in played))


if __name__ == "__main__":
    main()
