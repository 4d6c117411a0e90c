"""Which columns the tables have, written down: the catalogue may grow, but nothing of it may go unnoticed.

python -m tests.support.promised     writes the promise again, after a column was added
"""

from __future__ import annotations

from pathlib import Path

from qbo_pipeline.catalog import tables

PROMISES = Path(__file__).parents[1] / "unit" / "catalog" / "promised_columns.txt"


def promised() -> str:
    """Return a line per table: its key, and every column with its type."""
    lines = []
    for table in sorted(tables(), key=lambda table: table.name):
        columns = sorted(f"{column.name} {column.kind}" for column in table.columns)
        lines.append(f"{table.name} ({', '.join(table.key)}): {', '.join(columns)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PROMISES.write_text(promised())
