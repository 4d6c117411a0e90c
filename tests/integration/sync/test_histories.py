"""Whatever happens to books and connection, one undisturbed sync makes the warehouse equal to QuickBooks.

A failure prints the schedule in words, and the command that plays it again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import entity_named
from qbo_pipeline.settings import Settings
from tests.soak.schedules import plan, play
from tests.support.bookkeeping import BOOKKEEPING
from tests.support.histories import PASSING, SYNCS, TOLD, TROUBLE, Stage
from tests.support.quickbooks import Sandbox
from tests.support.untimed import untimed_books

SCHEDULES = 30
_realms = itertools.count(9150000000000000)


@pytest.fixture(scope="module")
def untimed(
    sandbox_process: Sandbox, migrated_template: str, create_database: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Books]:
    """One installation for all of them: every schedule has a company of its own."""
    books = untimed_books(
        Settings(
            database_url=create_database(migrated_template),
            environment="local",
            local_url=sandbox_process.url,
            state_dir=tmp_path_factory.mktemp("state"),
        )
    )
    yield books
    books.database.dispose()


def new_stage(sandbox: Sandbox, books: Books, page_size: int = 4, seed: int = 1) -> Stage:
    """Return a company of its own, connected, on a day that is always the same."""
    realm = str(next(_realms))
    sandbox.tell("/reset", {})
    sandbox.tell("/clock", {"at": "2026-11-23T18:00:00Z", "freeze": True})
    sandbox.tell("/companies", {"realm": realm, "seed": seed, "invoices": 5})
    sandbox.tell("/settings", {"throttle": False})
    sandbox.connect(books, realm)
    names = ("Customer", "Invoice", "Payment", "TimeActivity")
    return Stage(sandbox, books, realm, tuple(map(entity_named, names)), page_size)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_schedule_of_trouble_loses_nothing(seed: int, sandbox_process: Sandbox, untimed: Books) -> None:
    played = play(sandbox_process, untimed, plan(seed), date(2026, 11, 23))  # books depend on the day they begin
    assert played.wrong == [], str(played)


def test_a_schedule_is_the_same_again_and_another_is_another() -> None:
    assert plan(7) == plan(7)
    assert plan(7).steps != plan(8).steps


@pytest.mark.slow
def test_no_order_of_steps_loses_anything(sandbox_process: Sandbox, untimed: Books) -> None:
    """The same steps, in whatever order hypothesis likes. To have a failure made shorter, add ``Phase.shrink``; at
    seconds for every sync that takes most of an hour.
    """

    class Life(RuleBasedStateMachine):
        stage: Stage

        @initialize(page_size=st.integers(2, 6), seed=st.integers(0, 99))
        def begin(self, page_size: int, seed: int) -> None:
            self.stage = new_stage(sandbox_process, untimed, page_size, seed)
            self.stage.listen()

        @rule(kind=st.sampled_from((*BOOKKEEPING, *PASSING)), pick=st.integers(0, 999))
        def something_happens(self, kind: str, pick: int) -> None:
            self.stage.do(kind, pick)

        @rule(kind=st.sampled_from(TROUBLE), pick=st.integers(0, 999))
        def trouble_begins(self, kind: str, pick: int) -> None:
            self.stage.do(kind, pick)

        @rule(kind=st.sampled_from(TOLD), pick=st.integers(0, 999))
        def quickbooks_tells(self, kind: str, pick: int) -> None:
            self.stage.do(kind, pick)

        @rule(kind=st.sampled_from(SYNCS), pick=st.integers(0, 999))
        def somebody_syncs(self, kind: str, pick: int) -> None:
            self.stage.do(kind, pick)

        def teardown(self) -> None:
            if not hasattr(self, "stage"):
                return
            wrong = self.stage.settle()
            self.stage.leave()
            assert wrong == [], "\n".join([*self.stage.story, "and then:", *wrong])

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=2,
            stateful_step_count=12,
            phases=(Phase.generate,),
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


def nothing_of_invoices(stage: Stage) -> dict[str, object]:
    """Return the rule that the next answer to a query for invoices is empty."""
    return {"fault": "empty_page", "times": 1, "match": {"realm": stage.realm, "path": "query", "entity": "Invoice"}}


def test_a_first_load_whose_first_page_is_empty_is_made_good(sandbox_process: Sandbox, untimed: Books) -> None:
    stage = new_stage(sandbox_process, untimed)
    stage.entities = stage.entities[:3]  # those whose deletions need no full read, which would make it good too
    sandbox_process.tell("/faults", nothing_of_invoices(stage))
    stage.do("sync", 0)
    assert stage.settle() == []


def test_a_false_stub_is_not_believed_on_the_word_of_an_empty_page(sandbox_process: Sandbox, untimed: Books) -> None:
    stage = new_stage(sandbox_process, untimed)
    stage.entities = stage.entities[:3]
    stage.do("sync", 0)
    sandbox_process.tell("/clock", {"advance_seconds": 3600})
    live = next(iter(sandbox_process.truth(stage.realm)["Invoice"]))
    sandbox_process.tell("/settings", {"cdc_false_stubs": [f"Invoice/{live}"]})
    sandbox_process.tell("/faults", nothing_of_invoices(stage))
    stage.do("sync", 0)
    assert stage.settle() == []
