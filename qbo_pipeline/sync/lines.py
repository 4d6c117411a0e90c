"""The rows of a record's lines: between the parent's id and ``synced_at``, in the order QuickBooks shows them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.lines import DETAIL_OF, detail_key, detail_keys
from qbo_pipeline.sync import careful
from qbo_pipeline.sync.drift import Drift
from qbo_pipeline.sync.fast import FastColumns, Row, UnusualError, getter, plain

#: Place of the row that stands for a record without lines: it makes the merge take away the lines it had before, and is
#: never stored itself (see ``resources.py``).
NO_LINES = "-1"


def line_maker(entity: Entity) -> PlainLines | None:
    """Return what makes the lines of an entity's records; None for records without lines."""
    if entity.line_record is None or entity.line_table is None:
        return None
    columns = entity.line_table.columns
    if entity.line_record in DETAIL_OF:
        return TransactionLines(entity.line_field, entity.line_record, columns)
    return PlainLines(entity.line_field, columns)


class PlainLines:
    """Lines that are simple records: budget amounts."""

    #: Fields that are not of the line itself but of its detail object.
    detail_fields: frozenset[str] = frozenset()

    def __init__(self, name: str, columns: tuple[Column, ...]) -> None:
        self._name = name
        self._width = len(columns) - len(("realm_id", "parent", "position", "synced_at"))
        self._head = FastColumns(tuple(c for c in columns if c.path and c.path[0] not in self.detail_fields))

    def none(self, head: Row, synced_at: str) -> Row:
        """Return the row that stands for 'this record has no lines'."""
        return (*head, NO_LINES, *([""] * self._width), synced_at)

    def fast(self, lines: list[Any], head: Row, synced_at: str) -> list[Row]:
        """Return the rows of decoded lines; UnusualError when one is not ordinary."""
        return [(*head, str(position), *self._head.read(line), "", synced_at) for position, line in enumerate(lines)]

    def careful(self, lines: list[dict[str, Any]], drift: Drift) -> Iterator[Row]:
        """Yield the cells of any lines whatever, from position to extra."""
        for position, line in enumerate(lines):
            cells, extra = careful.cells(self._head.columns, line, drift, prefix=f"{self._name}.")
            yield (str(position), *cells, careful.json_text(extra))


class TransactionLines(PlainLines):
    """Lines of transactions: a head, one detail object, and for a group the lines inside it."""

    def __init__(self, name: str, record: type[msgspec.Struct], columns: tuple[Column, ...]) -> None:
        detail_record = DETAIL_OF[record]
        self.detail_fields = frozenset(detail_record.__struct_fields__)
        super().__init__(name, columns)
        self._detail_columns = tuple(c for c in columns if c.path and c.path[0] in self.detail_fields)
        self._columns = FastColumns(self._head.columns + self._detail_columns)
        self._head_of, self._cells_of = getter(self._head.columns), getter(self._detail_columns)
        self._record = record
        self._detail_keys = detail_keys(record)
        self._key_of_type = _Keys(record)
        self._details: Callable[[Any], tuple[msgspec.Raw, ...]] = (
            operator.attrgetter(*self._detail_keys)
            if len(self._detail_keys) > 1
            else lambda line: (getattr(line, self._detail_keys[0]),)
        )
        self._decode = msgspec.json.Decoder(plain(detail_record)).decode
        self._decode_group = msgspec.json.Decoder(_Group).decode
        self._decode_line = msgspec.json.Decoder(plain(record)).decode
        self._no_detail: Row = ("",) * len(self._detail_columns)

    def fast(self, lines: list[Any], head: Row, synced_at: str) -> list[Row]:
        rows: list[Row] = []
        for line in lines:
            position = str(len(rows))
            key, detail = self._detail_of(line)
            rows.append((*head, position, "", *self._cells(line, detail), "", synced_at))
            if key == "GroupLineDetail" and detail:
                for nested in self._decode_group(detail).Line:
                    inner = self._decode_line(nested)
                    cells = self._cells(inner, self._detail_of(inner)[1])
                    rows.append((*head, str(len(rows)), position, *cells, "", synced_at))
        return rows

    def _detail_of(self, line: Any) -> tuple[str | None, Any]:
        """Return the key and the JSON of the one detail of a line; unusual when it is not where DetailType says."""
        key = self._key_of_type[line.DetailType]
        details = self._details(line)
        found = getattr(line, key) if key else ""
        if len(details) - details.count("") != bool(found):
            raise UnusualError
        return key, found

    def _cells(self, line: Any, detail: Any) -> list[str]:
        """Return the cells of a line's head and of its detail."""
        text = str(detail, "utf-8") if detail else ""
        has_cells = text not in ("", "{}")
        values = [*self._head_of(line), *(self._cells_of(self._decode(detail)) if has_cells else self._no_detail)]
        cells = self._columns.written(values)
        cells.append(text)
        return cells

    def careful(self, lines: list[dict[str, Any]], drift: Drift) -> Iterator[Row]:
        position = -1
        for line in lines:
            position += 1
            group = position
            yield (str(position), "", *self._careful_cells(line, drift))
            inner = line.get("GroupLineDetail")
            nested_lines = inner.get("Line") if isinstance(inner, dict) else None
            for nested in nested_lines if isinstance(nested_lines, list) else []:
                if isinstance(nested, dict):
                    position += 1
                    yield (str(position), str(group), *self._careful_cells(nested, drift))

    def _careful_cells(self, line: dict[str, Any], drift: Drift) -> Row:
        rest = dict(line)
        kind = line.get("DetailType")
        key = detail_key(self._record, kind) if isinstance(kind, str | None) else None
        detail = rest.pop(key) if key and isinstance(rest.get(key), dict) else None
        head, extra = careful.cells(self._head.columns, rest, drift, prefix=f"{self._name}.")
        # The detail is kept whole beside its columns, so what they cannot hold is not repeated in extra.
        detail_cells, _ = careful.cells(self._detail_columns, detail or {}, None)
        return (*head, *detail_cells, careful.json_text(detail), careful.json_text(extra))


class _Keys(dict[object, str | None]):
    """What a line's DetailType says -> the field of its detail."""

    def __init__(self, record: type[msgspec.Struct]) -> None:
        self._record = record

    def __missing__(self, detail_type: object) -> str | None:
        self[detail_type] = key = detail_key(self._record, detail_type)
        return key


class _Group(msgspec.Struct):
    Line: list[msgspec.Raw] = []
