"""``qbo sync``, ``qbo show``, ``qbo status``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from qbo_pipeline.cli.failures import sentence
from qbo_pipeline.cli.local import check_answers
from qbo_pipeline.cli.terminal import Progress, company_option, json_option, print_json, print_table
from qbo_pipeline.errors import PipelineError, UsageError
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome

if TYPE_CHECKING:
    from qbo_pipeline.books import Books
    from qbo_pipeline.catalog import Entity
    from qbo_pipeline.sync.window import Window
    from qbo_pipeline.warehouse.companies import Company


@click.command()
@company_option
@click.option(
    "--entity", "words", multiple=True, metavar="E", help="Only this entity (repeatable): Invoice, invoices …"
)
@click.option("--full", is_flag=True, help="Read everything, whatever was read before.")
@click.option("--since", metavar="DATE", help="Read again what was created from this day on (YYYY-MM-DD).")
@click.option("--until", metavar="DATE", help="… up to this day, not included; up to now if left out.")
@json_option
def sync(
    company: str | None, words: tuple[str, ...], full: bool, since: str | None, until: str | None, as_json: bool
) -> None:
    """Bring tables up to date with QuickBooks: every connected company, or one."""
    from qbo_pipeline.books import Books
    from qbo_pipeline.catalog import ENTITIES, entity_named

    window = _window(full, since, until)
    wanted = {entity_named(word) for word in words}
    entities = tuple(entity for entity in ENTITIES if not wanted or entity in wanted)
    books = Books()
    companies = [books.company(company)] if company else books.connected() or [books.company(None)]
    # What cannot work for any company is said once, not once per company.
    _ = books.oauth
    check_answers(books.settings)
    documents = [_sync_one(books, each, entities, window, Progress(quiet=as_json), as_json) for each in companies]
    if as_json:
        print_json({"companies": documents})
    if any(not document["ok"] for document in documents):
        sys.exit(1)


def _sync_one(
    books: Books, company: Company, entities: tuple[Entity, ...], window: Window, progress: Progress, as_json: bool
) -> dict[str, Any]:
    """Sync a company and return its part of the document; its failure is its own, the others are still synced."""
    try:
        with progress.step(f"Sync of {company.name}"):
            outcome = books.sync(
                company.realm_id, entities, window, trigger="cli", progress=progress, on_wait=progress.say
            )
    except PipelineError as error:
        said = sentence(error)
        click.echo(f"Error: {company.partition_key}: {said}", err=True)
        return {**_document(company, Outcome(company.realm_id, []), window), "ok": False, "error": said}
    if not as_json:
        _print(company, outcome, window)
    failures: dict[str, list[str]] = {}
    for each in outcome.failed:
        failures.setdefault(str(each.error), []).append(each.entity.name)
    for reason, names in failures.items():  # one reason often keeps many entities back
        click.echo(f"Error: {company.partition_key}, {', '.join(names)}: {reason}", err=True)
    return _document(company, outcome, window)


def _window(full: bool, since: str | None, until: str | None) -> Window:
    from qbo_pipeline.sync.window import FULL, INCREMENTAL, created_between

    if full and (since or until):
        raise UsageError("--full reads everything already; leave out --since and --until.")
    if full:
        return FULL
    if until and not since:
        raise UsageError("--until needs --since: say where the range starts.")
    if since:
        return created_between(_day("--since", since), _day("--until", until) if until else datetime.now(UTC))
    return INCREMENTAL


def _day(option: str, text: str) -> datetime:
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a date; write it like 2026-11-01.") from None
    return day if day.tzinfo else day.replace(tzinfo=UTC)


def _document(company: Company, outcome: Outcome, window: Window) -> dict[str, Any]:
    return {
        "company": company.partition_key,
        "name": company.name,
        "realm_id": company.realm_id,
        "window": str(window),
        "ok": not outcome.failed,
        "error": None,
        "rows": outcome.rows,
        "calls": outcome.calls,
        "entities": [
            {
                "entity": each.entity.name,
                "table": each.entity.table.name,
                "records": each.records,
                "lines": each.lines,
                "deleted": each.deleted,
                "pages": each.pages,
                "cursor": each.cursor_after.isoformat() if each.cursor_after else None,
                "unknown_fields": dict(each.drift.unknown),
                "error": str(each.error) if each.error else None,
            }
            for each in outcome.entities
        ],
    }


def _print(company: Company, outcome: Outcome, window: Window) -> None:
    click.echo(f"\n{company.name} ({company.realm_id}), {window}: {outcome.rows:,} rows, {outcome.calls} API calls\n")
    rows: list[list[object]] = [
        [each.entity.name, each.records, each.lines or "", each.deleted or "", _result(each)]
        for each in outcome.entities
    ]
    print_table(("entity", "records", "lines", "deleted", "result"), rows, right=("records", "lines", "deleted"))


def _result(each: EntityOutcome) -> str:
    if not each.ok:
        return "failed"
    if each.unavailable:
        return "not available"
    return "not due yet" if each.resting else "ok"


@click.command()
@click.argument("entity")
@click.argument("record_id", metavar="ID")
@company_option
def show(entity: str, record_id: str, company: str | None) -> None:
    """Print one record as QuickBooks would give it, rendered from the warehouse."""
    from qbo_pipeline.books import Books
    from qbo_pipeline.catalog import entity_named
    from qbo_pipeline.sync.render import to_json

    found = entity_named(entity)
    click.echo(to_json({found.name: Books().show(found, record_id, company)}))


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show how every connected company is doing, and what to do next."""
    from qbo_pipeline.books import Books

    books = Books()
    rows = [each.as_row() for each in books.statuses()]
    budget = books.budget()
    dead = sum(each.dead for each in books.inbox.states().values())
    if as_json:
        print_json(
            {
                "companies": rows,
                "calls_this_month": budget.spent,
                "monthly_call_budget": budget.limit,
                "webhook_dead_letters": dead,
            }
        )
    elif not rows:
        click.echo("No company is connected yet: run 'qbo connect' (or 'qbo demo' to look around).")
    else:
        for row in rows:
            click.echo(f"\n{row.pop('name')}\n")
            print_table(("", ""), [[key.replace("_", " "), _said(value)] for key, value in row.items()])
        click.echo(f"\n{budget}")
        if dead:
            click.echo(f"{dead:,} events of webhooks could not be acted on: 'qbo webhook dead' says why.")


def _said(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
