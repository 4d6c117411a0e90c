"""What is in a file of rows is read by COPY as it was in the cells, whatever that is."""

from __future__ import annotations

import datetime
import json
import re
import tempfile
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.catalog import entity_named
from qbo_pipeline.sync.fast import Row
from qbo_pipeline.sync.files import EntityFiles, RowsFile
from qbo_pipeline.sync.rows import RowMaker
from tests.support.payloads import raw

INVOICE = entity_named("Invoice")
WIDTH = len(INVOICE.table.columns)
ANY_TEXT = st.text(
    alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('",\r\n\tNnrt.\x85\u2028\\'))
)
CELLS = st.one_of(st.none(), ANY_TEXT, st.decimals(allow_nan=False, allow_infinity=False))


def written(rows: list[Row]) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        file = RowsFile(INVOICE.table, Path(folder) / "invoices.csv")
        file.write(rows)
        file.close()
        assert file.rows == len(rows)
        header, *lines, rest = file.path.read_bytes().decode().split("\n")
    assert tuple(header.split("\t")) == INVOICE.table.column_names
    assert rest == ""
    return [[_read(cell) for cell in line.split("\t")] for line in lines]


def _read(cell: str) -> str:
    """Undo what a backslash means to COPY: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"."""
    assert "\r" not in cell, "COPY takes it for the end of a line"
    meanings = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
    return re.sub(r"\\(.)", lambda found: meanings[found[1]], cell)


@given(st.lists(st.tuples(*[CELLS] * 3), max_size=5))
def test_every_cell_is_read_as_it_was_written(given_: list[tuple[object, ...]]) -> None:
    rows: list[Row] = [("", *cells, *[""] * (WIDTH - 4)) for cells in given_]
    assert written(rows) == [["" if cell is None else str(cell) for cell in row] for row in rows]


SPACES = ("", " ", "\n", "\t", "\r", "\r\n")
#: Every way to spell what may not stand in a cell as it is.
SPELLINGS = (
    r"\t",
    r"\n",
    r"\r",
    r"\u0009",
    r"\u000a",
    r"\u000D",
    r"\\",
    r"\\t",
    r"\\\n",
    r"\u005c",
    r"\u005Ct",
    r"\"n",
)


@given(ANY_TEXT, ANY_TEXT, st.booleans(), st.sampled_from(SPACES))
def test_a_record_is_written_as_the_careful_path_writes_it(memo: str, name: str, ascii_only: bool, space: str) -> None:
    memo, name = (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in (memo, name))
    written_alike(memo, name, space)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("spelling", ["", *SPELLINGS])
def test_a_break_is_written_as_the_careful_path_writes_it(spelling: str, space: str) -> None:
    written_alike(spelling, "plain", space)
    written_alike("plain", f"a{spelling}b", space)


def written_alike(memo: str, name: str, space: str) -> None:
    """Check both paths with a record of two texts as JSON spells them, and ``space`` where JSON allows it."""
    detail = f'{{"ItemRef":{{{space}"name":"{name}"}}}}'
    line = f'{{"Amount":1,"DetailType":"SalesItemLineDetail","SalesItemLineDetail":{detail}}}'
    fields = f'[{space}{{"StringValue":"{name}"}}]'
    payload = f'{{"Id":"1","PrivateNote":"{memo}","CustomField":{fields},"Line":[{line},{line}]}}'
    record = msgspec.Raw(payload.encode())
    fast, careful = (written_by(RowMaker(INVOICE, "9130", always_careful=each), record) for each in (False, True))
    assert [[_plain(cell) for cell in row] for row in fast] == [[_plain(cell) for cell in row] for row in careful]


def written_by(maker: RowMaker, record: msgspec.Raw) -> list[list[str]]:
    """Return the cells of a record's rows, as COPY reads them."""
    with tempfile.TemporaryDirectory() as folder:
        files = EntityFiles(INVOICE, Path(folder))
        files.write(maker.rows(record, "2026-11-23T12:00:00+00:00"))
        texts = [path.read_bytes().decode() for _, path, _ in files.finish()]
    return [[_read(cell) for cell in line.split("\t")] for text in texts for line in text.split("\n")]


def _plain(cell: str) -> str:
    """Return a cell of JSON spelt one way: the fast path keeps QuickBooks' own spelling."""
    return json.dumps(json.loads(cell)) if cell[:1] in ("[", "{") and _is_json(cell) else cell


def _is_json(cell: str) -> bool:
    try:
        json.loads(cell)
    except ValueError:
        return False
    return True


def test_what_is_no_text_is_spelt_as_postgres_reads_it() -> None:
    kinds = [column.kind for column in INVOICE.table.columns]
    row: list[object] = [None] * WIDTH
    row[kinds.index("boolean")], row[kinds.index("date")] = False, datetime.date(2026, 1, 31)
    row[kinds.index("numeric")] = Decimal("12.50")
    (cells,) = written([tuple(row)])
    assert sorted(filter(None, cells)) == ["12.50", "2026-01-31", "False"]


def test_a_page_of_rows_is_counted_by_table(tmp_path: Path) -> None:
    files = EntityFiles(INVOICE, tmp_path)
    maker = RowMaker(INVOICE, "9130")
    for payload in ({"Id": "1", "Line": [{"Amount": 1}, {"Amount": 2}]}, {"Id": "2"}):
        files.write(maker.rows(raw(payload), "2026-11-23T12:00:00+00:00"))
    # The record without lines leaves a mark among them, which is a row and no line.
    assert [(name, rows) for name, _, rows in files.finish()] == [("invoices", 2), ("invoice_lines", 3)]
    assert (files.records, files.lines) == (2, 2)


def test_a_table_without_rows_leaves_nothing_to_load(tmp_path: Path) -> None:
    assert not list(EntityFiles(INVOICE, tmp_path).finish())
