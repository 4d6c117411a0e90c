"""What every transaction has in common, whatever it records."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import ABSENT, Date, Json, Number, Record, Ref, Text


class Transaction(Record, kw_only=True):
    """A dated entry in the books."""

    DocNumber: Annotated[Text, "number printed on the form; not unique, may be absent"] = None
    TxnDate: Annotated[Date, "date in the company's books; never shifted by a time zone"] = None
    PrivateNote: Annotated[Text, "memo that only the company sees; starts with Voided on a voided transaction"] = None
    CurrencyRef: Annotated[Ref, "currency of the amounts"] = Ref()
    ExchangeRate: Annotated[Number, "home currency units for one unit of the transaction's currency"] = ABSENT
    DepartmentRef: Annotated[Ref, "department (location)"] = Ref()
    GlobalTaxCalculation: Annotated[
        Text, "TaxInclusive, TaxExcluded or NotApplicable; absent in the US", choices.TAX_CALCULATION
    ] = None
    TransactionLocationType: Annotated[Text, "place of supply, where the law asks for it"] = None
    TxnSource: Annotated[Text, "program that made the transaction"] = None
    TxnTaxDetail: Annotated[Json, "tax of the whole transaction: total, code, and a line per rate"] = ABSENT
    LinkedTxn: Annotated[Json, "transactions this one is linked to: id and type of each"] = ABSENT
    RecurDataRef: Annotated[Ref, "recurring template it was made from"] = Ref()
    RecurringInfo: Annotated[Json, "recurrence, on templates"] = ABSENT
    Tag: Annotated[Json, "tags"] = ABSENT
