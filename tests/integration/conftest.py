"""A whole installation for a test: real Postgres, a real local QuickBooks, and one connected company."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.settings import Settings
from qbo_pipeline.warehouse.companies import Company
from tests.conftest import drop_database
from tests.support.quickbooks import Sandbox, running_sandbox
from tests.support.untimed import untimed_books


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


@pytest.fixture(scope="session")
def loaded_template(
    migrated_template: str,
    create_database: Callable[[str | None], str],
    sandbox_process: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Name of a database with the company's books in it, to clone from."""
    sandbox_process.tell("/faults", method="DELETE")
    sandbox_process.tell("/reset", {})
    url = create_database(migrated_template)
    settings = Settings(
        database_url=url,
        environment="local",
        local_url=sandbox_process.url,
        state_dir=tmp_path_factory.mktemp("loaded") / "state",
    )
    books = untimed_books(settings)
    sandbox_process.connect(books)
    assert books.sync(None, trigger="test").failed == []
    books.database.dispose()  # nobody may be connected to a template
    return str(sa.make_url(url).database)


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, create_database: Callable[[str | None], str], server_url: str
) -> Iterator[str]:
    """URL of a database for this test alone: with the company's books in it if the test asks for ``loaded`` ones."""
    template = "loaded_template" if "loaded" in request.fixturenames else "migrated_template"
    url = create_database(request.getfixturevalue(template))
    yield url
    drop_database(server_url, url)


@pytest.fixture
def books(quickbooks: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Books]:
    """An installation that talks to it and never waits for it, with nothing connected yet."""
    settings = Settings(
        database_url=database_url, environment="local", local_url=quickbooks.url, state_dir=tmp_path / "state"
    )
    made = untimed_books(settings)
    made.upgrade()
    yield made
    made.database.dispose()


@pytest.fixture
def company(books: Books, quickbooks: Sandbox) -> Company:
    """The company, connected; no books loaded yet."""
    return quickbooks.connect(books)


@pytest.fixture
def loaded(books: Books, quickbooks: Sandbox) -> Books:
    """The installation with the company connected and its books loaded; what comes next is an hour like others."""
    quickbooks.connect(books)  # the local QuickBooks has begun anew since, and knows no token
    quickbooks.tell("/calls", method="DELETE")
    return books


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
        books = untimed_books(
            Settings(database_url=url, environment="local", local_url=quickbooks.url, state_dir=state)
        )
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
