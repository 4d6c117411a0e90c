"""A QuickBooks in memory whose books are edited after every answer, and what a read of it lost."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from hypothesis import strategies as st

from qbo_pipeline.qbo.answers import QueryAnswer
from qbo_pipeline.qbo.paging import Page, changed_pages
from qbo_pipeline.qbo.query import Select
from tests.unit.qbo.statements import parse

START = datetime(2026, 3, 8, 1, 59, 50, tzinfo=UTC)
Record = dict[str, Any]


@dataclass
class Books:
    """A QuickBooks in memory: it answers statements, and after each answer somebody may edit it."""

    records: dict[str, Record] = field(default_factory=dict)
    now: datetime = START
    edit: Callable[[Books], None] = lambda _: None
    statements: list[str] = field(default_factory=list)
    pause: int = 1  # seconds between two answers
    ignores: frozenset[Literal["order", "bounds", "startposition"]] = frozenset()
    ties: Callable[[], random.Random] = lambda: random.Random(1)  # how records of one second are ordered
    short: random.Random | None = None  # R29: sometimes fewer records than asked for
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def create(self, count: int = 1, **members: Any) -> list[str]:
        ids = [str(next(self._ids)) for _ in range(count)]
        for record_id in ids:
            stamp = self.now.isoformat()
            self.records[record_id] = {
                "Id": record_id,
                "SyncToken": "0",
                "MetaData": {"CreateTime": stamp, "LastUpdatedTime": stamp},
                **members,
            }
        return ids

    def update(self, record_id: str) -> None:
        record = self.records[record_id]
        token = str(int(record["SyncToken"]) + 1)
        meta = {**record["MetaData"], "LastUpdatedTime": self.now.isoformat()}
        self.records[record_id] = {**record, "SyncToken": token, "MetaData": meta}

    def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer:
        self.statements.append(str(statement))
        asked = parse(str(statement))
        found = [record for record in self.records.values() if self._meets(record, asked.conditions)]
        ties = self.ties()
        shuffled = sorted(found, key=lambda _: ties.random())
        if asked.order_by == "Id":
            shuffled.sort(key=lambda record: int(record["Id"]))
        elif asked.order_by is not None and "order" not in self.ignores:
            shuffled.sort(key=lambda record: _value(record, asked.order_by or "") or "")
        start = 1 if "startposition" in self.ignores else asked.start
        limit = asked.limit if self.short is None else self.short.randint(1, asked.limit)
        cut = shuffled[start - 1 : start - 1 + limit]
        answer = QueryAnswer([msgspec.Raw(json.dumps(record).encode()) for record in cut], self.now)
        self.edit(self)
        return answer

    def _meets(self, record: Record, conditions: list[tuple[str, str, Any]]) -> bool:
        for name, operator, wanted in conditions:
            if name == "Active":
                continue
            text = _value(record, name)
            if "bounds" in self.ignores:
                continue
            if text is None:
                return False
            have, limit = datetime.fromisoformat(text), datetime.fromisoformat(wanted)
            if not {">=": have >= limit, "<": have < limit}[operator]:
                return False
        return True


def _value(record: Record, name: str) -> Any:
    found: Any = record
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def read(books: Books, *, page_size: int = 5, **options: Any) -> list[Page]:
    options = {"since": None, "inactive_too": False, **options}
    return list(changed_pages(books, "Invoice", page_size=page_size, **options))


def ids(pages: list[Page]) -> list[str]:
    return [json.loads(bytes(record))["Id"] for page in pages for record in page.records]


@st.composite
def edited_books(draw: st.DrawFn) -> Books:
    """Books of up to 60 records in few or many seconds, with up to six edits after every answer."""
    seed = draw(st.integers(0, 2**32))
    chance = random.Random(seed)
    books = Books()
    for _ in range(draw(st.integers(0, 12))):
        books.create(draw(st.integers(1, 12)))
        books.now += timedelta(seconds=draw(st.integers(0, 3)))
    edits = draw(st.integers(0, 6))
    books.pause = draw(st.integers(0, 2))

    def edit(books: Books) -> None:
        if len(books.statements) > 200:  # the storm ends some day, or no reader could
            return
        books.now += timedelta(seconds=books.pause)
        for _ in range(chance.randint(0, edits)):
            alive = list(books.records)
            kind = chance.random()
            if kind < 0.15 or not alive:
                books.create()
            elif kind < 0.3:
                del books.records[chance.choice(alive)]
            else:
                books.update(chance.choice(alive))

    books.edit = edit
    return books


def lost(books: Books, pages: list[Page], throughout: set[str]) -> set[str]:
    """Records that existed from the first call to the last and were never yielded."""
    return (throughout & set(books.records)) - set(ids(pages))
