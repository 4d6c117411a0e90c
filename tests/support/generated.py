"""Payloads as QuickBooks might send them one day: made up by hypothesis from the catalogue's record classes.

Every field of a class is made with a value of its own kind or, now and then, of any other; it may be missing, empty or
misspelt. Between the fields stand some that nobody has heard of, at any depth. ``tests/unit/sync/shapes.py`` throws
anything at all at the row maker; here a payload is mostly what QuickBooks sends, so that its cells are full, and is
meant to go all the way through Postgres.
"""

from __future__ import annotations

import datetime
import re
import types
import typing
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from qbo_pipeline.catalog import Entity
from qbo_pipeline.catalog.fields import Timestamp
from qbo_pipeline.catalog.lines import DETAIL_OF
from qbo_pipeline.catalog.templates import WRAPPER

_AWKWARD = (
    *("", " ", "\\N", "\\.", "NULL", "null", "true", "0", "1e5", "{}", "[]", '"', "'; --", ",;\t", "\r", "\r\n"),
    *("\x01\x1f\x7f", "\u0085\u2028", "\ufeffx", "\uffff", "a\x00b", "\\u0000", "שלום עולם", "\u202eمرحبا\u202c"),
    *("e\u0301", "👩‍👩‍👧 𝒳", "x" * 3000),
)
texts = st.one_of(st.text("abcXYZ 09.-", max_size=9), st.text(st.characters(codec="utf-8"), max_size=9))
texts |= st.sampled_from(_AWKWARD)
#: Names of fields; without NUL, which is replaced, so that no two of them can become one.
names = texts.filter(lambda name: "\x00" not in name)
#: Money, and what might take its place: more digits than a float or ``numeric(38, 9)`` has, hundreds of zeros.
numbers = st.one_of(
    st.decimals(-(10**9), 10**9, places=2),
    st.integers(-(10**25), 10**25),
    st.builds(lambda digits, power: Decimal(f"{digits}E{power}"), st.integers(0, 10**40), st.integers(-400, 400)),
    st.sampled_from([Decimal(each) for each in ("0.1", "-0.00", "1E+2", "1e-19", "3.30", "0E-9", "9" * 40 + ".99")]),
)
jsons = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
_pacific = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2060, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=0, tzinfo=ZoneInfo("America/Los_Angeles")).isoformat()
)
_ODD_TIMES = (
    *("", "yesterday", "2026-02-30T00:00:00-08:00", "2026-01-05T10:00:00Z", "2026-01-05T10:00:00+16:00", "2026-01-05"),
    *("2026-01-05T10:00:00", "2026-01-05T10:00:00.123-08:00", "2026-01-05T24:00:00-08:00", "0000-00-00T00:00:00Z"),
    *("2026-03-08T02:30:00-08:00", "2026-11-01T01:30:00-07:00", "2026-11-01T01:30:00-08:00", "20260105T100000-0800"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-08:00", "1883-11-18T12:07:02-07:52:58"),
)
_ODD_DATES = ("", "0000-00-00", "2026-02-30", "2026-1-5", "2026-W01-1", "20260131", "2026-01-31-08:00", "31/01/2026")
_OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    Decimal: numbers,
    Timestamp: st.one_of(_pacific, st.sampled_from(_ODD_TIMES)),
    datetime.date: st.one_of(st.dates().map(datetime.date.isoformat), st.sampled_from(_ODD_DATES)),
    str: texts,
    bool: st.booleans(),
    int: st.integers(-20, 20) | st.integers(-(2**70), 2**70),
    msgspec.Raw: jsons,
}
#: In place of a value: numbers and flags as text, scalars for objects, objects for scalars.
clashes = st.one_of(
    jsons, numbers.map(str), st.booleans().map(lambda flag: str(flag).lower()), st.just([]), st.just({})
)


