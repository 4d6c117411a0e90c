"""``python -m qbo_pipeline.sandbox``: a local QuickBooks on a port of your choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qbo_pipeline.sandbox.server import PortInUseError, serve
from qbo_pipeline.sandbox.world import GENERATED_REALM, LOADED_REALM


@click.command()
@click.option("--port", default=8600, show_default=True, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--seed", default=1, show_default=True, help="Seed of the generated company.")
@click.option("--invoices", default=200, show_default=True, help="How many invoices the generated company has.")
@click.option(
    "--books",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of real payload files, served as a second company.",
)
@click.option("--throttle/--no-throttle", default=True, show_default=True, help="Keep Intuit's rate limits.")
@click.option("--client-id", default="sandbox-client", show_default=True)
@click.option("--client-secret", default="sandbox-secret", show_default=True)
@click.option("--realm", default=GENERATED_REALM, show_default=True, help="Realm of the generated company.")
@click.option("--books-realm", default=LOADED_REALM, show_default=True, help="Realm of the books from files.")
def main(**options: Any) -> None:
    """Serve a local QuickBooks Online until interrupted."""
    try:
        serve(**options, ready=lambda url: click.echo(f"QuickBooks sandbox ready at {url}"))
    except PortInUseError as error:
        raise click.ClickException(error.strerror or str(error)) from None


if __name__ == "__main__":
    main()
