"""From one QuickBooks record to its rows: the row of its table, and a row per line.

The fast path decodes a record straight into its class and reads the columns off it. Anything unusual, an unknown field,
a number written as text, a time in another zone, sends that one record to the careful path (``careful.py``), which
loses nothing: what a column cannot give back exactly goes into ``extra``. Either way ``render.py`` turns the rows back
into the record.
"""

from __future__ import annotations

import datetime
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from qbo_pipeline.catalog import Entity, Table
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.lines import DETAIL_KEY, DETAIL_OF
from qbo_pipeline.errors import UnusableRecordError
from qbo_pipeline.sync import careful

#: QuickBooks writes its times in US Pacific whatever the company's own zone.
PACIFIC = ZoneInfo("America/Los_Angeles")

#: JSON texts that say no more than an absent member does.
_WITHOUT_VALUE = frozenset(("null", '""', "{}"))

#: Place of the row that stands for a transaction without lines: it makes the merge take away the lines it had before,
#: and is never stored itself (see ``loader.py``).
NO_LINES = -1

Row = tuple[Any, ...]


@dataclass(slots=True)
class Rows:
    """The rows one record became: one for its table, and those for its line table."""

    row: Row
    lines: list[Row]
    #: Time the record was last touched, as QuickBooks wrote it.
    updated: str | None


@dataclass(slots=True)
class Drift:
    """What records carried that the catalogue does not expect: path of the field -> how many records."""

    unknown: Counter[str] = field(default_factory=Counter)
    unusual: Counter[str] = field(default_factory=Counter)


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


