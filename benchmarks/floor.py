"""The floor: the cheapest program that gets the same rows into the same tables. A program of its own, run by ``cases``.

    python -m benchmarks.floor URL_OF_FAKE URL_OF_DATABASE INVOICES [CHANGED_SINCE]

Pages are fetched, decoded with types, written out in memory and copied into two temporary tables; one statement per
table then merges them. It reads only ordinary records, tells nobody how it goes, and loses what it does not know:
no retries, no tokens, no counting, no cursor, no ``extra``. What every product spends beyond this buys something.

The classes it decodes into are made from the catalogue's columns alone, so that it shares the tables with the product
and none of its code.
"""

from __future__ import annotations

import io
import operator
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg2
import urllib3

from benchmarks.fake import REALM
from qbo_pipeline.catalog import Table, entity_named
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.lines import DETAIL_OF

_INVOICE = entity_named("Invoice")
_DETAIL = "SalesItemLineDetail"


_ABSENT = msgspec.Raw(b"")


def _struct(name: str, fields: list[tuple[tuple[str, ...], Any]]) -> type[msgspec.Struct]:
    """Return a class with a field for each first member of the paths, and classes of their own for what lies deeper."""
    members: list[tuple[str, Any, Any]] = []
    for head in dict.fromkeys(path[0] for path, _ in fields):
        inside = [(path[1:], kind) for path, kind in fields if path[0] == head]
        if inside[0][0]:
            deeper = _struct(name + head, inside)
            members.append((head, deeper, msgspec.field(default_factory=deeper)))
        elif (kind := inside[0][1]) is msgspec.Raw:
            members.append((head, kind, _ABSENT))
        else:
            members.append((head, kind | str, ""))
    return msgspec.defstruct(name, members, gc=False)


_KINDS: dict[str, Any] = {"text": str, "date": str, "timestamptz": str, "boolean": bool, "bigint": int}


def _typed(columns: list[Column]) -> list[tuple[tuple[str, ...], Any]]:
    # Numbers and what is jsonb stay the text they came as.
    return [(column.path, _KINDS.get(column.kind, msgspec.Raw)) for column in columns]


class _Reader:
    """Reads the cells of some columns off decoded records, as text."""

    def __init__(self, columns: list[Column]) -> None:
        self._get: Callable[[Any], tuple[Any, ...]] = operator.attrgetter(*(".".join(c.path) for c in columns))
        self._raw = [i for i, column in enumerate(columns) if column.kind not in _KINDS]
        self._spelt = [i for i, column in enumerate(columns) if _KINDS.get(column.kind) in (bool, int)]

    def cells(self, record: Any) -> list[Any]:
        cells = list(self._get(record))
        for i in self._raw:
            raw = cells[i]
            cells[i] = "" if raw is _ABSENT else bytes(raw).decode()
        for i in self._spelt:
            cells[i] = str(cells[i])
        return cells


def _main(fake: str, database: str, invoices: int, since: str) -> None:
    table, line_table = _INVOICE.table, _INVOICE.line_table
    assert line_table is not None
    assert _INVOICE.line_record is not None
    own = [column for column in table.columns if column.path]
    line_columns = [column for column in line_table.columns if column.path]
    detail_fields = DETAIL_OF[_INVOICE.line_record].__struct_fields__  # only which of the columns are the detail's
    head = [column for column in line_columns if column.path[0] not in detail_fields]
    inner = [column for column in line_columns if column.path[0] in detail_fields]
    line = _struct("Line", [*_typed(head), ((_DETAIL,), msgspec.Raw)])
    detail = msgspec.json.Decoder(_struct("Detail", _typed(inner))).decode
    record = _struct("Record", [*_typed(own), (("Line",), list[line])])  # type: ignore[valid-type]
    response = msgspec.defstruct("Response", [("Invoice", list[record], [])])  # type: ignore[valid-type]
    page_type = msgspec.defstruct("Page", [("QueryResponse", response)])
    decode = msgspec.json.Decoder(page_type).decode
    of_record, of_line, of_detail = _Reader(own), _Reader(head), _Reader(inner)

    connection = psycopg2.connect(database)
    cursor = connection.cursor()
    for each in (table, line_table):
        cursor.execute(f'CREATE TEMP TABLE "{each.name}" (LIKE quickbooks."{each.name}") ON COMMIT DROP')
    synced_at = datetime.now(UTC).isoformat()
    for body in _pages(fake, invoices, since):
        rows, line_rows = [], []
        for invoice in decode(body).QueryResponse.Invoice:  # type: ignore[attr-defined]
            rows.append((REALM, *of_record.cells(invoice), "", synced_at))
            for position, each in enumerate(invoice.Line):
                raw = bytes(getattr(each, _DETAIL))
                cells = (*of_line.cells(each), *of_detail.cells(detail(raw)))
                line_rows.append((REALM, invoice.Id, str(position), "", *cells, raw.decode(), "", synced_at))
        _copy(cursor, table, rows)
        _copy(cursor, line_table, line_rows)
    _merge(cursor, table)
    cursor.execute(
        f'DELETE FROM quickbooks."{line_table.name}" WHERE (realm_id, invoice_id) IN '
        f'(SELECT realm_id, id FROM "{table.name}")'
    )
    cursor.execute(f'INSERT INTO quickbooks."{line_table.name}" SELECT * FROM "{line_table.name}"')
    connection.commit()


def _pages(fake: str, invoices: int, since: str) -> Iterator[bytes]:
    where = f"where MetaData.LastUpdatedTime >= '{since}' " if since else ""
    pool = urllib3.PoolManager()
    for start in range(1, invoices + 1, 1000):
        statement = f"select * from Invoice {where}orderby Id startposition {start} maxresults 1000"
        answer = pool.request("GET", f"{fake}/v3/company/{REALM}/query?query={quote(statement)}")
        assert answer.status == 200
        yield answer.data


def _copy(cursor: Any, table: Table, rows: list[tuple[str, ...]]) -> None:
    lines = ["\t".join(row) for row in rows]
    text = "\n".join([*lines, ""])
    if "\\" in text:  # no cell of these invoices has a tab or ends a line
        text = text.replace("\\", "\\\\")
    command = f"COPY \"{table.name}\" FROM STDIN (FORMAT text, NULL '')"
    cursor.copy_expert(command, io.BytesIO(text.encode()), size=1 << 20)


def _merge(cursor: Any, table: Table) -> None:
    names = [column.name for column in table.columns]
    sets = ", ".join(f'"{name}" = EXCLUDED."{name}"' for name in names if name not in table.key)
    cursor.execute(
        f'INSERT INTO quickbooks."{table.name}" SELECT * FROM "{table.name}" '
        f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {sets}"
    )


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "".join(sys.argv[4:]))
