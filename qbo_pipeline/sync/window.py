"""What part of the books a sync reads, and what becomes of the cursor.

* incremental: everything touched since the cursor (everything, when there is none yet); moves the cursor.
* full: everything, whatever the cursor says; moves the cursor.
* range: what was *created* from ``since`` up to ``until``; stateless, so that a backfill of January can neither skip
  nor repeat anything for the hourly sync. Creation time never moves, so a record stays in its month for good.
* ids: single records; stateless too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from qbo_pipeline.errors import UsageError

Mode = Literal["incremental", "full", "range", "ids"]

#: How far behind the cursor an incremental read starts. Intuit may show a change a little after the time it stamps on
#: it; reading ten minutes twice is free (the merge is idempotent), missing a row is not.
OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the books to read; build it with the functions below."""

    mode: Mode
    since: datetime | None = None
    until: datetime | None = None
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def lower_bound(self, cursor: datetime | None) -> datetime | None:
        """Return the time to read from, None for everything."""
        if self.mode == "incremental" and cursor is not None:
            return cursor - OVERLAP
        return self.since if self.mode == "range" else None

    @property
    def moves_cursor(self) -> bool:
        return self.mode in ("incremental", "full")

    def __str__(self) -> str:
        if self.mode == "ids":
            return f"{sum(map(len, self.ids.values())):,} records by id"
        if self.mode != "range":
            return self.mode
        return f"created {_day(self.since)} to {_day(self.until)}"


INCREMENTAL = Window("incremental")
FULL = Window("full")


def created_between(since: datetime, until: datetime) -> Window:
    """Return the window of records created from ``since`` (included) to ``until`` (excluded).

    Raises UsageError when it is empty.
    """
    if since >= until:
        raise UsageError(f"The range from {_day(since)} to {_day(until)} is empty: its start must lie before its end.")
    return Window("range", since, until)


def these(ids: Mapping[str, Iterable[str]]) -> Window:
    """Return the window of single records, told by entity name and id; stateless, like a range."""
    return Window("ids", ids={name: frozenset(each) for name, each in ids.items()})


def _day(time: datetime | None) -> str:
    return "…" if time is None else time.astimezone(UTC).date().isoformat()
