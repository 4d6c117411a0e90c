"""The fast path's eye: reads a table's cells straight off a decoded record.

It handles what QuickBooks ordinarily sends, and says so (``UnusualError``) when a record is anything else; the careful
path takes it from there.
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.fields import ABSENT

Row: TypeAlias = tuple[Any, ...]

#: QuickBooks writes its times in US Pacific whatever the company's own zone.
PACIFIC = ZoneInfo("America/Los_Angeles")

#: JSON texts that say no more than an absent member does.
_WITHOUT_VALUE = frozenset(("null", '""', "{}"))


class UnusualError(Exception):
    """The fast path met something it does not handle."""


class _Offsets(dict[str, str | None]):
    """UTC offset that US Pacific had at an hour (``2026-11-20T08``) -> ``-08:00``; None where an hour has two."""

    def __missing__(self, hour: str) -> str | None:
        first = datetime.datetime.fromisoformat(hour + ":00").replace(tzinfo=PACIFIC)
        offset = first.isoformat()[19:]
        answer = offset if first.replace(fold=1).isoformat()[19:] == offset else None
        if len(self) > 100_000:
            self.clear()
        self[hour] = answer
        return answer


_OFFSETS = _Offsets()


def is_usual_time(text: str) -> bool:
    """Say whether ``text`` is a time that rendering gives back letter by letter: seconds, US Pacific offset."""
    if len(text) != 25 or text[10] != "T" or text[19] not in "+-" or text >= "9999":
        return False
    try:
        datetime.datetime.fromisoformat(text)
        return _OFFSETS[text[:13]] == text[19:]
    except ValueError:
        return False


class FastColumns:
    """Reads columns off a decoded record."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        paths = [".".join(column.path) for column in self.columns]
        get = operator.attrgetter(*paths)
        self._get: Callable[[Any], Row] = get if len(paths) > 1 else lambda record: (get(record),)
        self._json = tuple(i for i, column in enumerate(self.columns) if column.kind == "jsonb")
        self._numbers = tuple(i for i, column in enumerate(self.columns) if column.kind == "numeric")
        self._times = tuple(i for i, column in enumerate(self.columns) if column.kind == "timestamptz")

    def read(self, record: Any) -> Row:
        """Return the cells, jsonb and numbers as the text that came; raise ``UnusualError`` for what they cannot hold.

        A number is one as JSON has it, without an exponent; a time is one that rendering would spell the same way.
        """
        cells = list(self._get(record))
        for i in self._times:
            if (text := cells[i]) is not None and not is_usual_time(text):
                raise UnusualError
        for i in self._json:
            if (raw := cells[i]) is ABSENT:
                cells[i] = ""
            else:
                text = bytes(raw).decode()
                cells[i] = "" if text in _WITHOUT_VALUE else text
        for i in self._numbers:
            if (raw := cells[i]) is ABSENT:
                cells[i] = ""
            else:
                cells[i] = text = bytes(raw).decode()
                if text[0] not in "-0123456789" or "e" in text or "E" in text or len(text) > 1000:
                    raise UnusualError
        return tuple(cells)
