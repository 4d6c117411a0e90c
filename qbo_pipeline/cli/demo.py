"""``qbo demo``: the whole thing at once, on this machine, with a made-up company or with your own files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qbo_pipeline.cli.local import LocalQuickBooks, Source, check_folder
from qbo_pipeline.cli.processes import free_port
from qbo_pipeline.cli.running import running
from qbo_pipeline.cli.services import UI_PORT, dagster_program, web_program
from qbo_pipeline.cli.summary import Summary
from qbo_pipeline.cli.supervisor import Program, Supervisor
from qbo_pipeline.cli.terminal import Progress, json_option, print_json
from qbo_pipeline.errors import PipelineError, UsageError
from qbo_pipeline.settings import forget_service, note_service

if TYPE_CHECKING:
    from qbo_pipeline.books import Books
    from qbo_pipeline.warehouse.companies import Company

WEB_PORT = 8500


@click.command()
@click.option("--once", is_flag=True, help="Load, print the summary and stop; no UI.")
@click.option(
    "--books",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of real QuickBooks payload files to load, instead of a made-up company.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Which made-up company.")
@click.option("--invoices", type=click.IntRange(0), default=200, show_default=True, help="How many invoices it has.")
@json_option
def demo(once: bool, folder: Path | None, seed: int, invoices: int, as_json: bool) -> None:
    """Set everything up on this machine and show it: Postgres, a local QuickBooks, a first sync, Dagster's UI."""
    _use_local_quickbooks()
    from qbo_pipeline.settings import load_settings

    if folder is not None:
        check_folder(folder)
    state_dir = load_settings().state_dir
    progress = Progress(quiet=as_json)
    with running(state_dir, progress) as supervisor:
        # Not before what a killed demo left behind is stopped: its ports are free again now.
        os.environ["QBO_REDIRECT_URI"] = f"http://localhost:{free_port(WEB_PORT)}/callback"
        from qbo_pipeline.books import Books

        books = Books()
        with progress.step("Postgres" if books.embedded else "Postgres (DATABASE_URL)"):
            _refuse_real_books(books)
            books.upgrade()
        quickbooks = LocalQuickBooks(supervisor, state_dir, Source(folder, seed, invoices))
        with progress.step("A local QuickBooks") as result:
            quickbooks.start()
            result.append(quickbooks.says())
        note_service(state_dir, "quickbooks", quickbooks.url)
        books = Books()  # whose settings know where QuickBooks is
        try:
            with progress.step("Consent, through OAuth") as result:
                company = quickbooks.connect(books)
                quickbooks.program.restarted = lambda: _connect_again(books, quickbooks, tells=not once)
                result.append(company.name)
            with progress.step("Sync") as result:
                result.append(_sync(supervisor, company, state_dir, progress))
            programs: list[Program] = []
            if not once:
                with progress.step("Dagster and the web app"):
                    programs = _start_ui(supervisor, books)
                    quickbooks.tell(programs[-1].url)
            summary = Summary(books, company, [quickbooks.program, *programs] if programs else [], quickbooks.report)
            if as_json:
                print_json(summary.document())
            else:
                summary.print()
            if not once:
                supervisor.watch()
        finally:
            forget_service(state_dir, "quickbooks", quickbooks.url)


def _use_local_quickbooks() -> None:
    """Point this process and its children at a local QuickBooks, whatever .env says about real ones."""
    os.environ["QBO_ENVIRONMENT"] = "local"
    for name in (
        "QBO_LOCAL_URL",
        "QBO_CLIENT_ID",
        "QBO_CLIENT_SECRET",
        "QBO_AUTH_BASIC",
        "QBO_REDIRECT_URI",
        "QBO_WEBHOOK_VERIFIER_TOKEN",
    ):
        os.environ[name] = ""  # set but empty: stronger than .env


def _refuse_real_books(books: Books) -> None:
    """Raise UsageError when DATABASE_URL holds books of real companies: a demo has no business beside them."""
    if books.embedded is not None:
        return
    import sqlalchemy as sa

    from qbo_pipeline.warehouse.companies import CompanyStore
    from qbo_pipeline.warehouse.migrate import current_revision

    if current_revision(books.database) is None:
        real = sa.inspect(books.database).has_table("tokens", schema="quickbooks")
    else:
        real = any(company.environment != "local" for company in CompanyStore(books.database).all())
    if real:
        raise UsageError(
            "DATABASE_URL names a database with real companies in it, and the demo would put a made-up one beside "
            "them: unset DATABASE_URL for the demo, or give it a database of its own."
        )


def _sync(supervisor: Supervisor, company: Company, state_dir: Path, progress: Progress) -> str:
    """Sync through Dagster, and say what came of it. Raises PipelineError when it fails."""
    written: dict[str, int] = {}
    problems: list[str] = []

    def hear(line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "error" in said:
            problems.append(said["error"])
        else:
            written[said["entity"]] = said["rows"]
            progress.reading(said["entity"], said["records"])

    program = Program(
        "sync",
        ["-W", "ignore", "-m", "qbo_pipeline.cli.first_sync", company.realm_id],
        environment={"QBO_STATE_DIR": str(state_dir)},
    )
    progress.whisper("Dagster prepares the run")
    if supervisor.run(program, hear) != 0:
        raise PipelineError(*problems or [f"The sync ended early; the reason is in {supervisor.log_of(program)}."])
    return f"{sum(written.values()):,} rows of {sum(1 for rows in written.values() if rows)} entities"


def _start_ui(supervisor: Supervisor, books: Books) -> list[Program]:
    programs = [dagster_program(books, free_port(UI_PORT)), web_program(books, books.settings.web_port)]
    for program in programs:
        supervisor.start(program)
    for program in programs:
        supervisor.wait_until_ready(program)
    return programs


def _connect_again(books: Books, quickbooks: LocalQuickBooks, *, tells: bool) -> None:
    """A local QuickBooks that was started again has forgotten every token it gave, and whom it told of changes."""
    quickbooks.connect(books)
    if tells:
        quickbooks.tell(f"http://127.0.0.1:{books.settings.web_port}")
