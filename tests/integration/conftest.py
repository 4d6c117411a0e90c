"""A whole installation for a test: real Postgres, a real local QuickBooks, and one connected company."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.qbo.throttle import Throttle, Throttles
from qbo_pipeline.settings import Settings
from qbo_pipeline.warehouse.companies import Company
from tests.support.quickbooks import Sandbox, running_sandbox


@pytest.fixture(scope="session", autouse=True)
def _without_a_throttle() -> Iterator[None]:
    """Intuit's limits would make every first load here take ten seconds; the local QuickBooks has none switched on."""
    with pytest.MonkeyPatch.context() as patch:
        quick = Throttles(lambda: Throttle(per_second=10_000, per_minute=1_000_000))
        patch.setattr("qbo_pipeline.qbo.throttle.SHARED", quick)
        yield


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


@dataclass
class Standing:
    """A company that is connected and loaded once, for tests that put back in order whatever they spoil."""

    books: Books
    quickbooks: Sandbox
    company: Company
    url: str

    def execute(self, statement: str, **values: Any) -> None:
        """Spoil the warehouse."""
        with self.books.database.begin() as connection:
            connection.execute(sa.text(statement), values)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Look into the warehouse."""
        with self.books.database.connect() as connection:
            return list(connection.execute(sa.text(statement), values))


@pytest.fixture(scope="session")
def loaded_once(
    migrated_template: str, create_database: Callable[[str | None], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    with running_sandbox("--invoices", "40") as quickbooks:
        url = create_database(migrated_template)
        state = tmp_path_factory.mktemp("standing") / "state"
        books = Books(Settings(database_url=url, environment="local", local_url=quickbooks.url, state_dir=state))
        quickbooks.connect(books)
        assert books.sync(None, trigger="test").failed == []
        yield Standing(books, quickbooks, books.company(None), url)
        books.database.dispose()


@pytest.fixture
def standing(loaded_once: Standing) -> Standing:
    """The company that is loaded once, with a QuickBooks that does as it should."""
    loaded_once.quickbooks.tell("/faults", method="DELETE")
    loaded_once.quickbooks.tell("/settings", {"cdc_merge": "stub", "unavailable": []})
    loaded_once.quickbooks.tell("/calls", method="DELETE")
    return loaded_once
