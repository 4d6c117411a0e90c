"""``qbo attachments pull``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from qbo_pipeline.cli.terminal import Progress, company_option, json_option, print_json, print_table


@click.group()
def attachments() -> None:
    """Files attached to invoices, bills and other records."""


@attachments.command()
@company_option
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to put them in; attachments/COMPANY if left out.",
)
@json_option
def pull(company: str | None, folder: Path | None, as_json: bool) -> None:
    """Download one company's attached files; only those that are not in the folder yet."""
    from qbo_pipeline.books import Books

    books = Books()
    found = books.company(company)
    folder = folder or Path("attachments") / found.partition_key
    progress = Progress(quiet=as_json)
    with progress.step(f"Attached files of {found.name}"):
        pulled = list(books.pull_attachments(found, folder, progress=progress.say))
    counts = Counter(each.result for each in pulled)
    if as_json:
        files = [
            {
                "attachable_id": each.file.id,
                "file": str(each.path),
                "bytes": each.file.size,
                "result": each.result,
                "error": str(each.error) if each.error else None,
            }
            for each in pulled
        ]
        print_json({"company": found.partition_key, "folder": str(folder), "ok": not counts["failed"], "files": files})
    elif not pulled:
        click.echo(f"No file of {found.name} is known. 'qbo sync --entity Attachable' brings the list of them.")
    else:
        click.echo(f"{folder}: {counts['downloaded']} downloaded, {counts['present']} there already")
        failures = [[each.path.name, each.error] for each in pulled if each.error]
        if failures:
            print_table(("file", "failed because"), failures)
    if counts["failed"]:
        sys.exit(1)
