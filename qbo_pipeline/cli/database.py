"""``qbo db …``: the database."""

from __future__ import annotations

import shlex

import click

from qbo_pipeline.cli.terminal import json_option, print_json


@click.group()
def db() -> None:
    """Upgrade the database, say where it is, or let analysts read it."""


@db.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@json_option
def upgrade(dry_run: bool, as_json: bool) -> None:
    """Bring the database up to date with this version; safe to repeat.

    Tables of another program under the names of ours are moved to schema quickbooks_legacy; nothing is dropped.
    """
    from qbo_pipeline.books import Books

    done = Books().upgrade(adopt=True, dry_run=dry_run)
    if as_json:
        print_json({"would_do" if dry_run else "done": done})
    elif not done:
        click.echo("The database is up to date; nothing " + ("would be done." if dry_run else "was changed."))
    else:
        if dry_run:
            click.echo("A dry run, nothing was changed. 'qbo db upgrade' would report:")
        click.echo("\n".join(f"- {sentence}" for sentence in done))


@db.command()
@click.argument("role")
@json_option
def grant(role: str, as_json: bool) -> None:
    """Let an existing ROLE of the database read the tables of the books.

    Never tokens, connections or the records of runs. Repeat it after an upgrade that brings new tables.
    """
    from qbo_pipeline.books import Books

    given = Books().grant(role)
    if as_json:
        print_json({"role": role, "tables": given.tables, "missing": given.missing, "others": given.others})
        return
    click.echo(
        f"{role} may read the {len(given.tables)} tables and views of the books in schema quickbooks. "
        "What a later version adds is covered when this is run again."
    )
    if given.missing:
        click.echo(f"Not made yet, so not covered ('qbo db upgrade' makes them): {', '.join(given.missing)}.")
    if given.others:
        click.echo(
            f"Warning: by rights it has from elsewhere, {role} may read what is not for analysts, too: "
            f"{', '.join(given.others)}.",
            err=True,
        )


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
