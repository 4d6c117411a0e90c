"""``qbo webhook …``: try the way a notification takes, and look after those that went nowhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from qbo_pipeline.cli.terminal import company_option, json_option, print_json, print_table
from qbo_pipeline.errors import PipelineError, SettingsError, UsageError

if TYPE_CHECKING:
    from qbo_pipeline.books import Books
    from qbo_pipeline.warehouse.companies import Company

_POLL_SECONDS = 0.5


@click.group()
def webhook() -> None:
    """QuickBooks' webhooks: changes that it tells of by itself."""


@webhook.command()
@company_option
@click.option("--url", help="Address to send it to: the public one, say. The web app of this machine if left out.")
@click.option("--wait", type=click.IntRange(0), default=120, show_default=True, help="Seconds to follow it.")
@json_option
def test(company: str | None, url: str | None, wait: int, as_json: bool) -> None:
    """Send a signed notification about a record that we have, and follow it until that was read again."""
    from qbo_pipeline.books import Books

    books = Books()
    found = books.company(company)
    key, body = _sample(books, found)
    address = url or f"http://127.0.0.1:{books.settings.web_port}/webhooks/quickbooks"
    began = time.monotonic()
    _send(address, body, books)
    accepted = time.monotonic() - began
    if not as_json:
        click.echo(f"Accepted by {address} after {accepted:.2f} s; following it …", err=True)
    status, note = _follow(books, key, wait)
    took = round(time.monotonic() - began, 1)
    if as_json:
        print_json({"company": found.partition_key, "event": key, "status": status, "note": note, "seconds": took})
    if status == "waiting":
        raise PipelineError(
            f"The notification is in the inbox, but nobody acted on it within {wait} seconds: is Dagster running "
            f"('qbo up'), and its sensor webhook_inbox on? {note or ''}".strip()
        )
    if status != "done":
        raise PipelineError(f"The notification could not be acted on: {note}.")
    if not as_json:
        click.echo(f"Acted on after {took:g} s: what QuickBooks has of the record is in Postgres.")


def _sample(books: Books, company: Company) -> tuple[str, bytes]:
    """Return a notification about the record that changed last, as of then, and its event's key."""
    import json
    import uuid

    from qbo_pipeline.catalog import entity_named
    from qbo_pipeline.warehouse.stored import StoredBooks

    stored = StoredBooks(books.engine, company.realm_id)
    for name in ("Customer", "Item", "Account"):
        entity = entity_named(name)
        for record_id in stored.some_ids(entity, 1):
            touched_at, read_at = stored.readings(entity, [record_id])[record_id]
            key = f"{uuid.uuid4()}-{name}-{record_id}"
            event = {
                "specversion": "1.0",
                "id": key,
                "source": "qbo.webhook.test",
                "type": f"qbo.{name.lower()}.emailed.v1",  # it need not be newer than what we have
                "time": max(touched_at or read_at, read_at).isoformat(),
                "intuitentityid": record_id,
                "intuitaccountid": company.realm_id,
                "data": {},
            }
            return key, json.dumps([event]).encode()
    raise UsageError(
        f"{company.name} has no customer, item or account yet that could be told of: run 'qbo sync' first."
    )


def _send(address: str, body: bytes, books: Books) -> None:
    """Deliver a notification as QuickBooks would; PipelineError says what is in the way."""
    import requests

    from qbo_pipeline.qbo.webhook_signature import signature_of

    tokens = books.settings.webhook_verifier_tokens
    if not tokens:
        raise SettingsError(
            "QBO_WEBHOOK_VERIFIER_TOKEN is not set: copy the verifier token from your app's page on "
            "developer.intuit.com (Webhooks), and start 'qbo up' again."
        )
    headers = {"intuit-signature": signature_of(body, tokens[0]), "Content-Type": "application/json"}
    try:
        answer = requests.post(address, data=body, headers=headers, timeout=10, allow_redirects=False)
    except requests.exceptions.SSLError:
        raise PipelineError(
            f"{address} has no certificate that is trusted, and QuickBooks would not deliver."
        ) from None
    except (requests.RequestException, ValueError):
        raise PipelineError(f"{address} does not answer: is 'qbo up' running, and the address right?") from None
    if answer.status_code == 401:
        raise PipelineError(
            f"{address} refused the signature: QBO_WEBHOOK_VERIFIER_TOKEN is another there; start 'qbo up' again after "
            "changing it."
        )
    if answer.status_code == 503:
        raise PipelineError(f"{address} could not store it: its database does not answer.")
    if answer.status_code != 200:
        raise PipelineError(
            f"{address} answered HTTP {answer.status_code}: only /webhooks/quickbooks takes notifications."
        )


def _follow(books: Books, key: str, wait: float) -> tuple[str, str | None]:
    give_up_at = time.monotonic() + wait
    while True:
        found = books.inbox.status_of(key)
        if found is None:
            raise PipelineError(
                "It was accepted, but is not in this database: the address leads to another installation."
            )
        if found[0] != "waiting" or time.monotonic() >= give_up_at:
            return found
        time.sleep(_POLL_SECONDS)


@webhook.command()
@json_option
def dead(as_json: bool) -> None:
    """List events that could not be acted on, and why. Their records are brought by the next sync all the same."""
    from qbo_pipeline.books import Books

    letters = [
        {
            "event": each.key,
            "realm_id": each.realm_id,
            "entity": each.entity,
            "id": each.record_id,
            "received_at": each.received_at.isoformat(timespec="seconds"),
            "why": each.note,
            "raw": each.raw.decode("utf-8", "replace"),
        }
        for each in Books().inbox.dead_letters()
    ]
    if as_json:
        print_json({"dead": letters})
    elif not letters:
        click.echo("There are no dead letters.")
    else:
        columns = ("received_at", "realm_id", "entity", "id", "why", "event")
        print_table(columns, [[_shown(each[name]) for name in columns] for each in letters])


@webhook.command()
@click.argument("events", metavar="[EVENT]...", nargs=-1)
@json_option
def retry(events: tuple[str, ...], as_json: bool) -> None:
    """Try dead letters again: these, or all; after a company was connected, say, or an upgrade."""
    from qbo_pipeline.books import Books

    books = Books()
    if unknown := set(events) - {each.key for each in books.inbox.dead_letters(events)}:
        raise UsageError(f"There is no dead letter {min(unknown)[:100]!r}: 'qbo webhook dead' lists them.")
    retried = books.retry_dead_letters(events or None)
    left = len(books.inbox.dead_letters(events or None))
    if as_json:
        print_json({"retried": retried, "still_dead": left})
        return
    click.echo(f"{retried} {'is' if retried == 1 else 'are'} acted on again; {left} cannot be.")


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
