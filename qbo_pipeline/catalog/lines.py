"""The lines of transactions: one row each, in the order QuickBooks shows them.

A line is a common head (amount, description, links) and one detail object named by its ``DetailType``. The head's
fields and the details worth querying are columns; the whole detail object stays beside them in ``detail``. Lines have
no dependable id (subtotals and payments have none, a full update may reissue them), so a row is known by its parent
and its position.

Lines of a group (bundle) follow their group line and point back to it with ``group_position``. The group line's amount
already is their sum: add up rows whose ``group_position`` is null.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from qbo_pipeline.catalog.fields import ABSENT, Date, Flag, Integer, Json, Number, Ref, Text


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The head every line has."""

    Id: Annotated[Text, "line id within its transaction; often absent, may be reissued"] = None
    LineNum: Annotated[Integer, "number shown on the form"] = None
    Description: Annotated[Text, "description"] = None
    Amount: Annotated[Number, "amount; a discount line's is positive but subtracts"] = ABSENT
    DetailType: Annotated[Text, "kind of line; subtotals repeat the sum, descriptions have no amount"] = None
    ProjectRef: Annotated[Ref, "project"] = Ref()
    Received: Annotated[Number, "quantity received"] = ABSENT
    CostAmount: Annotated[Number, "cost of the line"] = ABSENT
    HomeCostAmount: Annotated[Number, "cost of the line, in the home currency"] = ABSENT
    LinkedTxn: Annotated[Json, "transactions this line is linked to: id and type of each"] = ABSENT
    CustomField: Annotated[Json, "custom fields"] = ABSENT
    CustomExtensions: Annotated[Json, "further extensions"] = ABSENT
    LineEx: Annotated[Json, "further names and values"] = ABSENT


#: Where a line keeps its detail object, by ``DetailType``; anything else is under its own name.
DETAIL_KEY = {"DescriptionOnly": "DescriptionLineDetail"}


class SalesDetail(msgspec.Struct, kw_only=True):
    """What is worth querying in the details of sales lines."""

    ItemRef: Annotated[Ref, "product or service sold"] = Ref()
    ItemAccountRef: Annotated[Ref, "income account"] = Ref()
    ClassRef: Annotated[Ref, "class"] = Ref()
    Qty: Annotated[Number, "quantity"] = ABSENT
    UnitPrice: Annotated[Number, "rate"] = ABSENT
    RatePercent: Annotated[Number, "rate as a percentage"] = ABSENT
    ServiceDate: Annotated[Date, "date of the service"] = None
    TaxCodeRef: Annotated[Ref, "tax code; TAX or NON in the US"] = Ref()
    TaxClassificationRef: Annotated[Ref, "tax classification"] = Ref()
    TaxInclusiveAmt: Annotated[Number, "amount with tax"] = ABSENT
    DiscountRate: Annotated[Number, "discount in percent"] = ABSENT
    DiscountAmt: Annotated[Number, "discount amount"] = ABSENT
    PercentBased: Annotated[Flag, "on a discount line: whether it is a percentage"] = None
    DiscountPercent: Annotated[Number, "on a discount line: the percentage"] = ABSENT
    DiscountAccountRef: Annotated[Ref, "on a discount line: its account"] = Ref()
    GroupItemRef: Annotated[Ref, "on a group line: the bundle"] = Ref()
    Quantity: Annotated[Number, "on a group line: how many bundles"] = ABSENT


class SalesLine(Line, kw_only=True):
    SalesItemLineDetail: Json = ABSENT
    GroupLineDetail: Json = ABSENT
    DiscountLineDetail: Json = ABSENT
    SubTotalLineDetail: Json = ABSENT
    DescriptionLineDetail: Json = ABSENT
    TaxLineDetail: Json = ABSENT


class ExpenseDetail(msgspec.Struct, kw_only=True):
    """What is worth querying in the details of bill lines."""

    AccountRef: Annotated[Ref, "expense account"] = Ref()
    ItemRef: Annotated[Ref, "product or service bought"] = Ref()
    CustomerRef: Annotated[Ref, "customer it was bought for"] = Ref()
    ClassRef: Annotated[Ref, "class"] = Ref()
    BillableStatus: Annotated[Text, "Billable, NotBillable or HasBeenBilled"] = None
    Qty: Annotated[Number, "quantity"] = ABSENT
    UnitPrice: Annotated[Number, "rate"] = ABSENT
    TaxCodeRef: Annotated[Ref, "tax code"] = Ref()
    TaxAmount: Annotated[Number, "tax"] = ABSENT
    TaxInclusiveAmt: Annotated[Number, "amount with tax"] = ABSENT


class ExpenseLine(Line, kw_only=True):
    AccountBasedExpenseLineDetail: Json = ABSENT
    ItemBasedExpenseLineDetail: Json = ABSENT
    GroupLineDetail: Json = ABSENT
    SubTotalLineDetail: Json = ABSENT
    DescriptionLineDetail: Json = ABSENT
    TaxLineDetail: Json = ABSENT
    TDSLineDetail: Json = ABSENT


class JournalEntity(msgspec.Struct, frozen=True):
    """Whom a journal line is about."""

    Type: Text = None
    EntityRef: Ref = Ref()


class JournalDetail(msgspec.Struct, kw_only=True):
    """What is worth querying in the details of journal lines."""

    PostingType: Annotated[Text, "Debit or Credit"] = None
    AccountRef: Annotated[Ref, "account"] = Ref()
    Entity: Annotated[JournalEntity, "customer, vendor or employee the line is about"] = JournalEntity()
    ClassRef: Annotated[Ref, "class"] = Ref()
    DepartmentRef: Annotated[Ref, "department (location)"] = Ref()
    TaxCodeRef: Annotated[Ref, "tax code"] = Ref()
    TaxApplicableOn: Annotated[Text, "Purchase or Sales"] = None
    TaxAmount: Annotated[Number, "tax"] = ABSENT
    BillableStatus: Annotated[Text, "Billable, NotBillable or HasBeenBilled"] = None
    JournalCodeRef: Annotated[Ref, "journal code (France)"] = Ref()


class JournalLine(Line, kw_only=True):
    JournalEntryLineDetail: Json = ABSENT
    DescriptionLineDetail: Json = ABSENT
    TaxLineDetail: Json = ABSENT


class PaymentDetail(msgspec.Struct, kw_only=True):
    """Payment lines have no detail object in practice; what they settle is in ``linked_txn``."""

    Balance: Annotated[Number, "balance of the settled transaction"] = ABSENT
    ServiceDate: Annotated[Date, "date"] = None


class PaymentLine(Line, kw_only=True):
    PaymentLineDetail: Json = ABSENT


#: The detail columns of each kind of line.
DETAIL_OF: dict[type[Line], type[msgspec.Struct]] = {
    SalesLine: SalesDetail,
    ExpenseLine: ExpenseDetail,
    JournalLine: JournalDetail,
    PaymentLine: PaymentDetail,
}
