"""``qbo up`` and ``qbo down``: everything that has to keep running, started and stopped together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qbo_pipeline.cli.processes import check_port
from qbo_pipeline.cli.running import running, stop_running
from qbo_pipeline.cli.supervisor import Program
from qbo_pipeline.cli.terminal import Progress, json_option, print_json
from qbo_pipeline.errors import SettingsError
from qbo_pipeline.settings import EVENT_BATCHES

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
    if database_only:
        _start_database(books)
        return
    _check_quickbooks(books)
    progress = Progress()
    with running(books.settings.state_dir, progress) as supervisor:
        with progress.step("Postgres"):
            done = books.upgrade()
        for sentence in done:
            progress.say(sentence)
        check_port(ui_port, "for Dagster's UI", "stop what listens there, or choose another with --ui-port")
        web_port = books.settings.web_port
        check_port(web_port, "for the web app (QBO_REDIRECT_URI)", "stop what listens there, or choose another address")
        web, dagster = web_program(books, web_port), dagster_program(books, ui_port)
        with progress.step("Dagster and the web app"):
            for program in (web, dagster):
                supervisor.start(program)
            for program in (web, dagster):
                supervisor.wait_until_ready(program)
        click.echo(f"\n  Dagster   {dagster.url}\n  Web app   {web.url}\n\nCtrl-C stops both; the database goes on.")
        supervisor.watch()


def _start_database(books: Books) -> None:
    for sentence in books.upgrade():
        click.echo(f"- {sentence}")
    path = note_in_dotenv({"DAGSTER_PG_URL": books.dagster_url})
    stop = " 'qbo down' stops it." if books.embedded else ""
    click.echo(f"The database is ready, and 'dagster dev' in this folder finds it through {path.name}.{stop}")


def _check_quickbooks(books: Books) -> None:
    """Raise for settings of a real QuickBooks that cannot work; a local one may be started later."""
    if books.settings.environment != "local":
        _ = books.settings.credentials, books.environment
        return
    try:
        _ = books.environment
    except SettingsError as error:
        click.echo(f"Note: {error}", err=True)


@click.command()
@json_option
def down(as_json: bool) -> None:
    """Stop everything 'qbo up' or 'qbo demo' started, the embedded database included."""
    from qbo_pipeline.settings import load_settings
    from qbo_pipeline.warehouse.embedded import EmbeddedPostgres

    settings = load_settings()
    programs = stop_running(settings.state_dir)
    database = not settings.database_url and EmbeddedPostgres(settings.state_dir).stop()
    if as_json:
        print_json({"stopped": {"programs": programs, "database": database}})
        return
    stopped = [*(["the programs"] if programs else []), *(["the embedded Postgres"] if database else [])]
    click.echo(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing was running.")


def dagster_home(state_dir: Path) -> Path:
    """Return Dagster's home folder, made when it is missing, with this project's dagster.yaml in it."""
    home = (state_dir / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_dagster_yaml(), home / "dagster.yaml")
    return home


def dagster_program(books: Books, port: int) -> Program:
    """Return the program that runs Dagster's UI, daemon and code server."""
    listen = ["-h", "127.0.0.1", "-p", str(port)]
    return Program(
        "dagster",
        ["-W", "ignore", "-m", "dagster", "dev", *listen, "-m", "qbo_pipeline.definitions"],
        port,
        "/server_info",
        {
            **EVENT_BATCHES,
            "DAGSTER_HOME": str(dagster_home(books.settings.state_dir)),
            "DAGSTER_PG_URL": books.dagster_url,
            "QBO_STATE_DIR": str(books.settings.state_dir),
        },
    )


def web_program(books: Books, port: int) -> Program:
    """Return the program that serves the web app."""
    return Program(
        "web",
        ["-m", "qbo_pipeline.web", "--port", str(port)],
        port,
        "/healthz",
        {"QBO_STATE_DIR": str(books.settings.state_dir)},
    )


def _dagster_yaml() -> Path:
    import qbo_pipeline

    package = Path(qbo_pipeline.__file__).parent
    packed = package / "dagster.yaml"  # a wheel has it inside, the repository at its top
    return packed if packed.exists() else package.parent / "dagster.yaml"


def note_in_dotenv(values: Mapping[str, str]) -> Path:
    """Set variables in .env of the working folder, and make it readable for its owner only: they hold passwords."""
    from dotenv import set_key

    path = Path.cwd() / ".env"
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    for name, value in values.items():
        set_key(path, name, value)
    path.chmod(0o600)
    return path
