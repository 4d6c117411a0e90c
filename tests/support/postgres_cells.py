"""What Postgres gives back for a CSV row: the smallest fake of COPY and SELECT, for tests that need no server."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from qbo_pipeline.catalog import Table


def stored(table: Table, row: tuple[Any, ...]) -> dict[str, Any]:
    """Return ``row`` as a mapping of column to cell, typed the way psycopg2 returns it (jsonb as text)."""
    assert len(row) == len(table.columns), (table.name, len(row), len(table.columns))
    return {column.name: _cell(column.kind, cell) for column, cell in zip(table.columns, row, strict=True)}


def _cell(kind: str, cell: Any) -> Any:
    text = "" if cell is None else str(cell)
    if text == "":
        return None
    match kind:
        case "numeric":
            return Decimal(text)
        case "bigint":
            return int(text)
        case "boolean":
            return text == "True"
        case "date":
            return datetime.date.fromisoformat(text)
        case "timestamptz":
            return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
        case _:
            return text