def cleaned(value: Any) -> Any:
    """Return a payload as Postgres can store it: each NUL and each half of a character replaced."""
    if isinstance(value, str):
        return re.sub("[\x00\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [cleaned(each) for each in value]
    if isinstance(value, dict):
        return {cleaned(name): cleaned(each) for name, each in value.items()}
    return value


@st.composite
def payloads(draw: st.DrawFn, entity: Entity) -> dict[str, Any]:
    """Payloads of an entity, half of them ordinary, without the fields it is known by (see ``numbered``)."""
    known_by = frozenset((*entity.key_fields, WRAPPER) if entity.wrapped else entity.key_fields)
    return _Maker(draw, odd=draw(st.booleans())).struct(entity.record, known_by)


def numbered(entity: Entity, payload: dict[str, Any], number: int) -> tuple[str, dict[str, Any]]:
    """Return a payload as record ``number`` of its entity, and what it is known by; templates get their wrapper."""
    prefix = ("", "TAX", "50000000000000000", "é ")[number % 4] if len(entity.key_fields) == 1 else ""
    key = [("2026-11-23" if column.kind == "date" else f"{prefix}{number}") for column in entity.key_columns]
    record = {**payload, **dict(zip(entity.key_fields, key, strict=True))}
    if number % 20 == 8:  # its prefix is empty: an Id may come as a number, and is text all the same
        record[entity.key_fields[0]] = number
    if entity.wrapped:
        kind = ("Invoice", "Bill", "Odd Kind", "JournalEntry")[number % 4]
        record = {kind: record} | ({"Beside": number} if number % 5 == 0 else {})
    return "-".join(key), record


def made_up(entity: Entity, count: int) -> list[dict[str, Any]]:
    """Return that many different payloads of an entity, for tests that cannot afford an example each."""
    found: list[dict[str, Any]] = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(payloads(entity))
    def collect(payload: dict[str, Any]) -> None:
        found.append(payload)

    collect()
    return found


class _Maker:
    """Draws one payload; an odd one has unknown fields, and values of another kind than their field's."""

    def __init__(self, draw: st.DrawFn, *, odd: bool) -> None:
        self._draw = draw
        self._odd = odd

    def struct(self, record: type[msgspec.Struct], without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Draw about half of a class's fields."""
        hints = typing.get_type_hints(record, include_extras=True)
        known = [name for name in hints if name not in without and self._draw(st.booleans())]
        payload = {name: self._value(hints[name]) for name in known}
        if self._odd:
            unknown = names.filter(lambda name: name not in hints)
            payload = self._draw(st.dictionaries(unknown, jsons, max_size=2)) | payload
        return payload

    def _value(self, hint: Any) -> Any:
        if self._once_in(15):
            return self._draw(clashes)
        bare = _bare(hint)
        if typing.get_origin(bare) is list:
            (line,) = typing.get_args(bare)
            return [self._line(line) for _ in range(self._draw(st.integers(1, 4)))]
        return self._draw(_OF_TYPE[bare]) if bare in _OF_TYPE else self.struct(bare)

    def _line(self, record: type[msgspec.Struct], *, inside: bool = False) -> dict[str, Any]:
        """Draw a line: its head, and mostly the one detail object that its DetailType names."""
        if record not in DETAIL_OF:
            return self.struct(record)
        keys = sorted(name for name in record.__struct_fields__ if name.endswith("Detail"))
        line = self.struct(record, frozenset((*keys, "DetailType")))
        key = self._draw(st.sampled_from(keys))
        right = "DescriptionOnly" if key == "DescriptionLineDetail" else key
        line["DetailType"] = self._draw(st.sampled_from(keys) | clashes) if self._once_in(6) else right
        line[key] = self._draw(clashes) if self._once_in(10) else self.struct(DETAIL_OF[record])
        if key == "GroupLineDetail" and isinstance(line[key], dict) and not inside:
            nested = [self._line(record, inside=True) for _ in range(self._draw(st.integers(1, 2)))]
            line[key]["Line"] = self._draw(clashes) if self._once_in(10) else nested
        if self._once_in(10):
            line[self._draw(st.sampled_from(keys))] = self._draw(clashes)  # a second detail, or in place of the first
        return line

    def _once_in(self, times: int) -> bool:
        return self._odd and self._draw(st.integers(1, times)) == times


def _bare(hint: Any) -> Any:
    """Return what a field holds: its mark if it has one (``Decimal``, ``Timestamp``), else its type without None."""
    if typing.get_origin(hint) is Annotated:
        return next((mark for mark in (Decimal, Timestamp) if mark in hint.__metadata__), None) or _bare(
            hint.__origin__
        )
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return _bare(next(each for each in typing.get_args(hint) if each is not types.NoneType))
    return hint
