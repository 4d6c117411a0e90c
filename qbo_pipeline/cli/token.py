"""``qbo token …``: what a person may have to do with stored tokens."""

from __future__ import annotations

import click

from qbo_pipeline.cli.local import check_answers
from qbo_pipeline.cli.terminal import company_option, json_option, print_json


@click.group()
def token() -> None:
    """Keep the stored tokens: who refreshes them, and with which key they are sealed."""


@token.command("take-ownership")
@click.option("--company", metavar="KEY", help="Only this company: key, realm id or name; all if left out.")
@json_option
def take_ownership(company: str | None, as_json: bool) -> None:
    """Make this installation the one that refreshes tokens: after a move, never in a copy that is for trying things.

    Two installations that refresh the tokens of one company end its connection.
    """
    from qbo_pipeline.books import Books

    books = Books()
    companies = [books.company(company)] if company else books.connected() or [books.company(None)]
    books.take_ownership(companies)
    if as_json:
        print_json(
            {"installation": books.custody.installation, "companies": [each.partition_key for each in companies]}
        )
        return
    for each in companies:
        click.echo(f"The tokens of {each.name} are now refreshed by '{books.custody.installation}'.")


@token.command()
@json_option
def rekey(as_json: bool) -> None:
    """Seal every stored token with a new key.

    With QBO_TOKEN_KEY, put the new key before the old ones first; else one is added to the key file. The old keys stay
    in it: backups need them.
    """
    from qbo_pipeline.books import Books

    books = Books()
    changed = books.rekey()
    where = "QBO_TOKEN_KEY" if books.settings.token_key else str(books.settings.token_key_path)
    if as_json:
        print_json({"sealed": changed, "key": where})
        return
    click.echo(f"Sealed {changed} token{'' if changed == 1 else 's'} with the first key of {where}.")


@token.command()
@company_option
@json_option
def ping(company: str | None, as_json: bool) -> None:
    """Renew a company's tokens now: an installation that is paused must do so every 100 days, or connect again."""
    from qbo_pipeline.books import Books

    books = Books()
    found = books.company(company)
    _ = books.oauth
    check_answers(books.settings)
    stored = books.keeper.refresh(found.realm_id, refused=books.token_store.read(found.realm_id).access_token)
    days = stored.refresh_expires_in.days if stored.refresh_expires_in is not None else None
    if as_json:
        print_json({"company": found.partition_key, "generation": stored.generation, "days_left": days})
        return
    click.echo(f"Renewed the tokens of {found.name}; they last {'100' if days is None else days} days unused.")
