"""The fast path's eye: reads a table's cells straight off a decoded record.

It handles what QuickBooks ordinarily sends, and says so (``UnusualError``) when a record is anything else; the careful
path takes it from there.
"""

from __future__ import annotations

import datetime
import functools
import operator
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.fields import ABSENT

#: Cells in the order of the table's columns. The fast path's are text, ready to be written: "" is no value.
Row: TypeAlias = tuple[Any, ...]

#: QuickBooks writes its times in US Pacific whatever the company's own zone.
PACIFIC = ZoneInfo("America/Los_Angeles")

#: JSON texts that say no more than an absent member does.
_WITHOUT_VALUE = frozenset(("null", '""', "{}"))

#: What a JSON number is made of when it is written without an exponent.
_DIGITS = "-.0123456789"
#: Digits of all numbers of a row, so that none is longer than Postgres is trusted with.
_MOST_DIGITS = 1000


class UnusualError(Exception):
    """The fast path met something it does not handle."""


@functools.cache
def plain(record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a class that decodes what ``record`` does, and leaves text where it can: an absent value is "".

    Days stay text too, for ``FastColumns`` to look at. An explicit null is refused; QuickBooks leaves out what it has
    no value for.
    """
    hints = typing.get_type_hints(record, include_extras=True)
    members: list[tuple[str, Any, Any]] = []
    for member in msgspec.structs.fields(record):
        hint, default = _present(hints[member.name]), member.default
        if typing.get_origin(hint) is list:
            default = msgspec.field(default_factory=list)
        elif isinstance(default, msgspec.Struct):
            default = hint()
        members.append((member.name, hint, "" if default is None or default is ABSENT else default))
    refuses = record.__struct_config__.forbid_unknown_fields
    return msgspec.defstruct(record.__name__, members, frozen=True, gc=False, forbid_unknown_fields=refuses)


def _present(hint: Any) -> Any:
    """Return the type of a value that is there."""
    if typing.get_origin(hint) is Annotated:
        limits = [mark for mark in hint.__metadata__ if isinstance(mark, msgspec.Meta)]
        bare = _present(hint.__origin__)
        return Annotated[(bare, *limits)] if limits else bare
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (bare,) = (each for each in typing.get_args(hint) if each is not type(None))
        return _present(bare)
    if typing.get_origin(hint) is list:
        return list[plain(typing.get_args(hint)[0])]  # type: ignore[misc]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return plain(hint)
    return str if hint is datetime.date else hint


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


class _Days(dict[str, str]):
    """Every day that was met (``2026-11-20``) -> itself; UnusualError for a text that is none."""

    def __missing__(self, text: str) -> str:
        try:
            usual = len(text) == 10 and datetime.date.fromisoformat(text).isoformat() == text
        except ValueError:
            usual = False
        if not usual:
            raise UnusualError
        if len(self) > 100_000:
            self.clear()
        self[text] = text
        return text


_DAYS = _Days({"": ""})
_FLAGS: dict[Any, str] = {True: "True", False: "False", "": ""}


def is_usual_time(text: str) -> bool:
    """Say whether ``text`` is a time that rendering gives back letter by letter: seconds, US Pacific offset."""
    if len(text) != 25 or text[10] != "T" or text[19] not in "+-" or text >= "9999":
        return False
    try:
        datetime.datetime.fromisoformat(text)
        return _OFFSETS[text[:13]] == text[19:]
    except ValueError:
        return False


def getter(columns: tuple[Column, ...]) -> Callable[[Any], Row]:
    """Return what takes the values of columns off a decoded record."""
    paths = [".".join(column.path) for column in columns]
    get = operator.attrgetter(*paths)
    return get if len(paths) > 1 else lambda record: (get(record),)


class FastColumns:
    """Reads columns off a decoded record."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        self._get = getter(columns)
        self._numbers = self._places("numeric")
        self._json = self._places("jsonb")
        self._times = self._places("timestamptz")
        self._days = self._places("date")
        self._flags = self._places("boolean")
        self._integers = self._places("bigint")

    def _places(self, *kinds: str) -> tuple[int, ...]:
        return tuple(place for place, column in enumerate(self.columns) if column.kind in kinds)

    def read(self, record: Any) -> list[str]:
        """Return the cells of a record as ``written`` does."""
        return self.written(list(self._get(record)))

    def written(self, cells: list[Any]) -> list[str]:
        """Return values as the text they are written with; raise ``UnusualError`` for what columns cannot hold.

        A number is one as JSON has it, without an exponent; a time is one that rendering would spell the same way.
        """
        for i in self._times:
            if (text := cells[i]) and not is_usual_time(text):
                raise UnusualError
        for i in self._days:
            if text := cells[i]:
                _DAYS[text]
        for i in self._flags:
            cells[i] = _FLAGS[cells[i]]
        for i in self._integers:
            cells[i] = str(cells[i])
        for i in self._json:
            if raw := cells[i]:
                cells[i] = "" if (text := str(raw, "utf-8")) in _WITHOUT_VALUE else text
        numbers = ""
        for i in self._numbers:
            if raw := cells[i]:
                cells[i] = text = str(raw, "utf-8")
                numbers += text
        if numbers.strip(_DIGITS) or len(numbers) > _MOST_DIGITS:
            raise UnusualError
        return cells
