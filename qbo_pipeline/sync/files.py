"""The files an entity's rows wait in until they are copied into Postgres, as its ``COPY`` reads text fastest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from qbo_pipeline.catalog import Entity, Table
from qbo_pipeline.sync.fast import Row
from qbo_pipeline.sync.lines import NO_LINES
from qbo_pipeline.sync.rows import Rows

#: Between two cells.
SEPARATOR = "\t"
#: What ``COPY`` would read as something else inside a cell; text that has none of it is written as it is.
_SPECIAL = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


class RowsFile:
    """A table's rows, one to a line, the names of the columns first.

    The format is ``COPY``'s own (FORMAT text): nothing is quoted, so a row is one join, while a CSV's writer looks at
    each character. An empty cell is no value.
    """

    def __init__(self, table: Table, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._separators = len(table.columns) - 1
        self._file = path.open("wb", buffering=256 * 1024)
        self._file.write((SEPARATOR.join(table.column_names) + "\n").encode())

    def write(self, rows: Sequence[Row], *, unbroken: bool = False) -> None:
        """Add rows; a cell is text, or what Python spells as Postgres reads it, or None.

        The cells of ``unbroken`` rows are text without tabs and ends of lines.
        """
        if unbroken:
            text = "\n".join([*map(SEPARATOR.join, rows), ""])
            if "\\" in text:
                text = text.replace("\\", r"\\")
        else:
            text = "\n".join([*self._escaped(rows), ""])
        self.rows += len(rows)
        self._file.write(text.encode())

    def _escaped(self, rows: Sequence[Row]) -> list[str]:
        lines: list[str] = []
        for row in rows:
            try:
                line = SEPARATOR.join(cells := row)
            except TypeError:  # a row of the careful path
                line = SEPARATOR.join(cells := tuple("" if cell is None else str(cell) for cell in row))
            if "\\" in line or "\n" in line or "\r" in line or line.count(SEPARATOR) != self._separators:
                line = SEPARATOR.join(cell.translate(_SPECIAL) for cell in cells)
            lines.append(line)
        return lines

    def close(self) -> None:
        self._file.close()


class EntityFiles:
    """One file per table of an entity; rows are counted as they are written.

    Memory stays flat however many rows there are: they go to disk at once.
    """

    def __init__(self, entity: Entity, folder: Path) -> None:
        self._entity = entity
        self._files = {table.name: RowsFile(table, folder / f"{table.name}.csv") for table in entity.tables}
        self.records = 0
        self.lines = 0

    def write(self, rows: Rows) -> None:
        """Add one record's rows."""
        self._files[self._entity.table.name].write((rows.row,), unbroken=rows.unbroken)
        self.records += 1
        if self._entity.line_table is not None:
            self._files[self._entity.line_table.name].write(rows.lines, unbroken=rows.unbroken)
            self.lines += len(rows.lines) - sum(line[2] == NO_LINES for line in rows.lines)

    def finish(self) -> Iterator[tuple[str, Path, int]]:
        """Close the files and yield table, path and number of rows of each that has any."""
        for name, file in self._files.items():
            file.close()
            if file.rows:
                yield name, file.path, file.rows

    def close(self) -> None:
        """Close the files without looking at them."""
        for file in self._files.values():
            file.close()
