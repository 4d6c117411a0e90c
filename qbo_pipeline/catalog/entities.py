"""What an entity is to us: a record class, and the facts about how QuickBooks treats it."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Literal

import msgspec

from qbo_pipeline.catalog.columns import Column, columns_of, lines_of
from qbo_pipeline.catalog.lines import DETAIL_OF, Line
from qbo_pipeline.errors import UsageError

Group = Literal["company", "sales", "purchases", "accounting", "taxes", "people"]
#: How an entity is read: by query, what changed since last time; by query, for the currencies the company uses; or
#: whole, from an address of its own.
Reads = Literal["query", "per currency", "list"]

REALM = Column("realm_id", "text", "QuickBooks company the row belongs to", nullable=False)
EXTRA = Column("extra", "jsonb", "whatever the other columns cannot give back exactly: fields new to us, odd spellings")
SYNCED = Column("synced_at", "timestamptz", "when this row was read from QuickBooks", nullable=False)

#: Fields an analyst looks for first: they open a table, whatever class declares them.
_FIRST = (
    "Id",
    "SyncToken",
    "TxnType",
    "DocNumber",
    "TxnDate",
    "DueDate",
    "CustomerRef",
    "VendorRef",
    "TotalAmt",
    "Balance",
    "CurrencyRef",
)
#: Fields that go to the end.
_LAST = ("CustomField", "MetaData", "domain", "sparse", "status")


@dataclass(frozen=True)
class Table:
    """One Postgres table of schema ``quickbooks``, derived from a record or line class."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class Entity:
    """One QuickBooks entity, and the facts everything else derives from."""

    record: type[msgspec.Struct]
    table_name: str
    group: Group
    singular: str = ""  #: Postgres spelling of one record; names the line table and its parent column
    line_table_name: str = ""  #: where that is not ``<singular>_lines``
    active: bool = False  #: made inactive (Active = false) rather than deleted; hidden from queries unless asked for
    cdc: bool = True  #: offered by change data capture
    every: timedelta = timedelta(0)  #: where change data capture does not cover it: how often it is asked for at most
    singleton: bool = False  #: exactly one record per company, which cannot be filtered by time
    notified_as: str = ""  #: its name in webhooks, where that is not its name
    answers_as: str = ""  #: key of its records in answers, where that is not its name
    key_fields: tuple[str, ...] = ("Id",)  #: fields that together say which record it is
    reads: Reads = "query"
    wrapped: bool = False  #: each record comes in an object named after its kind: ``{"Invoice": {...}}``
    #: Its lines, without subtotals and less discounts, and its tax make up its TotalAmt, as every real payload shows.
    #: Not so payments (credits subtract, money may be unapplied), deposits (cash back) and journal entries.
    adds_up: bool = False
    #: Fields that come out differently at every read: stored as they came, and never a difference between two records.
    volatile: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """QuickBooks' spelling, used in queries and as the key of answers: ``TaxCode``."""
        return self.record.__name__

    @property
    def path(self) -> str:
        """Path of single reads: ``taxcode``."""
        return self.name.lower()

    @property
    def json_key(self) -> str:
        """Key of its records in QuickBooks' answers."""
        return self.answers_as or self.name

    @cached_property
    def line_field(self) -> str:
        """Field that holds a record's lines: ``Line``, ``BudgetDetail``; empty for records without lines."""
        found = lines_of(self.record)
        return found[0] if found else ""

    @cached_property
    def line_record(self) -> type[msgspec.Struct] | None:
        found = lines_of(self.record)
        return found[1] if found else None

    @cached_property
    def table(self) -> Table:
        columns = sorted(columns_of(self.record), key=_rank)
        key = [replace(_column_of(field, columns), nullable=False) for field in self.key_fields]
        others = [column for column in columns if column.path[0] not in self.key_fields]
        times = [("realm_id", name) for name in ("updated_at", "txn_date") if any(c.name == name for c in columns)]
        return Table(
            name=self.table_name,
            description=inspect.getdoc(self.record) or "",
            columns=(REALM, *key, *others, EXTRA, SYNCED),
            key=("realm_id", *(column.name for column in key)),
            indexes=tuple(times),
        )

    @cached_property
    def line_table(self) -> Table | None:
        if self.line_record is None:
            return None
        parent = f"{self.singular}_id"
        name = self.line_table_name or f"{self.singular}_lines"
        belongs_to = f"the {self.singular.replace('_', ' ')} the line belongs to"
        return Table(
            name=name,
            description=f"Lines of {self.table_name}, one row each.",
            columns=(
                REALM,
                Column(parent, "text", belongs_to, nullable=False),
                Column("position", "bigint", "place in the record, from 0", nullable=False),
                *_line_columns(self.line_record),
                EXTRA,
                SYNCED,
            ),
            key=("realm_id", parent, "position"),
        )

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns that say which record of a company a row is."""
        return self.table.columns[1 : 1 + len(self.key_fields)]

    def key_of(self, word: str) -> tuple[str, ...]:
        """Return the key a person means by ``word``: an Id, or for a natural key its parts (``EUR-USD-2026-11-23``).

        Raises UsageError when ``word`` cannot be one.
        """
        parts = tuple(word.split("-", len(self.key_fields) - 1))
        dates = [part for part, column in zip(parts, self.key_columns, strict=False) if column.kind == "date"]
        if len(parts) != len(self.key_fields) or not all(parts) or not all(map(_is_date, dates)):
            wanted = "-".join(self.key_fields)
            raise UsageError(
                f"{word[:60]!r} names no {self.name}: write {wanted}"
                + (", with the date as in 2026-11-23." if any(c.kind == "date" for c in self.key_columns) else ".")
            )
        return parts

    @property
    def tables(self) -> tuple[Table, ...]:
        return (self.table,) if self.line_table is None else (self.table, self.line_table)


def _line_columns(record: type[msgspec.Struct]) -> tuple[Column, ...]:
    """Return the columns of a line; a transaction's line has those of its details too."""
    if record not in DETAIL_OF:
        return tuple(columns_of(record))
    own = {field.name for field in msgspec.structs.fields(record)} - {f.name for f in msgspec.structs.fields(Line)}
    return (
        Column("group_position", "bigint", "position of the group line it belongs to; null for ordinary lines"),
        Column("line_id", "text", "line id within its transaction; often absent, may be reissued", ("Id",)),
        *(column for column in columns_of(record) if column.path[0] not in own and column.name != "id"),
        *columns_of(DETAIL_OF[record]),
        Column("detail", "jsonb", "the detail object as QuickBooks gave it"),
    )


def _column_of(field: str, columns: list[Column]) -> Column:
    return next(column for column in columns if column.path == (field,))


def _is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text) and date.fromisoformat(text))
    except ValueError:
        return False


def _rank(column: Column) -> tuple[int, int]:
    """What is looked for first, first; housekeeping last; everything else as declared (sorting is stable)."""
    field = column.path[0]
    first = _FIRST.index(field) if field in _FIRST else len(_FIRST)
    return first, _LAST.index(field) if field in _LAST else -1
