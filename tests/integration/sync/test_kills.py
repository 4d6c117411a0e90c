"""Killed, cut off, or one of many: one undisturbed sync afterwards makes the warehouse equal to QuickBooks.

Six kills and the gentler cuts; ``make soak`` has the whole matrix, and crashes of Postgres.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.cuts import backends_terminated, crowd, frozen
from tests.soak.installation import Installation
from tests.soak.kills import PLACES, kill_at, live, new_stage
from tests.support.histories import Stage
from tests.support.quickbooks import Sandbox

pytestmark = pytest.mark.slow

CHOSEN = ("reading, some answers later", "normalize", "merge", "merge of lines", "cursor", "deleted rows leave")


@pytest.fixture
def home(quickbooks: Sandbox, database_url: str, tmp_path: Path) -> Installation:
    return Installation(quickbooks, database_url, tmp_path)


@pytest.fixture
def stage(home: Installation) -> Iterator[Stage]:
    """A company that is loaded."""
    made = new_stage(home, loaded=True)
    yield made
    made.books.database.dispose()


@pytest.mark.parametrize("name", CHOSEN)
def test_a_sync_that_is_killed_costs_nothing(name: str, home: Installation, stage: Stage) -> None:
    (place,) = (each for each in PLACES if each.name == name)
    live(stage, random.Random(name), deletes=place.deletes)
    killed = kill_at(place, "incremental", home, stage)
    assert killed.was_there, f"it ended before it came there and said {killed.said!r}"
    assert killed.wrong == [], "\n".join(stage.story)


def test_a_load_that_is_cut_off_from_its_database_costs_nothing(home: Installation, stage: Stage) -> None:
    live(stage, random.Random(1))
    cut = backends_terminated(home, stage, "quickbooks.invoices")
    assert cut.happened
    assert cut.wrong == [], "\n".join(stage.story)


def test_a_run_that_slept_while_another_synced_writes_nothing(home: Installation, stage: Stage) -> None:
    live(stage, random.Random(3))
    cut = frozen(home, stage, "quickbooks.invoices")
    assert cut.happened
    assert cut.wrong == [], "\n".join(stage.story)


def test_two_schedulers_the_terminal_and_a_backfill_at_once_are_one_after_another(
    home: Installation, stage: Stage
) -> None:
    live(stage, random.Random(2))
    assert crowd(home, stage, 0).wrong == [], "\n".join(stage.story)
