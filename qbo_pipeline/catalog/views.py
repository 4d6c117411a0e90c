"""Lists inside records, as views with one row per entry: what is linked, taxed, attached; groups and custom fields.

They are views over the tables' jsonb rather than tables of their own: they cost a load nothing, can never disagree with
the record they are part of, and every entity that has the list is in the same view.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import msgspec

from qbo_pipeline.catalog.columns import Column, columns_of
from qbo_pipeline.catalog.entities import REALM, Entity, Table
from qbo_pipeline.catalog.fields import ABSENT, Flag, Number, Ref, Text, TypedRef


class LinkedTxn(msgspec.Struct, kw_only=True):
    """Which transaction is linked to which: payments to invoices, bills to orders, deposits to payments."""

    TxnId: Annotated[Text, "linked transaction: id"] = None
    TxnType: Annotated[Text, "linked transaction: kind"] = None
    TxnLineId: Annotated[Text, "linked transaction: id of the line, where one line is meant"] = None


class _TaxLineDetail(msgspec.Struct, frozen=True):
    TaxRateRef: Annotated[Ref, "tax rate"] = Ref()
    PercentBased: Annotated[Flag, "whether the rate is a percentage"] = None
    TaxPercent: Annotated[Number, "rate in percent"] = ABSENT
    NetAmountTaxable: Annotated[Number, "amount that was taxed"] = ABSENT
    TaxInclusiveAmount: Annotated[Number, "that amount with its tax"] = ABSENT
    OverrideDeltaAmount: Annotated[Number, "by how much a person changed the tax"] = ABSENT


class TaxLine(msgspec.Struct, kw_only=True):
    """The tax of transactions, one row per rate; their sum is the transaction's total tax."""

    Amount: Annotated[Number, "tax"] = ABSENT
    TaxLineDetail: _TaxLineDetail = _TaxLineDetail()


class CustomField(msgspec.Struct, kw_only=True):
    """Custom fields: a row per field and record, with its value if it has one."""

    DefinitionId: Annotated[Text, "definition of the field"] = None
    Name: Annotated[Text, "name of the field"] = None
    Type: Annotated[Text, "StringType, BooleanType, NumberType or DateType"] = None
    StringValue: Annotated[Text, "value, of a text"] = None
    NumberValue: Annotated[Number, "value, of a number"] = ABSENT
    BooleanValue: Annotated[Flag, "value, of a yes or no"] = None
    DateValue: Annotated[Text, "value, of a date"] = None


class AttachableRef(msgspec.Struct, kw_only=True):
    """What files and notes are attached to."""

    EntityRef: Annotated[TypedRef, "record it is attached to"] = TypedRef()
    LineInfo: Annotated[Text, "line it is attached to"] = None
    IncludeOnSend: Annotated[Flag, "whether it is sent along with the form"] = None
    Inactive: Annotated[Flag, "whether the link was taken off"] = None
    NoRefOnly: Annotated[Flag, "whether it is attached to nothing"] = None


class ItemGroupLine(msgspec.Struct, kw_only=True):
    """What bundles (items of type Group) are made of."""

    ItemRef: Annotated[TypedRef, "product or service inside"] = TypedRef()
    Qty: Annotated[Number, "how many of it"] = ABSENT


class TaxRateDetail(msgspec.Struct, kw_only=True):
    """Which tax rates a tax code applies, on sales, purchases and adjustments."""

    TaxRateRef: Annotated[Ref, "tax rate"] = Ref()
    TaxTypeApplicable: Annotated[Text, "what it is computed on: TaxOnAmount, TaxOnAmountPlusTax or TaxOnTax"] = None
    TaxOrder: Annotated[Number, "place in the order of computation"] = ABSENT
    TaxOnTaxOrder: Annotated[Number, "which rate's tax it taxes"] = ABSENT


class EffectiveTaxRate(msgspec.Struct, kw_only=True):
    """Tax rates over time."""

    RateValue: Annotated[Number, "rate in percent"] = ABSENT
    EffectiveDate: Annotated[Text, "first day it holds, as QuickBooks wrote it"] = None
    EndDate: Annotated[Text, "last day it holds, as QuickBooks wrote it"] = None


ENTITY = Column("entity", "text", "kind of the record it is part of, as QuickBooks calls it", nullable=False)
RECORD = Column("record_id", "text", "id of that record", nullable=False)
LINE = Column("line_position", "bigint", "position of the line it is part of; null: of the whole record")
LIST = Column("list", "text", "which of the record's lists it stands in", nullable=False)
POSITION = Column("position", "bigint", "place in the list, from 0", nullable=False)


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a view finds a list: the jsonb column of a table, and the way from there."""

    entity: Entity
    table: Table
    column: str
    path: tuple[str, ...]
    name: str  #: of the list, as QuickBooks calls it


@dataclass(frozen=True)
class View:
    """One view of schema ``quickbooks``. ``lists`` are the places in a record where entries are: ways to arrays."""

    name: str
    entry: type[msgspec.Struct]
    lists: tuple[tuple[str, ...], ...]
    in_lines: bool = False  #: lines have such a list too
    prefix: str = ""  #: what column names go without: a member of the entry that holds nearly everything

    @property
    def description(self) -> str:
        return inspect.getdoc(self.entry) or ""

    @cached_property
    def own_columns(self) -> tuple[Column, ...]:
        """The columns read out of each entry."""
        return tuple(replace(c, name=c.name.removeprefix(self.prefix)) for c in columns_of(self.entry))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return (REALM, ENTITY, RECORD, *self.which, POSITION, *self.own_columns)

    @property
    def which(self) -> tuple[Column, ...]:
        """The columns that tell lists of one record apart."""
        return (*((LINE,) if self.in_lines else ()), *((LIST,) if len(self.lists) > 1 else ()))

    def branches(self, entities: tuple[Entity, ...]) -> Iterator[Branch]:
        """Yield every place of the catalogue where there are entries."""
        for entity in entities:
            if entity.key_fields != ("Id",):
                continue  # no id to point back with; none of them has lists either
            for table in entity.tables if self.in_lines else (entity.table,):
                for path in self.lists:
                    for column in table.columns:
                        if column.kind == "jsonb" and column.path == path[:1]:
                            yield Branch(entity, table, column.name, path[1:], path[0])


VIEWS: tuple[View, ...] = (
    View("linked_txns", LinkedTxn, (("LinkedTxn",),), in_lines=True),
    View("tax_lines", TaxLine, (("TxnTaxDetail", "TaxLine"),), prefix="tax_line_detail_"),
    View("custom_fields", CustomField, (("CustomField",),), in_lines=True),
    View("attachable_refs", AttachableRef, (("AttachableRef",),)),
    View("item_group_lines", ItemGroupLine, (("ItemGroupDetail", "ItemGroupLine"),)),
    View(
        "tax_code_rates",
        TaxRateDetail,
        tuple((name, "TaxRateDetail") for name in ("SalesTaxRateList", "PurchaseTaxRateList", "AdjustmentTaxRateList")),
    ),
    View("tax_rate_history", EffectiveTaxRate, (("EffectiveTaxRate",),)),
)
