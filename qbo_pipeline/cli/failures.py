"""How a command fails: one sentence on stderr, exit code 1, and with ``--json`` a document that says the same."""

from __future__ import annotations

import errno
import sys
from typing import Any

import click

from qbo_pipeline.cli.terminal import json_wanted, print_json
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.secret import keep_secrets_out_of_logs


class Door(click.Group):
    """Turns failures we foresee into one sentence, whatever command they come from."""

    def invoke(self, ctx: click.Context) -> Any:
        keep_secrets_out_of_logs()
        try:
            return super().invoke(ctx)
        except Exception as error:
            said = sentence(error)
            if said is None or ctx.params.get("debug"):
                raise
            if json_wanted(ctx):
                print_json({"error": said})
            click.echo(f"Error: {said}", err=True)
            ctx.exit(1)


def sentence(error: Exception) -> str | None:
    """Return what to tell a person about a failure we foresee; None for anything else, which is a bug of ours."""
    if isinstance(error, PipelineError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename and error.errno != errno.EPIPE:
        return f"{error.filename} cannot be used: {str(error.strerror).lower()}."
    if (alchemy := sys.modules.get("sqlalchemy.exc")) and isinstance(error, alchemy.OperationalError):
        return f"Postgres ended the conversation: {_first_line(error.orig)}. Try again when it is back."
    return None


def _first_line(error: object) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), "no reason given")
