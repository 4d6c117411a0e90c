"""``qbo db …``: the database."""

from __future__ import annotations

import shlex

import click

from qbo_pipeline.cli.terminal import json_option, print_json


@click.group()
def db() -> None:
    """Upgrade the database, or say where it is."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Bring the database up to date with this version; safe to repeat."""
    from qbo_pipeline.books import Books

    done = Books().upgrade()
    if as_json:
        print_json({"done": done})
    else:
        click.echo("\n".join(f"- {sentence}" for sentence in done) or "The database is up to date.")


@db.command()
@click.option("--psql", is_flag=True, help="Print a psql command that opens it.")
def url(psql: bool) -> None:
    """Print the database's URL, password included."""
    from qbo_pipeline.books import Books
    from qbo_pipeline.warehouse.engine import plain_url

    books = Books()
    if books.embedded is not None:
        address = plain_url(books.embedded.ensure())
        click.echo(books.embedded.psql_command() if psql else address)
    else:
        address = plain_url(books.settings.database_url or "")
        click.echo(f"psql {shlex.quote(address)}" if psql else address)
