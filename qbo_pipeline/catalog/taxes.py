"""Sales and purchase taxes."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog.fields import ABSENT, Flag, Json, Record, Text


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
    TaxCodeConfigType: Annotated[Text, "who made it: QuickBooks or the user"] = None
