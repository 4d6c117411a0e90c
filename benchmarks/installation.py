"""A Postgres and an installation of the product for measuring: made in a temporary folder and gone afterwards.

Postgres keeps its ordinary, durable settings. Every run has a database of its own, cloned from one that has the tables
and a company, connected, in it.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import sqlalchemy as sa

from benchmarks.fake import REALM, Fake
from qbo_pipeline.books import Books
from qbo_pipeline.cli.services import dagster_home
from qbo_pipeline.settings import EVENT_BATCHES, Settings
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from qbo_pipeline.warehouse.engine import open_engine, plain_url
from qbo_pipeline.warehouse.postmaster import postmaster

BYTECODE = Path(tempfile.gettempdir()) / "qbo-bench-bytecode"
_TEMPLATE = "bench_template"


@dataclass
class Installation:
    """``url`` is the server's maintenance database; ``folder`` holds state and logs."""

    url: str
    postmaster: int
    folder: Path
    fake: Fake

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._server = open_engine(self.url, application_name="bench", pool_size=1)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def dagster(self) -> dict[str, str]:
        """Return the settings under which ``qbo up`` starts Dagster."""
        return {**EVENT_BATCHES, "DAGSTER_HOME": str(dagster_home(self.state))}

    def environment(self, database: str) -> dict[str, str]:
        """Return the settings under which ``qbo`` works on a database and the fake QuickBooks."""
        return {
            "DATABASE_URL": database,
            "QBO_ENVIRONMENT": "local",
            "QBO_LOCAL_URL": self.fake.url,
            "QBO_STATE_DIR": str(self.state),
            # Every program has its bytecode after its first run, wherever it is installed.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(BYTECODE),
        }

    def make_template(self) -> None:
        """Make the database that runs begin with."""
        self._execute(f'CREATE DATABASE "{_TEMPLATE}"')
        self.fake.set()
        books = Books(
            Settings(
                database_url=self._url_of(_TEMPLATE),
                environment="local",
                local_url=self.fake.url,
                state_dir=self.state,
            )
        )
        books.upgrade()
        (state,) = parse_qs(urlsplit(books.connector.begin()).query)["state"]
        books.connector.complete({"state": state, "code": "code", "realmId": REALM})
        books.database.dispose()  # nobody may be connected to a template

    @contextmanager
    def database(self, template: str = _TEMPLATE) -> Iterator[str]:
        """Make a database from a template, settle what is left to write, and remove it afterwards; yield its URL."""
        name = f"bench_{next(self._numbers)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._execute("CHECKPOINT")
        try:
            yield self._url_of(name)
        finally:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _url_of(self, database: str) -> str:
        return plain_url(self._server.url.set(database=database).render_as_string(hide_password=False))

    def _execute(self, statement: str) -> None:
        with self._server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(statement))


@contextmanager
def installation(fake: Fake) -> Iterator[Installation]:
    """Start a Postgres for measuring, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="qbo-bench-"))
    folder.chmod(0o755)  # as root, another account runs the server and has to get in
    server = EmbeddedPostgres(folder / "server", service_home=folder / "service")
    try:
        url = server.ensure()
        data = server.status().data
        process = postmaster(data) if data is not None else None
        assert process is not None
        made = Installation(url, process, folder, fake)
        made.make_template()
        yield made
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
