"""What an entity is to us: a record class, and the facts about how QuickBooks treats it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec

from qbo_pipeline.catalog.columns import Column, columns_of, lines_of
from qbo_pipeline.catalog.lines import DETAIL_OF, Line

Group = Literal["company", "sales", "purchases", "accounting", "taxes"]

REALM = Column("realm_id", "text", "QuickBooks company the row belongs to", nullable=False)
EXTRA = Column("extra", "jsonb", "whatever the other columns cannot give back exactly: fields new to us, odd spellings")
SYNCED = Column("synced_at", "timestamptz", "when this row was read from QuickBooks", nullable=False)

#: Fields an analyst looks for first: they open a table, whatever class declares them.
_FIRST = (
    "Id",
    "SyncToken",
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
    active: bool = False  #: made inactive (Active = false) rather than deleted; hidden from queries unless asked for
    cdc: bool = True  #: offered by change data capture
    singleton: bool = False  #: exactly one record per company, which cannot be filtered by time

    @property
    def name(self) -> str:
        """QuickBooks' spelling, used in queries and as the key of answers: ``TaxCode``."""
        return self.record.__name__

    @property
    def path(self) -> str:
        """Path of single reads: ``taxcode``."""
        return self.name.lower()

    @cached_property
    def line_record(self) -> type[Line] | None:
        return lines_of(self.record)  # type: ignore[return-value]

    @cached_property
    def table(self) -> Table:
        columns = sorted(columns_of(self.record), key=_rank)
        id_column = Column("id", "text", columns[0].description, ("Id",), nullable=False)
        times = [("realm_id", name) for name in ("updated_at", "txn_date") if any(c.name == name for c in columns)]
        return Table(
            name=self.table_name,
            description=inspect.getdoc(self.record) or "",
            columns=(REALM, id_column, *columns[1:], EXTRA, SYNCED),
            key=("realm_id", "id"),
            indexes=tuple(times),
        )

    @cached_property
    def line_table(self) -> Table | None:
        if self.line_record is None:
            return None
        details = {f.name for f in msgspec.structs.fields(self.line_record)} - {
            f.name for f in msgspec.structs.fields(Line)
        }
        head = [c for c in columns_of(self.line_record) if c.path[0] not in details and c.name != "id"]
        detail = columns_of(DETAIL_OF[self.line_record])
        parent = f"{self.singular}_id"
        return Table(
            name=f"{self.singular}_lines",
            description=f"Lines of {self.table_name}, one row each.",
            columns=(
                REALM,
                Column(parent, "text", f"the {self.singular.replace('_', ' ')} the line belongs to", nullable=False),
                Column("position", "bigint", "place in the transaction, from 0", nullable=False),
                Column("group_position", "bigint", "position of the group line it belongs to; null for ordinary lines"),
                Column("line_id", "text", "line id within its transaction; often absent, may be reissued", ("Id",)),
                *head,
                *detail,
                Column("detail", "jsonb", "the detail object as QuickBooks gave it"),
                EXTRA,
                SYNCED,
            ),
            key=("realm_id", parent, "position"),
        )

    @property
    def tables(self) -> tuple[Table, ...]:
        return (self.table,) if self.line_table is None else (self.table, self.line_table)


def _rank(column: Column) -> tuple[int, int]:
    """What is looked for first, first; housekeeping last; everything else as declared (sorting is stable)."""
    field = column.path[0]
    first = _FIRST.index(field) if field in _FIRST else len(_FIRST)
    return first, _LAST.index(field) if field in _LAST else -1
