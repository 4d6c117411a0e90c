"""Random lives of a company: its books change, its QuickBooks misbehaves, and the warehouse has to follow.

A history is a list of steps, each a kind and a number; the number decides everything random about the step, so the same
list does the same again. ``Stage.settle`` ends one: it takes the trouble away, syncs once undisturbed, and asks the
oracle. Clocks are the sandbox's and stand still between steps; nothing sleeps.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.sync.window import FULL, INCREMENTAL, Window, created_between
from tests.support.bookkeeping import BOOKKEEPING, HARD_DELETED, Bookkeeper
from tests.support.oracle import differences, remembered
from tests.support.quickbooks import Sandbox
from tests.support.trouble import CALM, knobs, rules
from tests.support.untimed import small_pages
from tests.support.webhooks import Letters

#: A connection nobody used for 101 days is dead, and that is no matter of syncing.
_LONGEST = timedelta(days=95)

PASSING = ("wait", "wait", "wait", "gap")
TROUBLE = ("faults", "faults", "knobs", "expire")
SYNCS = ("sync", "sync", "sync", "sync", "backfill", "full")
#: What QuickBooks tells by itself, on a bad network and to somebody who dies now and then.
TOLD = ("webhooks",)


@dataclass
class Stage:
    """One company whose books change, and the warehouse that follows."""

    sandbox: Sandbox
    books: Books
    realm: str
    entities: tuple[Entity, ...]
    page_size: int = 4
    #: What happened so far, in words.
    story: list[str] = field(default_factory=list)
    had: dict[str, set[str]] = field(default_factory=dict)
    passed: timedelta = timedelta()
    cdc_limit: int = 1000
    syncs: Counter[str] = field(default_factory=Counter)
    #: Notifications on their way: body and signature.
    network: list[tuple[bytes, str]] = field(default_factory=list)
    listens: bool = False
    told: Counter[str] = field(default_factory=Counter)
    bookkeeper: Bookkeeper = field(init=False)

    def __post_init__(self) -> None:
        """Let somebody keep its books."""
        self.bookkeeper = Bookkeeper(self.sandbox, self.realm, self.entities, self.page_size)

    def do(self, kind: str, pick: int) -> None:
        """Take one step; a step that is not possible in these books is none."""
        step: Callable[[random.Random], str | None] = (
            getattr(self.bookkeeper, kind) if kind in BOOKKEEPING else getattr(self, f"_{kind}")
        )
        said = step(random.Random(pick))
        self.story.append(f"{kind} {pick}: {said or 'nothing to do'}")

    def settle(self) -> list[str]:
        """Stop all trouble, sync undisturbed, and return what is still wrong."""
        self.sandbox.tell("/faults", method="DELETE")
        self._turn({})
        self._pass(timedelta(seconds=3700))  # whatever was late has become visible
        windows = [INCREMENTAL, FULL] if self.bookkeeper.is_silent else [INCREMENTAL]
        for window in windows:
            self.story.append(f"undisturbed: {self._synced(window)}")
        failed = [each for each in self.story[-len(windows) :] if "failed" in each]
        found = failed + self.wrong()
        # Whatever is still told of what was long ago must change nothing any more.
        if self.listens:
            self.story.append(f"late: {self.deliver_everything()}; {self._acted(None)}")
            found += [f"after late notifications, {each}" for each in self.wrong()]
        return found

    def listen(self) -> None:
        """Be told of changes from now on."""
        self.listens = True
        self.sandbox.tell("/webhooks", {"duplicates": 0, "events_per_post": 3})

    def wrong(self) -> list[str]:
        """Return what the oracle says now."""
        truth = self.sandbox.truth(self.realm)
        return differences(self.books.engine, self.realm, truth, had=self.had, entities=self.entities)

    def leave(self) -> None:
        """Let the next one find the sandbox as it was, and the database without this company's staging tables."""
        self.sandbox.tell("/faults", method="DELETE")
        with self.books.engine.begin() as connection:
            connection.execute(sa.text(f'DROP SCHEMA IF EXISTS "quickbooks_staging_{self.realm}" CASCADE'))

    # --- time, trouble, syncs ---

    def _wait(self, chance: random.Random) -> str:
        return self._pass(timedelta(seconds=chance.choice((1, 20, 300, 599, 700, 3600, 90_000, 3 * 86_400))))

    def _gap(self, _: random.Random) -> str:
        return self._pass(timedelta(days=45))

    def _faults(self, chance: random.Random) -> str:
        made = rules(chance, self.realm, [entity.name for entity in self.entities])
        self.sandbox.tell("/faults", method="DELETE")
        self.sandbox.tell("/faults", [rule.body for rule in made])
        return "; ".join(str(rule) for rule in made)

    def _knobs(self, chance: random.Random) -> str:
        truth = self.sandbox.truth(self.realm)
        live = [f"{e.name}/{key}" for e in self.entities if e.name in HARD_DELETED for key in truth.get(e.name, {})]
        turned = knobs(chance, live)
        self._turn(turned)
        return ", ".join(f"{name} = {value}" for name, value in turned.items())

    def _expire(self, _: random.Random) -> str:
        self.sandbox.tell("/tokens/expire", {"realm": self.realm})
        return "the access token has expired"

    def _sync(self, _: random.Random) -> str:
        return self._synced(INCREMENTAL)

    def _full(self, _: random.Random) -> str:
        return self._synced(FULL)

    def _backfill(self, chance: random.Random) -> str:
        until = self._now() - timedelta(days=chance.choice((0, 0, 30, 200)))
        return self._synced(created_between(until - timedelta(days=chance.choice((1, 40, 400))), until))

    def _synced(self, window: Window) -> str:
        self.syncs[window.mode] += 1
        try:
            with small_pages(self.page_size, self.cdc_limit):
                outcome = self.books.sync(self.realm, self.entities, window, trigger="history")
        except PipelineError as error:
            said = f"failed: {error}"
        else:
            failures = "; ".join(f"{each.entity.name}: {each.error}" for each in outcome.failed)
            said = f"{outcome.rows} rows, {outcome.calls} calls" + (f", failed for {failures}" if failures else "")
        for name, keys in remembered(self.books.engine, self.realm, self.entities).items():
            self.had.setdefault(name, set()).update(keys)
        return f"{window}: {said}"

    def _webhooks(self, chance: random.Random) -> str:
        """Some notifications are lost, the others come 1 to 5 times in any order; who acts on them may be killed."""
        loss = chance.choice((0.0, 0.0, 0.3, 1.0))
        for each in self._taken():
            copies = 0 if chance.random() < loss else chance.randint(1, 5)
            self.told["lost" if not copies else "told"] += 1
            self.network += [each] * copies
        chance.shuffle(self.network)
        said = self._delivered(share=chance.choice((0.3, 1.0, 1.0)))
        return f"{said}; {self._acted(chance.choice((None, None, None, 'claimed', 'committed')))}"

    def deliver_everything(self) -> str:
        """Let everything arrive that was told, and be due."""
        self.network += self._taken()
        said = self._delivered(share=1.0)
        self._make_due()
        return said

    def _make_due(self) -> None:
        with self.books.engine.begin() as connection:
            connection.execute(sa.text("UPDATE quickbooks.webhook_events SET due_at = now() WHERE status = 'waiting'"))

    def _taken(self) -> list[tuple[bytes, str]]:
        taken = self.sandbox.tell("/webhooks/take", {})["notifications"]
        return [(each["body"].encode(), each["signature"]) for each in taken]

    def _delivered(self, share: float) -> str:
        now, self.network = split(self.network, share)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("qbo_pipeline.warehouse.inbox.TOO_OLD", timedelta(days=36_500))
            letters = Letters(self.books)
            for body, signature in now:
                assert letters.deliver(body, signature).status == 200
        return f"{len(now)} notifications"

    def _acted(self, killed: str | None) -> str:
        """Act on what is due, as everything is that waits; die after it was claimed, or after the commit."""
        self._make_due()
        with small_pages(self.page_size, self.cdc_limit), pytest.MonkeyPatch.context() as patch:
            patch.setattr("qbo_pipeline.warehouse.inbox.TOO_OLD", timedelta(days=36_500))
            if killed is not None:
                place = "syncing.Syncer.sync" if killed == "claimed" else "warehouse.inbox.Inbox.done"
                patch.setattr(f"qbo_pipeline.{place}", _die)
            try:
                acted = self.books.act_on_webhooks(self.realm, self.entities)
            except _KilledError:
                said = f"killed once it was {killed}"
            except PipelineError as error:
                said = f"failed: {error}"
            else:
                said = "nothing waited" if acted is None else f"{acted.done} of {acted.events} events, {acted.window}"
        self.told[said.split(" ", 1)[0]] += 1
        for name, keys in remembered(self.books.engine, self.realm, self.entities).items():
            self.had.setdefault(name, set()).update(keys)
        return said

    # --- small means ---

    def _pass(self, time: timedelta) -> str:
        if self.passed + time > _LONGEST:
            time = timedelta(seconds=60)
        self.passed += time
        self.sandbox.tell("/clock", {"advance_seconds": time.total_seconds()})
        return f"{time} later"

    def _now(self) -> datetime:
        return datetime.fromisoformat(self.sandbox.tell("/clock")["time"])

    def _turn(self, turned: dict[str, Any]) -> None:
        self.sandbox.tell("/settings", CALM | turned)
        self.cdc_limit = int(turned.get("cdc_cap", 1000))


class _KilledError(BaseException):
    """What a process that dies does not catch."""


def _die(*_: object, **__: object) -> None:
    raise _KilledError


def split(things: list[tuple[bytes, str]], share: float) -> tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]]:
    """Return a share of things, and the rest."""
    many = round(len(things) * share)
    return things[:many], things[many:]
