"""``python -m qbo_pipeline.cli.first_sync REALM``: a demo's sync through Dagster, in a process of its own.

It says on stdout what it does, one JSON object per line: ``{"entity", "records", "rows"}`` after every page, and
``{"error"}`` when it fails. A process of its own, because Ctrl-C in the middle of Dagster and dlt would end who knows
where; like this the demo keeps its head and stops it like everything else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qbo_pipeline.books import Books
from qbo_pipeline.cli.failures import sentence
from qbo_pipeline.cli.services import dagster_home

if TYPE_CHECKING:
    from qbo_pipeline.sync.outcome import EntityOutcome


def main() -> None:
    """Sync everything of one company.

    Everything, because the local QuickBooks begins anew with every demo and a folder of files may have changed: what a
    cursor remembers of an earlier one means nothing.
    """
    from qbo_pipeline.definitions import defs
    from qbo_pipeline.defs.launch import sync_now

    def watch(outcome: EntityOutcome) -> None:
        _say(entity=outcome.entity.name, records=outcome.records, rows=outcome.records + outcome.lines)

    try:
        books = Books()
        books.observers.append(watch)
        company = replace(books.company(sys.argv[1]), initial_load_at=None)
        sync_now(defs, books, company, dagster_home(books.settings.state_dir))
    except Exception as error:
        said = sentence(error)
        if said is None:
            raise
        _say(error=said)
        sys.exit(1)


def _say(**words: Any) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()
