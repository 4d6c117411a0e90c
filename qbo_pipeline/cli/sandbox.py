"""``qbo sandbox …``: the local QuickBooks."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import click

from qbo_pipeline.cli.local import check_folder
from qbo_pipeline.cli.summary import files_document, print_files
from qbo_pipeline.errors import BusyError


@click.group()
def sandbox() -> None:
    """A local QuickBooks to try things on, with believable books or your own files."""


@sandbox.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="Port; 0 picks a free one."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Which made-up company.")
@click.option("--invoices", type=click.IntRange(0), default=200, show_default=True, help="How many invoices it has.")
@click.option(
    "--books",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of real QuickBooks payload files to serve as a company's books.",
)
@click.option("--throttle", is_flag=True, help="Enforce Intuit's rate limits.")
def serve(port: int, seed: int, invoices: int, books: Path | None, throttle: bool) -> None:
    """Serve it on loopback until Ctrl-C."""
    from qbo_pipeline.sandbox.server import serve as run
    from qbo_pipeline.settings import forget_service, load_settings

    if books is not None:
        check_folder(books)
    state_dir = load_settings().state_dir
    announced: list[str] = []

    def ready(url: str) -> None:
        announced.append(url)
        # In a thread of its own: whoever calls us is the server that is to be asked.
        Thread(target=_announce, args=(url, state_dir), daemon=True).start()

    try:
        run(port=port, seed=seed, invoices=invoices, books=books, throttle=throttle, ready=ready)
    except OSError as error:
        raise BusyError(error.strerror or str(error)) from None
    finally:
        for url in announced:
            forget_service(state_dir, "quickbooks", url)


def _announce(url: str, state_dir: Path) -> None:
    """Say where it answers and what it serves, and let the other commands find it, unless they know another."""
    import requests

    from qbo_pipeline.settings import note_service, services

    known = services(state_dir).get("quickbooks")
    if known is None or known == url or not _answers(known):
        note_service(state_dir, "quickbooks", url)
    else:
        click.echo(f"Note: other qbo commands here go on using {known}; set QBO_LOCAL_URL={url} to use this one.")
    companies = requests.get(f"{url}/_sandbox/companies", timeout=60).json()["companies"]
    report = requests.get(f"{url}/_sandbox/health", timeout=60).json()["loaded"]
    click.echo(f"A local QuickBooks answers at {url}  (Ctrl-C stops it)")
    for company in companies:
        click.echo(f"  {company['realm']}  {company['name']}: {sum(company['counts'].values()):,} records")
    if report is not None:
        print_files(files_document(report))


def _answers(url: str) -> bool:
    import requests

    try:
        return requests.get(f"{url}/_sandbox/health", timeout=5).ok
    except requests.RequestException:
        return False
