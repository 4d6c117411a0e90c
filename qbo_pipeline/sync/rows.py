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
from qbo_pipeline.errors import QboError
from qbo_pipeline.sync import careful
from qbo_pipeline.sync.drift import Drift
from qbo_pipeline.sync.fast import FastColumns, Row, UnusualError
from qbo_pipeline.sync.lines import line_maker


@dataclass(slots=True)
class Rows:
    """The rows one record became: one for its table, and those for its line table."""

    row: Row
    lines: list[Row]
    #: Time the record was last touched, as QuickBooks wrote it.
    updated: str | None


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
        self._columns = FastColumns(tuple(column for column in entity.table.columns if column.path))
        self._lines = line_maker(entity)

    def rows(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        """Return the rows of one record; ``synced_at`` is the ISO time its page was read.

        Raises QboError when the record has no Id, because then it cannot be a row.
        """
        if self._always_careful or b"\\u0000" in bytes(raw):
            return self._careful(raw, synced_at)
        try:
            return self._fast(raw, synced_at)
        except (msgspec.DecodeError, UnicodeDecodeError, UnusualError):
            return self._careful(raw, synced_at)

    def _fast(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        record = self._decode(raw)
        row = (self._realm_id, *self._columns.read(record), "", synced_at)
        if not record.Id:
            raise UnusualError
        lines: list[Row] = []
        if self._lines is not None:
            head = (self._realm_id, record.Id)
            lines = [(*head, *cells, synced_at) for cells in self._lines.fast(getattr(record, self.entity.line_field))]
            lines = lines or [self._lines.none(head, synced_at)]
        return Rows(row, lines, record.MetaData.LastUpdatedTime)

    def _careful(self, raw: msgspec.Raw, synced_at: str) -> Rows:
        payload = careful.parse(bytes(raw))
        record_id = payload.get("Id")
        if record_id in (None, ""):
            raise QboError(f"QuickBooks returned {self.entity.name} without an Id; the record cannot be stored.")
        lines: list[Row] = []
        if self._lines is not None:
            raw_lines = payload.pop(self.entity.line_field, None)
            if not isinstance(raw_lines, list) or not all(isinstance(line, dict) for line in raw_lines):
                if raw_lines not in (None, ""):
                    payload[self.entity.line_field] = raw_lines  # not lines at all: kept whole in extra
                raw_lines = []
            head = (self._realm_id, str(record_id))
            lines = [(*head, *cells, synced_at) for cells in self._lines.careful(raw_lines, self.drift)]
            lines = lines or [self._lines.none(head, synced_at)]
        cells, extra = careful.cells(self._columns.columns, payload, self.drift)
        updated = payload.get("MetaData")
        stamp = updated.get("LastUpdatedTime") if isinstance(updated, dict) else None
        row = (self._realm_id, *cells, careful.json_text(extra), synced_at)
        return Rows(row, lines, stamp if isinstance(stamp, str) else None)
