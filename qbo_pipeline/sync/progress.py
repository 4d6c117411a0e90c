"""Says in one line how far a sync is: entity, pages, records, calls, and how long the rest of the list may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from qbo_pipeline.sync.outcome import EntityOutcome


class Progress:
    """Follows one sync of ``entities`` entities; to be told of every page."""

    def __init__(self, entities: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._entities = entities
        self._clock = clock
        self._heard = clock()
        self._begun: dict[str, float] = {}

    def line(self, each: EntityOutcome) -> str:
        """Return where the sync is after a page of an entity."""
        # An entity begins where the one before was last heard of: its first page took time as well.
        begun = self._begun.setdefault(each.entity.name, self._heard)
        self._heard = self._clock()
        # Without a count there is nothing to expect: a list, or what change data capture told.
        expected = each.expected or 0
        of = f" of {expected:,}" if expected > each.records else ""
        said = (
            f"{each.entity.name} ({len(self._begun)} of {self._entities}): page {each.pages}, "
            f"{each.records:,}{of} records, {each.run_calls:,} calls so far"
        )
        if not of or not each.records:
            return said
        left = (self._heard - begun) / each.records * (expected - each.records)
        return f"{said}, about {timedelta(seconds=round(left))} left for {each.entity.name}"
