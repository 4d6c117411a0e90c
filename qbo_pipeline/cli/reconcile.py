"""``qbo reconcile``: does the warehouse hold what QuickBooks has?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from qbo_pipeline.cli.failures import sentence
from qbo_pipeline.cli.local import check_answers
from qbo_pipeline.cli.terminal import Progress, company_option, json_option, print_json, print_table
from qbo_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from qbo_pipeline.books import Books
    from qbo_pipeline.catalog import Entity
    from qbo_pipeline.sync.comparison import Reconciliation
    from qbo_pipeline.warehouse.companies import Company

_NUMBERS = ("quickbooks", "warehouse", "missing", "extra", "stale")


@click.command()
@company_option
@click.option("--entity", "words", multiple=True, metavar="E", help="Only this entity (repeatable).")
@click.option(
    "--sample", type=click.IntRange(min=0), default=0, metavar="N", help="Look at N records of each entity too."
)
@click.option("--full", is_flag=True, help="Read and compare every record.")
@click.option("--yes", is_flag=True, help="Take QuickBooks' word however much it says is deleted.")
@json_option
def reconcile(company: str | None, words: tuple[str, ...], sample: int, full: bool, yes: bool, as_json: bool) -> None:
    """Compare tables with QuickBooks, and repair what differs: every connected company, or one."""
    from qbo_pipeline.books import Books
    from qbo_pipeline.catalog import ENTITIES, entity_named

    wanted = {entity_named(word) for word in words}
    entities = tuple(entity for entity in ENTITIES if not wanted or entity in wanted)
    books = Books()
    companies = [books.company(company)] if company else books.connected() or [books.company(None)]
    # What cannot work for any company is said once, not once per company.
    _ = books.oauth
    check_answers(books.settings)
    options = {"sample": sample, "full": full, "believe_deletions": yes}
    documents = [_compare_one(books, each, entities, options, as_json) for each in companies]
    if as_json:
        print_json({"companies": documents})
    if not all(document["ok"] for document in documents):
        sys.exit(1)


def _compare_one(
    books: Books, company: Company, entities: tuple[Entity, ...], options: dict[str, Any], as_json: bool
) -> dict[str, Any]:
    """Compare a company and return its part of the document; its failure is its own."""
    progress = Progress(quiet=as_json)
    try:
        with progress.step(f"Comparing {company.name}"):
            found = books.reconcile(
                company.realm_id,
                entities,
                trigger="cli",
                progress=progress,
                step=progress.whisper,
                on_wait=progress.say,
                **options,
            )
    except PipelineError as error:
        said = sentence(error)
        click.echo(f"Error: {company.partition_key}: {said}", err=True)
        return {**_document(company), "ok": False, "error": said}
    if not as_json:
        _print(company, found)
    problems: dict[str, list[str]] = {}
    for each in found.problems:
        problems.setdefault(str(each.note), []).append(each.entity.name)
    for reason, names in problems.items():  # one reason often keeps many entities back
        click.echo(f"Error: {company.partition_key}, {', '.join(names)}: {reason}", err=True)
    return {
        **_document(company),
        "ok": not found.problems,
        "calls": found.calls,
        "entities": [each.as_row() for each in found.entities],
    }


def _document(company: Company) -> dict[str, Any]:
    return {
        "company": company.partition_key,
        "name": company.name,
        "realm_id": company.realm_id,
        "ok": True,
        "error": None,
        "calls": 0,
        "entities": [],
    }


def _print(company: Company, found: Reconciliation) -> None:
    click.echo(f"\n{company.name} ({company.realm_id}): {found.summary}, {found.calls} API calls\n")
    frame = found.frame().drop(columns=["repaired", "note"]).astype(object)
    frame = frame.where(frame.notna(), "-")
    print_table(tuple(frame.columns), frame.to_numpy().tolist(), right=_NUMBERS)
