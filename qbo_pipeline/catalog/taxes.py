"""Sales and purchase taxes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import ABSENT, Date, Flag, Json, Number, Record, Ref, Text


class TaxCode(Record, kw_only=True):
    """Tax codes. US lines say TAX or NON instead, which are no records of this table."""

    Name: Annotated[Text, "name"] = None
    Description: Annotated[Text, "description"] = None
    Active: Annotated[Flag, "false once retired"] = None
    Hidden: Annotated[Flag, "not offered on forms"] = None
    Taxable: Annotated[Flag, "whether it taxes at all"] = None
    TaxGroup: Annotated[Flag, "made of several rates"] = None
    SalesTaxRateList: Annotated[Json, "rates it applies on sales"] = ABSENT
    PurchaseTaxRateList: Annotated[Json, "rates it applies on purchases"] = ABSENT
    AdjustmentTaxRateList: Annotated[Json, "rates it applies on adjustments"] = ABSENT
    TaxCodeConfigType: Annotated[Text, "who made it: QuickBooks or the user", choices.TAX_CODE_MAKER] = None


class TaxRate(Record, kw_only=True):
    """Tax rates."""

    Name: Annotated[Text, "name"] = None
    Description: Annotated[Text, "description"] = None
    Active: Annotated[Flag, "false once retired"] = None
    RateValue: Annotated[Number, "rate in percent"] = ABSENT
    AgencyRef: Annotated[Ref, "tax agency"] = Ref()
    TaxReturnLineRef: Annotated[Ref, "line of the tax return"] = Ref()
    OriginalTaxRate: Annotated[Ref, "rate it replaced"] = Ref()
    SpecialTaxType: Annotated[Text, "NONE, ZERO_RATE and others", choices.SPECIAL_TAX_TYPE] = None
    DisplayType: Annotated[Text, "where it is offered", choices.TAX_RATE_DISPLAY] = None
    EffectiveTaxRate: Annotated[Json, "rates over time: value, from, until"] = ABSENT


class TaxAgency(Record, kw_only=True):
    """Authorities taxes are paid to."""

    DisplayName: Annotated[Text, "name"] = None
    TaxTrackedOnSales: Annotated[Flag, "tracked on sales"] = None
    TaxTrackedOnPurchases: Annotated[Flag, "tracked on purchases"] = None
    TaxRegistrationNumber: Annotated[Text, "registration number"] = None
    LastFileDate: Annotated[Date, "last return filed"] = None
    TaxAgencyConfig: Annotated[Text, "who made it: QuickBooks or the user"] = None


class TaxClassification(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Kinds of goods and services that tax law tells apart (US automated sales tax, India, Malaysia)."""

    # Alone among all entities it comes in lower case, and with neither times nor a sync token.
    id: Annotated[Text, "QuickBooks' id: code and parent's code"] = None
    code: Annotated[Text, "code"] = None
    name: Annotated[Text, "name"] = None
    description: Annotated[Text, "description"] = None
    level: Annotated[Text, "depth in the tree: 1 for its roots"] = None
    ParentRef: Annotated[Ref, "classification it is part of"] = Ref()
    applicableTo: Annotated[Json, "kinds of item it may be given to"] = ABSENT


class TaxPayment(Record, kw_only=True):
    """Tax payments and refunds (Australia, Canada, UK)."""

    PaymentDate: Annotated[Date, "date"] = None
    PaymentAccountRef: Annotated[Ref, "account"] = Ref()
    PaymentAmount: Annotated[Number, "amount"] = ABSENT
    Refund: Annotated[Flag, "true when money came back"] = None
    Description: Annotated[Text, "description"] = None
