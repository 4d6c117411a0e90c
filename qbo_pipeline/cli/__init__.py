"""The terminal door: ``qbo …``. Words in, one flow called, a table (or one JSON document) out.

Exit code 0 only when all that was asked was done. A failure we foresee is one sentence on stderr and exit code 1; bad
words on the command line are exit code 2. Heavy imports happen inside commands, so that help is instant.
"""

from __future__ import annotations

import click

from qbo_pipeline.cli.attachments import attachments
from qbo_pipeline.cli.books import show, status, sync
from qbo_pipeline.cli.connect import connect, disconnect
from qbo_pipeline.cli.database import db
from qbo_pipeline.cli.demo import demo
from qbo_pipeline.cli.failures import Door
from qbo_pipeline.cli.reconcile import reconcile
from qbo_pipeline.cli.sandbox import sandbox
from qbo_pipeline.cli.services import down, up
from qbo_pipeline.cli.token import token
from qbo_pipeline.cli.webhook import webhook


@click.group(cls=Door, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="qbo-pipeline")
def main(debug: bool) -> None:
    """QuickBooks Online books in your own Postgres: complete, exact, fresh and proven."""


for command in (
    *(demo, up, down, db, connect, disconnect, sync, reconcile),
    *(show, status, token, webhook, attachments, sandbox),
):
    main.add_command(command)
