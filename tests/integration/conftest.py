"""A whole installation for a test: real Postgres, a real local QuickBooks, and one connected company."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qbo_pipeline.books import Books
from qbo_pipeline.settings import Settings
from qbo_pipeline.warehouse.companies import Company
from tests.support.quickbooks import Sandbox, running_sandbox


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    with running_sandbox("--invoices", "60") as started:
        yield started


@pytest.fixture
def quickbooks(sandbox_process: Sandbox) -> Sandbox:
    """The local QuickBooks as it was when it started."""
    sandbox_process.tell("/faults", method="DELETE")
    sandbox_process.tell("/reset", {})
    sandbox_process.tell("/settings", {"throttle": False})
    sandbox_process.tell("/calls", method="DELETE")
    return sandbox_process


@pytest.fixture
def books(quickbooks: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Books]:
    """An installation that talks to it, with nothing connected yet."""
    settings = Settings(
        database_url=database_url, environment="local", local_url=quickbooks.url, state_dir=tmp_path / "state"
    )
    made = Books(settings)
    made.upgrade()
    yield made
    made.database.dispose()


@pytest.fixture
def company(books: Books, quickbooks: Sandbox) -> Company:
    """The company, connected; no books loaded yet."""
    return quickbooks.connect(books)
