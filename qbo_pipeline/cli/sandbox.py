"""``qbo sandbox …``: the local QuickBooks."""

from __future__ import annotations

from pathlib import Path

import click

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
    help="Folder of real QuickBooks payload files to serve as a company's books.",
)
@click.option("--no-throttle", is_flag=True, help="Do not enforce Intuit's rate limits.")
def serve(port: int, seed: int, invoices: int, books: Path | None, no_throttle: bool) -> None:
    """Serve it on loopback until Ctrl-C."""
    from qbo_pipeline.sandbox.server import serve as run
    from qbo_pipeline.settings import load_settings, note_service

    state_dir = load_settings().state_dir

    def ready(url: str) -> None:
        note_service(state_dir, "quickbooks", url)
        click.echo(f"A local QuickBooks answers at {url}  (Ctrl-C stops it)")

    try:
        run(port=port, seed=seed, invoices=invoices, books=books, throttle=not no_throttle, ready=ready)
    except OSError as error:
        raise BusyError(str(error)) from None
