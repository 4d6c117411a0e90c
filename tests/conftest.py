"""A real Postgres for every test that asks for one.

One embedded server serves the whole test session, xdist workers included. The main process knows where it may be and
stops it at the end; whichever worker needs it first starts it. Every test gets a database of its own, cloned from a
migrated template. A session that was killed leaves a server behind: the next session stops it and clears up.

    QBO_TEST_DATABASE_URL   use this server instead (the user must be allowed to create databases)
    QBO_SAMPLES             where the real QuickBooks payloads are, if not in ../shared/qbo-samples
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import filelock
import pytest
import sqlalchemy as sa

from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.sync.scratch import is_alive
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from qbo_pipeline.warehouse.engine import open_engine, plain_url
from qbo_pipeline.warehouse.migrate import upgrade

_PREFIX = "qbo-tests-"
_HOME = pytest.StashKey[Path]()
_numbers = itertools.count(1)


def session_server(home: Path) -> EmbeddedPostgres:
    """Return the embedded server of a test session; durability costs time and a test database needs none."""
    quick = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return EmbeddedPostgres(home / "state", service_home=home / "service", settings=quick)


def pytest_configure(config: pytest.Config) -> None:
    """Settle where the session's server will be (workers are told by the main process)."""
    if hasattr(config, "workerinput"):
        config.stash[_HOME] = Path(config.workerinput["qbo_home"])
        return
    _clear_up_after_killed_sessions()
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    home.chmod(0o755)  # as root, another account runs the server and has to get in
    config.stash[_HOME] = home


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell an xdist worker where the server is."""
    node.workerinput["qbo_home"] = str(node.config.stash[_HOME])  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the session's server, if any test started it."""
    if not hasattr(config, "workerinput") and _HOME in config.stash:
        _remove(config.stash[_HOME])


def _remove(home: Path) -> None:
    session_server(home).stop()
    if (given := os.environ.get("QBO_TEST_DATABASE_URL")) and (home / "template").exists():
        server = open_engine(given, pool_size=1)
        _execute(server, f'DROP DATABASE IF EXISTS "{(home / "template").read_text()}"')
        server.dispose()
    shutil.rmtree(home, ignore_errors=True)


def _clear_up_after_killed_sessions() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another session may be clearing up the same one, and may be faster.
        with suppress(OSError, ValueError, WarehouseError):
            pid = int(home.name.removeprefix(_PREFIX).split("-")[0])
            if home.stat().st_uid == os.geteuid() and not is_alive(pid):
                _remove(home)


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """URL of a maintenance database on the session's Postgres."""
    if given := os.environ.get("QBO_TEST_DATABASE_URL"):
        return given
    return session_server(request.config.stash[_HOME]).ensure()


@pytest.fixture(scope="session")
def create_database(server_url: str) -> Iterator[Callable[[str | None], str]]:
    """``create_database(template)`` makes a database and returns its URL; all are dropped when the session ends."""
    server = open_engine(server_url, application_name="tests", pool_size=1)
    made: list[str] = []

    def create(template: str | None) -> str:
        name = f"qbo_test_{os.getpid()}_{next(_numbers)}"
        _execute(server, f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        made.append(name)
        return plain_url(server.url.set(database=name).render_as_string(hide_password=False))

    yield create
    for name in made:
        _execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    server.dispose()


@pytest.fixture(scope="session")
def migrated_template(
    server_url: str, request: pytest.FixtureRequest, create_database: Callable[[str | None], str]
) -> str:
    """Name of a database with our tables, to clone from; one for the whole session, made by whoever is first."""
    home = request.config.stash[_HOME]
    with filelock.FileLock(home / "template.lock"):
        note = home / "template"
        if not note.exists():
            name = f"qbo_template_{home.name.replace('-', '_')}"
            server = open_engine(server_url, pool_size=1)
            _execute(server, f'CREATE DATABASE "{name}"')
            engine = open_engine(server.url.set(database=name).render_as_string(hide_password=False))
            upgrade(engine)
            engine.dispose()  # nobody may be connected to a template
            server.dispose()
            note.write_text(name)
        return note.read_text()


@pytest.fixture
def database_url(
    migrated_template: str, create_database: Callable[[str | None], str], server_url: str
) -> Iterator[str]:
    """URL of a fresh database with our tables in it, for this test alone."""
    url = create_database(migrated_template)
    yield url
    drop_database(server_url, url)


@pytest.fixture
def empty_database_url(create_database: Callable[[str | None], str], server_url: str) -> Iterator[str]:
    """URL of a fresh database with nothing in it, for this test alone."""
    url = create_database(None)
    yield url
    drop_database(server_url, url)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An engine on ``database_url``."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real QuickBooks payloads (see its INDEX.md)."""
    folder = Path(os.environ.get("QBO_SAMPLES") or Path(__file__).parents[2] / "shared" / "qbo-samples")
    if not folder.is_dir():
        pytest.skip(f"NO REAL PAYLOADS: {folder} does not exist; set QBO_SAMPLES to the folder of samples")
    return folder


def drop_database(server_url: str, url: str) -> None:
    """Remove a database that a test has had for itself."""
    server = open_engine(server_url, pool_size=1)
    _execute(server, f'DROP DATABASE IF EXISTS "{sa.make_url(url).database}" WITH (FORCE)')
    server.dispose()


def _execute(engine: sa.Engine, statement: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(statement))
