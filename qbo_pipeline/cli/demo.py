"""``qbo demo``: the whole thing at once, on this machine, with a made-up company or with your own files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import click

from qbo_pipeline.cli.services import UI_PORT, dagster_home, dagster_program, running, web_program
from qbo_pipeline.cli.supervisor import Program, Supervisor, free_port
from qbo_pipeline.cli.terminal import Progress, json_option, print_json, print_table
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.settings import note_service

if TYPE_CHECKING:
    from qbo_pipeline.books import Books
    from qbo_pipeline.warehouse.companies import Company

SANDBOX_PORT = 8700
WEB_PORT = 8500
#: The company that is made up, and the one made of a folder of files (``docs/sandbox.md``).
MADE_UP, FROM_FILES = "9130000000000001", "9130000000000002"


@click.command()
@click.option("--once", is_flag=True, help="Load, print the summary and stop; no UI.")
@click.option(
    "--books",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of real QuickBooks payload files to load, instead of a made-up company.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Which made-up company.")
@click.option("--invoices", type=click.IntRange(0), default=200, show_default=True, help="How many invoices it has.")
@json_option
def demo(once: bool, folder: Path | None, seed: int, invoices: int, as_json: bool) -> None:
    """Set everything up on this machine and show it: Postgres, a local QuickBooks, a first sync, Dagster's UI."""
    settings_of_demo()
    from qbo_pipeline.books import Books
    from qbo_pipeline.settings import load_settings

    state_dir = load_settings().state_dir
    say = Progress(quiet=as_json).say
    with running(state_dir) as supervisor:
        with _step("Postgres", say):
            Books().upgrade()
        with _step("QuickBooks (a local one)", say):
            _start_sandbox(supervisor, folder, seed, invoices)
        books = Books()
        with _step("Connecting a company", say):
            company = _connect(books, FROM_FILES if folder else MADE_UP)
        with _step(f"Loading {company.name}", say):
            books.observers.append(Progress(quiet=as_json))
            from qbo_pipeline.definitions import defs
            from qbo_pipeline.defs.launch import sync_now

            sync_now(defs, books, company, dagster_home(state_dir))
        programs: list[Program] = []
        if not once:
            with _step("Dagster and the web app", say):
                programs = [web_program(books), dagster_program(books, UI_PORT)]
                for program in programs:
                    supervisor.start(program)
                for program in programs:
                    supervisor.wait_until_ready(program)
        if as_json:
            print_json(_document(books, company, programs))
        else:
            _print_summary(books, company, programs)
        if not once:
            supervisor.watch()


def settings_of_demo() -> None:
    """Point this process and its children at a local QuickBooks, whatever .env says about real ones."""
    os.environ["QBO_ENVIRONMENT"] = "local"
    for name in ("QBO_LOCAL_URL", "QBO_CLIENT_ID", "QBO_CLIENT_SECRET", "QBO_AUTH_BASIC"):
        os.environ[name] = ""  # set but empty: stronger than .env
    os.environ["QBO_REDIRECT_URI"] = f"http://localhost:{free_port(WEB_PORT)}/callback"


def _start_sandbox(supervisor: Supervisor, folder: Path | None, seed: int, invoices: int) -> None:
    from qbo_pipeline.settings import load_settings

    port = free_port(SANDBOX_PORT)
    url = f"http://127.0.0.1:{port}"
    arguments = ["-m", "qbo_pipeline.sandbox", "--port", str(port), "--seed", str(seed), "--invoices", str(invoices)]
    if folder is not None:
        arguments += ["--books", str(folder.resolve())]
    program = Program("quickbooks", arguments, f"{url}/_sandbox/health")
    supervisor.start(program)
    supervisor.wait_until_ready(program)
    note_service(load_settings().state_dir, "quickbooks", url)


def _connect(books: Books, realm_id: str) -> Company:
    """Go through the consent flow as a person's browser would, with a person who always says yes."""
    import requests

    address = f"{books.connector.begin()}&auto=1&realm={realm_id}"
    answer = requests.get(address, allow_redirects=False, timeout=30)
    location = answer.headers.get("Location")
    if answer.status_code not in (302, 303) or not location:
        raise PipelineError(f"The local QuickBooks did not consent (HTTP {answer.status_code}).")
    return books.connector.complete(dict(parse_qsl(urlsplit(location).query)))


@contextmanager
def _step(name: str, say: object) -> Iterator[None]:
    assert callable(say)  # noqa: S101 - narrows for mypy
    say(f"{name} …")
    started = time.monotonic()
    yield
    say(f"{name}: done in {time.monotonic() - started:.1f} s")


def _document(books: Books, company: Company, programs: list[Program]) -> dict[str, object]:
    return {
        "company": company.partition_key,
        "realm_id": company.realm_id,
        "tables": dict(_counts(books, company)),
        "services": {program.name: program.url for program in programs},
        "psql": psql_command(books),
    }


def _counts(books: Books, company: Company) -> list[tuple[str, int]]:
    from qbo_pipeline.catalog import tables

    return [(table.name, books.row_count(table.name, company.realm_id)) for table in tables()]


def psql_command(books: Books) -> str:
    """Return a psql command line that opens the books."""
    from qbo_pipeline.warehouse.engine import plain_url

    if books.embedded is not None:
        return books.embedded.psql_command()
    return f"psql '{plain_url(books.database.url.render_as_string(hide_password=False))}'"


def _print_summary(books: Books, company: Company, programs: list[Program]) -> None:
    click.echo(f"\n{company.name} is in Postgres, schema quickbooks:")
    print_table(("table", "rows"), _counts(books, company), right=("rows",))
    for program in programs:
        label = {"dagster": "Dagster UI", "web": "Web app"}[program.name]
        click.echo(f"{label:12} {program.url.removesuffix('/healthz')}")
    click.echo(f"{'Postgres':12} {psql_command(books)}")
    click.echo("\nThree things to ask it:")
    click.echo("  SELECT customer_name, sum(balance) FROM quickbooks.invoices GROUP BY 1 ORDER BY 2 DESC LIMIT 5;")
    click.echo("  SELECT item_name, sum(qty), sum(amount) FROM quickbooks.invoice_lines GROUP BY 1 ORDER BY 3 DESC;")
    click.echo("  SELECT date_trunc('month', txn_date) AS month, sum(total_amt) FROM quickbooks.bills GROUP BY 1;")
    if programs:
        click.echo("\nCtrl-C stops all of it; 'make demo' brings it back.")
