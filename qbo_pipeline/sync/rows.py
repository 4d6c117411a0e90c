"""From one QuickBooks record to its rows: the row of its table, and a row per line.

The fast path decodes a record straight into its class and reads the columns off it. Anything unusual, an unknown field,
a number written as text, a time in another zone, sends that one record to the careful path (``careful.py``), which
loses nothing: what a column cannot give back exactly goes into ``extra``. Either way ``render.py`` turns the rows back
into the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.catalog.templates import WRAPPER
from qbo_pipeline.errors import UnusableRecordError
from qbo_pipeline.sync import careful
from qbo_pipeline.sync.drift import Choices, Drift
from qbo_pipeline.sync.fast import FastColumns, Row, UnusualError, plain
from qbo_pipeline.sync.lines import line_maker
from qbo_pipeline.sync.wrapping import fast_unwrapped, unwrapped

#: Postgres stores no NUL character, in text or jsonb.
_NUL = rb"\u0000"
#: What follows the backslash where a record spells a tab or the end of a line, or any character by its number.
_BREAKS = frozenset((b"t", b"n", b"r", b"u"))
_NOTHING: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Rows:
    """The rows one record became: one for its table, and those for its line table.

    ``unbroken`` says that every cell is text, and that none has a tab or ends a line: one look at the record, which has
    neither, spares a look at each of its rows.
    """

    row: Row
    lines: list[Row]
    unbroken: bool = False


class RowMaker:
    """Makes the rows of one entity's records, for one company."""

    def __init__(
        self, entity: Entity, realm_id: str, *, drift: Drift | None = None, always_careful: bool = False
    ) -> None:
        self.entity = entity
        self.drift = drift if drift is not None else Drift()
        self._realm_id = realm_id
        self._always_careful = always_careful
        self._decode: Callable[[msgspec.Raw], Any] = msgspec.json.Decoder(plain(entity.record)).decode
        self._key_length = len(entity.key_fields)
        self._columns = FastColumns(tuple(column for column in entity.table.columns if column.path))
        self._lines = line_maker(entity)
        self._choices = Choices(entity.table)
        self._line_choices = Choices(entity.line_table, prefix=f"{entity.line_field}.") if entity.line_table else None

    def rows(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        """Return the rows of one record; ``synced_at`` is the ISO time its page was read.

        Raises UnusableRecordError when the record cannot be a row: it lacks its key, or is no JSON object.
        """
        made = self._made(raw, synced_at)
        self._choices.note((made.row,), self.drift)
        if self._line_choices is not None:
            self._line_choices.note(made.lines, self.drift)
        return made

    def _made(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        text = bytes(raw)
        escapes = {each[:1] for each in text.split(b"\\")[1:]} if b"\\" in text else _NOTHING
        if self._always_careful or (b"u" in escapes and _NUL in text):
            return self._careful(raw, synced_at)
        try:
            made = self._fast(raw, synced_at)
        except (msgspec.DecodeError, UnicodeDecodeError, UnusualError):
            return self._careful(raw, synced_at)
        made.unbroken = _BREAKS.isdisjoint(escapes) and not (b"\n" in text or b"\t" in text or b"\r" in text)
        return made

    def _fast(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        record = self._decode(fast_unwrapped(raw) if self.entity.wrapped else raw)
        row = (self._realm_id, *self._columns.read(record), "", synced_at)
        if not all(row[1 : 1 + self._key_length]):
            raise UnusualError
        lines: list[Row] = []
        if self._lines is not None:
            head = row[: 1 + self._key_length]
            lines = self._lines.fast(getattr(record, self.entity.line_field), head, synced_at)
            lines = lines or [self._lines.none(head, synced_at)]
        return Rows(row, lines)

    def _careful(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        try:
            payload = careful.parse(bytes(raw))
        except (ValueError, TypeError, RecursionError) as error:
            raise UnusableRecordError(
                f"QuickBooks returned {self.entity.name} that is not a JSON object we can read ({error})."
            ) from None
        if self.entity.wrapped:
            return Rows(self._row(*self._wrapped_cells(payload), synced_at), [])
        raw_lines = payload.pop(self.entity.line_field, None) if self._lines is not None else None
        if not isinstance(raw_lines, list) or not all(isinstance(line, dict) for line in raw_lines):
            if raw_lines not in (None, ""):
                payload[self.entity.line_field] = raw_lines  # not lines at all: kept whole in extra
            raw_lines = []
        row = self._row(*careful.cells(self._columns.columns, payload, self.drift), synced_at)
        lines: list[Row] = []
        if self._lines is not None:
            head = row[: 1 + self._key_length]
            lines = [(*head, *cells, synced_at) for cells in self._lines.careful(raw_lines, self.drift)]
            lines = lines or [self._lines.none(head, synced_at)]
        return Rows(row, lines)

    def _wrapped_cells(self, payload: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the cells of what is inside the wrapper; ``extra`` is laid over the wrapper, so it has its shape."""
        kind, inner, beside = unwrapped(payload)
        cells, extra = careful.cells(self._columns.columns, {**inner, WRAPPER: kind}, self.drift)
        if WRAPPER in inner:
            extra[WRAPPER] = inner[WRAPPER]
        self.drift.unknown.update(beside.keys())
        return cells, {**beside, **({kind: extra} if extra else {})}

    def _row(self, cells: list[Any], extra: dict[str, Any], synced_at: str) -> Row:
        """Return the row of a record's cells, or refuse a record that nothing can be told by."""
        missing = [
            ".".join(column.path)
            for column, cell in zip(self._columns.columns[: self._key_length], cells, strict=False)
            if cell in (None, "")
        ]
        if missing:
            raise UnusableRecordError(
                f"QuickBooks returned {self.entity.name} without a usable {' and '.join(missing)}; the record cannot "
                "be stored. Everything else was; look at the company's newest records, and report it to Intuit."
            )
        return (self._realm_id, *cells, careful.json_text(extra), synced_at)
