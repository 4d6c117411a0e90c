"""What records carried that the catalogue does not expect: QuickBooks changes without a new version of its API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from qbo_pipeline.catalog import Table

Kind = Literal["unknown field", "unusual value", "unknown choice"]

#: Longest value that is repeated in a report: the known choices are single words.
_SHOWN = 40


@dataclass(slots=True)
class Drift:
    """Path of a field -> in how many records or lines.

    ``unknown``: the catalogue has no such field. ``unusual``: of another type or spelling than its column can give
    back. ``choices`` (``Type = Rental``): a value that is not among those the field is known to take.
    """

    unknown: Counter[str] = field(default_factory=Counter)
    unusual: Counter[str] = field(default_factory=Counter)
    choices: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.unknown or self.unusual or self.choices)

    def report(self) -> Iterator[tuple[Kind, str, int]]:
        """Yield what was seen: kind, field, how often."""
        kinds: tuple[tuple[Kind, Counter[str]], ...] = (
            ("unknown field", self.unknown),
            ("unusual value", self.unusual),
            ("unknown choice", self.choices),
        )
        for kind, seen in kinds:
            for what, count in sorted(seen.items()):
                yield kind, what, count


class Choices:
    """Watches the columns of a table whose values come from a list."""

    def __init__(self, table: Table, *, prefix: str = "") -> None:
        self._watched = tuple(
            (place, column.values, prefix + ".".join(column.path))
            for place, column in enumerate(table.columns)
            if column.values
        )

    def note(self, rows: Iterable[tuple[Any, ...]], drift: Drift) -> None:
        """Count the values of finished rows that are not on their lists."""
        for row in rows:
            for place, known, path in self._watched:
                if (value := row[place]) and value not in known:
                    drift.choices[f"{path} = {value[:_SHOWN]}"] += 1
