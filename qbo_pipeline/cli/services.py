"""``qbo up`` and ``qbo down``: everything that has to keep running, started and stopped together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from qbo_pipeline.cli.supervisor import Program, Supervisor, free_port, leftovers, stop_processes
from qbo_pipeline.errors import BusyError
from qbo_pipeline.settings import EVENT_BATCHES, note_service

if TYPE_CHECKING:
    from qbo_pipeline.books import Books

UI_PORT = 3000


@click.command()
@click.option("--database", "database_only", is_flag=True, help="Only start the database, note it in .env, and return.")
@click.option(
    "--ui-port", type=click.IntRange(1, 65535), default=UI_PORT, show_default=True, help="Port of Dagster's UI."
)
def up(database_only: bool, ui_port: int) -> None:
    """Run the pipeline: database, Dagster and web app; start again what dies; Ctrl-C stops them."""
    from qbo_pipeline.books import Books

    books = Books()
    for sentence in books.upgrade():
        click.echo(f"- {sentence}")
    if database_only:
        _note_in_dotenv({"DAGSTER_PG_URL": books.dagster_url})
        click.echo("The database is running; 'dagster dev' and the other qbo commands find it. 'qbo down' stops it.")
        return
    with running(books.settings.state_dir) as supervisor:
        dagster = dagster_program(books, ui_port)
        web = web_program(books)
        for program in (web, dagster):
            supervisor.start(program)
        click.echo("Starting Dagster …")
        for program in (web, dagster):
            supervisor.wait_until_ready(program)
        click.echo(f"Dagster   {dagster.url}\nWeb app   {web.url.removesuffix('/healthz')}\nCtrl-C stops both.")
        supervisor.watch()


@click.command()
def down() -> None:
    """Stop everything 'qbo up' or 'qbo demo' started, the embedded database included."""
    from qbo_pipeline.settings import load_settings
    from qbo_pipeline.warehouse.embedded import EmbeddedPostgres

    settings = load_settings()
    stopped = []
    if left := leftovers(settings.state_dir):
        stop_processes(left)
        (settings.state_dir / "processes.json").unlink(missing_ok=True)
        stopped.append(f"{len(left)} programs")
    if not settings.database_url and EmbeddedPostgres(settings.state_dir).stop():
        stopped.append("the embedded Postgres")
    click.echo(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing was running.")


@contextmanager
def running(state_dir: Path) -> Iterator[Supervisor]:
    """Hold the one supervisor of a state folder; on the way out stop all it started.

    Raises BusyError when another one is at work.
    """
    import signal

    import filelock

    state_dir.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(state_dir / "supervisor.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BusyError(
            "'qbo up' or 'qbo demo' is running here already; stop it with Ctrl-C (or 'qbo down') first."
        ) from None
    supervisor = Supervisor(state_dir)
    supervisor.stop_leftovers()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield supervisor
    except KeyboardInterrupt:
        click.echo("\nStopping …")
    finally:
        # A second Ctrl-C must not interrupt the stopping half-way.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        supervisor.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, before)
        lock.release()


def dagster_home(state_dir: Path) -> Path:
    """Return Dagster's home folder, made when it is missing, with this project's dagster.yaml in it."""
    home = (state_dir / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_dagster_yaml(), home / "dagster.yaml")
    return home


def dagster_program(books: Books, port: int, environment: Mapping[str, str] | None = None) -> Program:
    """Return the program that runs Dagster's UI, daemon and code server."""
    port = free_port(port)
    url = f"http://127.0.0.1:{port}"
    note_service(books.settings.state_dir, "dagster", url)
    return Program(
        "dagster",
        ["-W", "ignore", "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port), "-m", "qbo_pipeline.definitions"],
        url,
        {
            **EVENT_BATCHES,
            "DAGSTER_HOME": str(dagster_home(books.settings.state_dir)),
            "DAGSTER_PG_URL": books.dagster_url,
            "QBO_STATE_DIR": str(books.settings.state_dir),
            **(environment or {}),
        },
    )


def web_program(books: Books, environment: Mapping[str, str] | None = None) -> Program:
    """Return the program that serves the web app, at the port of the redirect address."""
    port = urlsplit(books.settings.redirect_uri).port or 8500
    note_service(books.settings.state_dir, "web", f"http://127.0.0.1:{port}")
    return Program(
        "web",
        ["-m", "qbo_pipeline.web", "--port", str(port)],
        f"http://127.0.0.1:{port}/healthz",
        {"QBO_STATE_DIR": str(books.settings.state_dir), **(environment or {})},
    )


def _dagster_yaml() -> Path:
    import qbo_pipeline

    return Path(qbo_pipeline.__file__).parent.parent / "dagster.yaml"


def _note_in_dotenv(values: Mapping[str, str]) -> None:
    from dotenv import set_key

    path = Path.cwd() / ".env"
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    for name, value in values.items():
        set_key(path, name, value)
