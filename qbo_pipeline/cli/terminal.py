"""What commands share: JSON for scripts, tables and progress for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from qbo_pipeline.sync.outcome import EntityOutcome

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
company_option = click.option(
    "--company", metavar="KEY", help="Which company: key, realm id or name; not needed when there is only one."
)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; columns named in ``right`` are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)


class Progress:
    """One line on stderr that says what is being read; a plain line per entity when nobody watches."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status: Any = None
        self._last = ""

    def __call__(self, outcome: EntityOutcome) -> None:
        """Show an entity's progress."""
        self.say(f"{outcome.entity.name}: {outcome.records:,} records, page {outcome.pages}", outcome.entity.name)

    def say(self, sentence: str, topic: str = "") -> None:
        """Show a sentence; without a terminal only when its topic is new."""
        if self._status is not None:
            self._status.update(sentence)
        elif not self._quiet and (not topic or topic != self._last):
            click.echo(f"  {sentence}", err=True)
        self._last = topic

    @contextmanager
    def shown(self, sentence: str) -> Iterator[Progress]:
        """Show a spinner with ``sentence`` for the length of the block, where there is a terminal."""
        if self._quiet or not sys.stderr.isatty():
            yield self
            return
        from rich.console import Console

        with Console(stderr=True).status(sentence) as self._status:
            try:
                yield self
            finally:
                self._status = None
