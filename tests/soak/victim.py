"""A process that syncs one company, for others to kill: ``python -m tests.soak.victim REALM WINDOW PAGE_SIZE ENTITY …``

It ends with 0 when every entity is in, 1 with a sentence when not; anything else is a crash.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.settings import load_settings
from qbo_pipeline.sync.window import FULL, INCREMENTAL, created_between
from tests.support.untimed import small_pages, untimed_books


def main() -> None:
    """Sync what the command line says."""
    realm, mode, page_size, *names = sys.argv[1:]
    everything = created_between(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=400))
    windows = {"incremental": INCREMENTAL, "full": FULL, "range": everything}
    books, entities = untimed_books(load_settings()), tuple(map(entity_named, names))
    try:
        with small_pages(int(page_size)):
            if mode == "webhook":
                acted = books.act_on_webhooks(realm, entities)
                if acted is None:
                    sys.exit("Error: nothing waited")
                outcome = acted.outcome
            else:
                outcome = books.sync(realm, entities, windows[mode], trigger=f"victim, {mode}")
    except PipelineError as error:
        sys.exit(f"Error: {error}")
    if outcome.failed:
        sys.exit("; ".join(f"{each.entity.name}: {each.error}" for each in outcome.failed))


if __name__ == "__main__":
    main()