class RowMaker:
    """Makes the rows of one entity's records, for one company."""

    def __init__(
        self, entity: Entity, realm_id: str, *, drift: Drift | None = None, always_careful: bool = False
    ) -> None:
        self.entity = entity
        self.drift = drift or Drift()
        self._realm_id = realm_id
        self._always_careful = always_careful
        self._decode: Callable[[msgspec.Raw], Any] = msgspec.json.Decoder(entity.record).decode
        self._columns = _Columns(entity.table)
        self._lines = _LineMaker(entity) if entity.line_table is not None else None

    def rows(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        """Return the rows of one record; ``synced_at`` is the ISO time its page was read.

        Raises UnusableRecordError when the record cannot be a row: no Id, no JSON object.
        """
        if self._always_careful or b"\\u0000" in bytes(raw):
            return self._careful(raw, synced_at)
        try:
            return self._fast(raw, synced_at)
        except (msgspec.DecodeError, UnicodeDecodeError, _UnusualError):
            return self._careful(raw, synced_at)

    def _fast(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        record = self._decode(raw)
        row = (self._realm_id, *self._columns.read(record), "", synced_at)
        if not record.Id:
            raise _UnusualError
        lines: list[Row] = []
        if self._lines is not None:
            head = (self._realm_id, record.Id)
            lines = [(*head, *cells, synced_at) for cells in self._lines.fast(record.Line)]
            lines = lines or [self._lines.none(head, synced_at)]
        return Rows(row, lines, record.MetaData.LastUpdatedTime)

    def _careful(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        try:
            payload = careful.parse(bytes(raw))
        except (ValueError, TypeError, RecursionError) as error:
            raise UnusableRecordError(
                f"QuickBooks returned {self.entity.name} that is not a JSON object we can read ({error})."
            ) from None
        record_id = payload.get("Id")
        if isinstance(record_id, bool) or not isinstance(record_id, str | int) or record_id == "":
            raise UnusableRecordError(
                f"QuickBooks returned {self.entity.name} without a usable Id; the record cannot be stored. "
                "Everything else was; look at the company's newest records, and report it to Intuit."
            )
        lines: list[Row] = []
        if self._lines is not None:
            raw_lines = payload.pop("Line", None)
            if not isinstance(raw_lines, list) or not all(isinstance(line, dict) for line in raw_lines):
                if raw_lines not in (None, ""):
                    payload["Line"] = raw_lines  # not lines at all: kept whole in extra
                raw_lines = []
            head = (self._realm_id, str(record_id))
            lines = [(*head, *cells, synced_at) for cells in self._lines.careful(raw_lines, self.drift)]
            lines = lines or [self._lines.none(head, synced_at)]
        cells, extra = careful.cells(self._columns.columns, payload, self.drift)
        updated = payload.get("MetaData")
        stamp = updated.get("LastUpdatedTime") if isinstance(updated, dict) else None
        row = (self._realm_id, *cells, careful.json_text(extra), synced_at)
        return Rows(row, lines, stamp if isinstance(stamp, str) else None)


class _UnusualError(Exception):
    """The fast path met something it does not handle."""


class _Columns:
    """Reads the payload columns of a table off a decoded record."""

    def __init__(self, table: Table, columns: tuple[Column, ...] | None = None) -> None:
        self.columns = columns if columns is not None else tuple(c for c in table.columns if c.path)
        paths = [".".join(column.path) for column in self.columns]
        get = operator.attrgetter(*paths)
        self._get: Callable[[Any], Row] = get if len(paths) > 1 else lambda record: (get(record),)
        self._json = tuple(i for i, column in enumerate(self.columns) if column.kind == "jsonb")
        self._numbers = tuple(i for i, column in enumerate(self.columns) if column.kind == "numeric")
        self._times = tuple(i for i, column in enumerate(self.columns) if column.kind == "timestamptz")

    def read(self, record: Any) -> Row:
        """Return the cells, jsonb and numbers as the text that came; raise ``_UnusualError`` for what they cannot hold.

        A number is one as JSON has it, without an exponent; a time is one that rendering would spell the same way.
        """
        cells = list(self._get(record))
        for i in self._times:
            if (text := cells[i]) is not None and not is_usual_time(text):
                raise _UnusualError
        for i in self._json:
            text = bytes(cells[i]).decode()
            cells[i] = "" if text in _WITHOUT_VALUE else text
        for i in self._numbers:
            cells[i] = text = bytes(cells[i]).decode()
            if text and (text[0] not in "-0123456789" or "e" in text or "E" in text or len(text) > 1000):
                raise _UnusualError
        return tuple(cells)


class _LineMaker:
    """Makes the cells of a transaction's lines between the parent's id and ``synced_at``."""

    def __init__(self, entity: Entity) -> None:
        assert entity.line_record is not None  # noqa: S101 - narrows for mypy
        assert entity.line_table is not None  # noqa: S101
        record, table = entity.line_record, entity.line_table
        detail_record = DETAIL_OF[record]
        own = {name for name in record.__struct_fields__ if name.endswith("Detail")}
        detail_fields = set(detail_record.__struct_fields__)
        payload = [c for c in table.columns if c.path]
        self._head = _Columns(table, tuple(c for c in payload if c.path[0] not in detail_fields))
        self._detail = _Columns(table, tuple(c for c in payload if c.path[0] in detail_fields))
        self._detail_keys = tuple(sorted(own))
        self._details: Callable[[Any], tuple[msgspec.Raw, ...]] = (
            operator.attrgetter(*self._detail_keys)
            if len(self._detail_keys) > 1
            else lambda line: (getattr(line, self._detail_keys[0]),)
        )
        self._decode = msgspec.json.Decoder(detail_record).decode
        self._decode_group = msgspec.json.Decoder(_Group).decode
        self._decode_line = msgspec.json.Decoder(record).decode
        self._no_detail: Row = (None,) * (len(self._detail.columns) + 1)
        self._width = len(table.columns) - len(("realm_id", "parent", "position", "synced_at"))

    def none(self, head: Row, synced_at: str) -> Row:
        """Return the row that stands for 'this transaction has no lines'."""
        return (*head, NO_LINES, *([None] * self._width), synced_at)

    def fast(self, lines: list[Any]) -> Iterator[Row]:
        position = -1
        for line in lines:
            position += 1
            key, detail = self._detail_of(line)
            yield (position, None, *self._cells(line, detail), "")
            if key == "GroupLineDetail" and detail:
                group = position
                for nested in self._decode_group(detail).Line:
                    position += 1
                    nested_line = self._decode_line(nested)
                    yield (position, group, *self._cells(nested_line, self._detail_of(nested_line)[1]), "")

    def _detail_of(self, line: Any) -> tuple[str, bytes]:
        """Return the one detail object of a line and its key; unusual when it is not where DetailType says."""
        kind = line.DetailType
        key = DETAIL_KEY.get(kind, kind)
        raws = self._details(line)
        found = bytes(getattr(line, key)) if key in self._detail_keys else b""
        if sum(map(len, map(bytes, raws))) != len(found):
            raise _UnusualError
        return key, found

    def _cells(self, line: Any, detail: bytes) -> Row:
        head = self._head.read(line)
        if not detail or detail == b"{}":
            return (*head, *self._no_detail[:-1], detail.decode())
        return (*head, *self._detail.read(self._decode(detail)), detail.decode())

    def careful(self, lines: list[dict[str, Any]], drift: Any) -> Iterator[Row]:
        position = -1
        for line in lines:
            position += 1
            group = position
            yield (position, None, *self._careful_cells(line, drift))
            inner = line.get("GroupLineDetail")
            nested_lines = inner.get("Line") if isinstance(inner, dict) else None
            for nested in nested_lines if isinstance(nested_lines, list) else []:
                if isinstance(nested, dict):
                    position += 1
                    yield (position, group, *self._careful_cells(nested, drift))

    def _careful_cells(self, line: dict[str, Any], drift: Any) -> Row:
        rest = dict(line)
        kind = line.get("DetailType")
        key = DETAIL_KEY.get(kind, kind) if isinstance(kind, str) else None
        detail = rest.pop(key) if key in self._detail_keys and isinstance(rest.get(key), dict) else None
        head, extra = careful.cells(self._head.columns, rest, drift, prefix="Line.")
        # The detail is kept whole beside its columns, so what they cannot hold is not repeated in extra.
        detail_cells, _ = careful.cells(self._detail.columns, detail or {}, None)
        return (*head, *detail_cells, careful.json_text(detail), careful.json_text(extra))


class _Group(msgspec.Struct):
    Line: list[msgspec.Raw] = []
