"""The CSV files an entity's rows wait in until dlt copies them into Postgres."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from qbo_pipeline.catalog import Entity, Table
from qbo_pipeline.sync.lines import NO_LINES
from qbo_pipeline.sync.rows import Rows


@dataclass(slots=True)
class _File:
    path: Path
    handle: IO[str]
    writer: Any
    rows: int = 0


class EntityFiles:
    """One CSV per table of an entity, header first; rows are counted as they are written.

    Memory stays flat however many rows there are: they go to disk at once.
    """

    def __init__(self, entity: Entity, folder: Path) -> None:
        self._entity = entity
        self._files = {table.name: _opened(table, folder) for table in entity.tables}
        self.records = 0
        self.lines = 0

    def write(self, rows: Rows) -> None:
        """Add one record's rows."""
        file = self._files[self._entity.table.name]
        file.writer.writerow(rows.row)
        file.rows += 1
        self.records += 1
        if self._entity.line_table is not None:
            file = self._files[self._entity.line_table.name]
            file.writer.writerows(rows.lines)
            file.rows += len(rows.lines)
            self.lines += len(rows.lines) - sum(line[2] == NO_LINES for line in rows.lines)

    def finish(self) -> Iterator[tuple[str, Path, int]]:
        """Close the files and yield table, path and number of rows of each that has any."""
        for name, file in self._files.items():
            file.handle.close()
            if file.rows:
                yield name, file.path, file.rows

    def close(self) -> None:
        """Close the files without looking at them."""
        for file in self._files.values():
            file.handle.close()


def _opened(table: Table, folder: Path) -> _File:
    path = folder / f"{table.name}.csv"
    handle = path.open("w", newline="", encoding="utf-8")
    # Not "\n" alone: csv quotes only the characters of its own line end, and a bare "\r" in a memo would break COPY.
    writer = csv.writer(handle, lineterminator="\r\n")
    writer.writerow(table.column_names)
    return _File(path, handle, writer)
