"""What commands share: JSON for scripts, tables and progress for people.

Results go to stdout, progress to stderr. On a terminal a spinner says what is being done; elsewhere (a pipe, a log)
every step is a plain line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from qbo_pipeline.sync.outcome import EntityOutcome

_JSON = "qbo_pipeline.json"
WIDTH = 80
_NAME_WIDTH = 26


def _remember(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.meta[_JSON] = value
    return value


def json_wanted(context: click.Context) -> bool:
    """Tell whether the command that ran was given ``--json``."""
    return bool(context.meta.get(_JSON))


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_remember, help="Print one JSON document and nothing else."
)
company_option = click.option(
    "--company", metavar="KEY", help="Which company: key, realm id or name; not needed when there is only one."
)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, default=str, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; columns named in ``right`` are numbers. A table without names of columns has no head."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(columns), show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    # Cells hold names from anybody's books: nothing in them is markup.
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(f"  {line}".rstrip() for line in captured.get().splitlines()))


class Progress:
    """Says on stderr what is being done, one line per step."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._spinner: Any = None
        self._step: str | None = None
        self._line_open = False
        self._last = ""

    def __call__(self, outcome: EntityOutcome) -> None:
        """Show an entity's progress, page by page; a plain line per entity where there is no terminal."""
        self.reading(outcome.entity.name, outcome.records)

    def reading(self, name: str, records: int) -> None:
        """Show how much of an entity has been read."""
        if self._spinner is not None:
            self._show(f"{name}, {_records(records)}")
        elif name != self._last:
            self.say(name)
        self._last = name

    def say(self, sentence: str) -> None:
        """Show a sentence that belongs to the step."""
        if self._spinner is not None:
            self._show(sentence)
        elif not self._quiet:
            if self._line_open:
                click.echo(err=True)
                self._line_open = False
            click.echo(f"    {sentence}", err=True)

    def whisper(self, sentence: str) -> None:
        """Show a sentence that is worth nothing later, on a terminal only."""
        if self._spinner is not None:
            self._show(sentence)

    def _show(self, sentence: str) -> None:
        from rich.text import Text

        text = Text(f"{self._step:<{_NAME_WIDTH}}{sentence}", no_wrap=True, overflow="ellipsis")
        self._spinner.update(text=text)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Show a step while the block runs, and how long it took; what the block adds to the list is its result."""
        result: list[str] = []
        started = time.monotonic()
        self._step = name
        try:
            with self._running(name):
                yield result
        except BaseException:
            self._finish("✗", name, [], "")
            raise
        self._finish("✓", name, result, f"{time.monotonic() - started:.1f} s")

    @contextmanager
    def _running(self, name: str) -> Iterator[None]:
        if self._quiet:
            yield
        elif sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live
            from rich.padding import Padding
            from rich.spinner import Spinner

            self._spinner = Spinner("dots", text=name, style="green")
            line = Padding(self._spinner, (0, 0, 0, 2))
            try:
                with Live(line, console=Console(stderr=True), transient=True, refresh_per_second=12):
                    yield
            finally:
                self._spinner = None
        else:
            click.echo(f"  {name} …", nl=False, err=True)
            self._line_open = True
            yield

    def _finish(self, sign: str, name: str, result: list[str], took: str) -> None:
        if self._quiet:
            return
        said = ", ".join(result)
        if sys.stderr.isatty():
            mark = click.style(sign, fg="green" if took else "red")
            text = f"{name:<{_NAME_WIDTH}}{said}"
            click.echo(f"  {mark} {text:<{WIDTH - 14}} {click.style(f'{took:>8}', dim=True)}", err=True)
        elif self._line_open:
            click.echo(f" {', '.join([*result, took or 'failed'])}", err=True)
        else:
            click.echo(f"  {name}: {', '.join([*result, took or 'failed'])}", err=True)
        self._line_open = False


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"
