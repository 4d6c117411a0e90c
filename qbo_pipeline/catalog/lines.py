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

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import ABSENT, Date, Flag, Integer, Json, Number, Ref, Text, TypedRef


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The head every line has."""

    Id: Annotated[Text, "line id within its transaction; often absent, may be reissued"] = None
    LineNum: Annotated[Integer, "number shown on the form"] = None
    Description: Annotated[Text, "description"] = None
    Amount: Annotated[Number, "amount; a discount line's is positive but subtracts"] = ABSENT
    DetailType: Annotated[Text, "kind; subtotals repeat the sum, descriptions have none", choices.DETAIL_TYPE] = None
    ProjectRef: Annotated[Ref, "project"] = Ref()
    Received: Annotated[Number, "quantity received"] = ABSENT
    CostAmount: Annotated[Number, "cost of the line"] = ABSENT
    HomeCostAmount: Annotated[Number, "cost of the line, in the home currency"] = ABSENT
    LinkedTxn: Annotated[Json, "transactions this line is linked to: id and type of each"] = ABSENT
    CustomField: Annotated[Json, "custom fields"] = ABSENT
    CustomExtensions: Annotated[Json, "further extensions"] = ABSENT
    LineEx: Annotated[Json, "further names and values"] = ABSENT


def detail_keys(record: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields of a line class that may hold its detail object."""
    return tuple(sorted(name for name in record.__struct_fields__ if name.endswith("Detail")))


def detail_key(record: type[msgspec.Struct], detail_type: object) -> str | None:
    """Return the field in which a line of that ``DetailType`` keeps its detail object.

    Deposits and inventory adjustments leave the type out, as they know only one.
    """
    keys = detail_keys(record)
    if not detail_type:
        return keys[0] if len(keys) == 1 else None
    key = "DescriptionLineDetail" if detail_type == "DescriptionOnly" else detail_type
    return str(key) if key in keys else None


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
    BillableStatus: Annotated[Text, "Billable, NotBillable or HasBeenBilled", choices.BILLABLE_STATUS] = None
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

    PostingType: Annotated[Text, "Debit or Credit", choices.POSTING_TYPE] = None
    AccountRef: Annotated[Ref, "account"] = Ref()
    Entity: Annotated[JournalEntity, "customer, vendor or employee the line is about"] = JournalEntity()
    ClassRef: Annotated[Ref, "class"] = Ref()
    DepartmentRef: Annotated[Ref, "department (location)"] = Ref()
    TaxCodeRef: Annotated[Ref, "tax code"] = Ref()
    TaxApplicableOn: Annotated[Text, "Purchase or Sales", choices.TAX_SIDE] = None
    TaxAmount: Annotated[Number, "tax"] = ABSENT
    BillableStatus: Annotated[Text, "Billable, NotBillable or HasBeenBilled", choices.BILLABLE_STATUS] = None
    JournalCodeRef: Annotated[Ref, "journal code (France)"] = Ref()


class JournalLine(Line, kw_only=True):
    JournalEntryLineDetail: Json = ABSENT
    DescriptionLineDetail: Json = ABSENT
    TaxLineDetail: Json = ABSENT


class DepositDetail(msgspec.Struct, kw_only=True):
    """What is worth querying in the details of deposit lines."""

    Entity: Annotated[TypedRef, "customer, vendor or employee the money came from"] = TypedRef()
    AccountRef: Annotated[Ref, "account the money came from"] = Ref()
    ClassRef: Annotated[Ref, "class"] = Ref()
    PaymentMethodRef: Annotated[Ref, "payment method"] = Ref()
    CheckNum: Annotated[Text, "cheque number"] = None
    TxnType: Annotated[Text, "kind of transaction"] = None
    TaxCodeRef: Annotated[Ref, "tax code"] = Ref()
    TaxApplicableOn: Annotated[Text, "Purchase or Sales", choices.TAX_SIDE] = None


class DepositLine(Line, kw_only=True):
    DepositLineDetail: Json = ABSENT


class AdjustmentDetail(msgspec.Struct, kw_only=True):
    """What is worth querying in the details of inventory adjustments."""

    ItemRef: Annotated[Ref, "item adjusted"] = Ref()
    QtyDiff: Annotated[Number, "change of quantity"] = ABSENT
    NewQty: Annotated[Number, "quantity afterwards"] = ABSENT
    SalesPrice: Annotated[Number, "sales price"] = ABSENT
    ClassRef: Annotated[Ref, "class"] = Ref()


class AdjustmentLine(Line, kw_only=True):
    ItemAdjustmentLineDetail: Json = ABSENT


class ReimburseDetail(msgspec.Struct, kw_only=True):
    """What is worth querying in the details of reimbursable charges."""

    ItemRef: Annotated[Ref, "product or service"] = Ref()
    ItemAccountRef: Annotated[Ref, "income account"] = Ref()
    ClassRef: Annotated[Ref, "class"] = Ref()
    Qty: Annotated[Number, "quantity"] = ABSENT
    UnitPrice: Annotated[Number, "rate"] = ABSENT
    TaxCodeRef: Annotated[Ref, "tax code"] = Ref()


class ReimburseLine(Line, kw_only=True):
    ReimburseLineDetail: Json = ABSENT


class PaymentDetail(msgspec.Struct, kw_only=True):
    """Payment lines have no detail object in practice; what they settle is in ``linked_txn``."""

    Balance: Annotated[Number, "balance of the settled transaction"] = ABSENT
    ServiceDate: Annotated[Date, "date"] = None


class PaymentLine(Line, kw_only=True):
    PaymentLineDetail: Json = ABSENT


#: The detail columns of each kind of line.
DETAIL_OF: dict[type[msgspec.Struct], type[msgspec.Struct]] = {
    SalesLine: SalesDetail,
    ExpenseLine: ExpenseDetail,
    JournalLine: JournalDetail,
    PaymentLine: PaymentDetail,
    DepositLine: DepositDetail,
    AdjustmentLine: AdjustmentDetail,
    ReimburseLine: ReimburseDetail,
}
