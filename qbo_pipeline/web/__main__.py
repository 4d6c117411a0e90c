"""``python -m qbo_pipeline.web --port N``: serve the web app on loopback until told to stop."""

from __future__ import annotations

import click
import uvicorn

from qbo_pipeline.books import Books
from qbo_pipeline.secret import keep_secrets_out_of_logs
from qbo_pipeline.web.app import create_app


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True)
def serve(port: int) -> None:
    """Serve the web app on 127.0.0.1."""
    keep_secrets_out_of_logs()
    # No access log: the callback's address holds a consent code.
    uvicorn.run(create_app(Books()), host="127.0.0.1", port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    serve()
