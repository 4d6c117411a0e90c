"""What ``qbo demo`` says in the end: tables and row counts, where everything is, and what to ask it."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qbo_pipeline.cli.terminal import WIDTH, print_table

if TYPE_CHECKING:
    from qbo_pipeline.books import Books
    from qbo_pipeline.cli.supervisor import Program
    from qbo_pipeline.warehouse.companies import Company

# One line of a terminal each, prompt and all.
QUERIES = (
    "SELECT customer_name, sum(balance) FROM quickbooks.invoices GROUP BY 1;",
    "SELECT item_name, sum(amount) FROM quickbooks.invoice_lines GROUP BY 1;",
    "SELECT * FROM quickbooks.bills WHERE balance > 0 AND due_date < now();",
)
_LABELS = {"quickbooks": "QuickBooks", "dagster": "Dagster UI", "web": "Web app"}


class Summary:
    """The end of a demo."""

    def __init__(
        self, books: Books, company: Company, programs: list[Program], report: dict[str, Any] | None = None
    ) -> None:
        """``report`` is the sandbox's account of the files it loaded, if it was given any."""
        from qbo_pipeline.catalog import tables

        self._books = books
        self._company = company
        self._programs = programs
        self._counts = [(table.name, books.row_count(table.name, company.realm_id)) for table in tables()]
        self._files = files_document(report) if report is not None else None

    def document(self) -> dict[str, Any]:
        """Return the summary for scripts."""
        return {
            "company": self._company.partition_key,
            "name": self._company.name,
            "realm_id": self._company.realm_id,
            "tables": dict(self._counts),
            "files": self._files,
            "services": {program.name: program.url for program in self._programs},
            "psql": psql_command(self._books),
            "queries": list(QUERIES),
        }

    def print(self) -> None:
        """Print the summary for people."""
        total = sum(rows for _, rows in self._counts)
        click.echo(f"\n{self._company.name} is in Postgres, schema quickbooks: {total:,} rows\n")
        print_table(("table", "rows"), self._counts, right=("rows",))
        if self._files is not None:
            print_files(self._files)
        click.echo()
        for program in self._programs:
            click.echo(f"  {_LABELS[program.name]:<12}{program.url}")
        if self._programs:
            click.echo()
        click.echo(f"Open it with\n\n  {psql_command(self._books)}\n\nand ask it, for a start,\n")
        for query in QUERIES:
            click.echo(f"  {query}")
        if self._programs:
            click.echo("\nCtrl-C stops it all; the next demo starts from what is there.")


def files_document(report: dict[str, Any]) -> dict[str, Any]:
    """Return what became of the files: every one is loaded, passed over or broken."""
    from qbo_pipeline.catalog import ENTITIES

    synced = {entity.name for entity in ENTITIES}
    passed_over = dict(sorted(report["passed_over"].items()))
    # The sandbox warns of JSON that is no object too, which it counts among what it passed over.
    broken = len(report["warnings"]) - report["passed_over"].get("not an object", 0)
    return {
        "found": report["files"],
        "loaded": report["files"] - sum(passed_over.values()) - broken,
        "records": sum(report["records"].values()),
        "older_versions": report["superseded"],
        "deleted": report["deleted_stubs"],
        "passed_over": passed_over,
        "broken": broken,
        "warnings": report["warnings"],
        "not_synced": {name: count for name, count in sorted(report["records"].items()) if name not in synced},
    }


def print_files(files: dict[str, Any]) -> None:
    """Print what became of the files."""
    click.echo(f"\nFrom {files['found']:,} files:\n")
    details = [f"{files['records']:,} records", f"{files['older_versions']:,} older versions of them"]
    if files["deleted"]:
        details.append(f"{files['deleted']:,} deletions")
    _print_row("loaded", files["loaded"], details)
    _print_row("passed over", sum(files["passed_over"].values()), _counted(files["passed_over"]))
    _print_row("broken", files["broken"], [])
    if files["not_synced"]:
        click.echo()
        _print_row("not synced", sum(files["not_synced"].values()), _counted(files["not_synced"]))
    for warning in files["warnings"]:
        click.echo(f"Warning: {warning}", err=True)


def _counted(kinds: dict[str, int]) -> list[str]:
    return [f"{count:,} {kind}" for kind, count in sorted(kinds.items(), key=lambda each: (-each[1], each[0]))]


def _print_row(what: str, count: int, details: list[str]) -> None:
    head = f"  {what:<12}{count:>6,}  "
    text = textwrap.fill(", ".join(details), WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
    click.echo(text or head.rstrip())


def psql_command(books: Books) -> str:
    """Return a psql command line that opens the books, and names no password."""
    if books.embedded is not None:
        return books.embedded.psql_command()
    psql = shutil.which("psql") or _bundled_psql(books)
    return f'{shlex.quote(psql)} "$({shlex.quote(_this_program())} db url)"'


def _bundled_psql(books: Books) -> str:
    from qbo_pipeline.warehouse.embedded import EmbeddedPostgres

    return str(EmbeddedPostgres(books.settings.state_dir).psql_path() or "psql")


def _this_program() -> str:
    here = Path(sys.argv[0])
    return str(here.absolute()) if here.name == "qbo" and here.exists() else "qbo"
