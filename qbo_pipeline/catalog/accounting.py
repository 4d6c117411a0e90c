"""The general ledger: chart of accounts and journal entries."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog.fields import ABSENT, Date, Flag, Number, Record, Ref, Text
from qbo_pipeline.catalog.lines import JournalLine
from qbo_pipeline.catalog.transactions import Transaction


class Account(Record, kw_only=True):
    """The chart of accounts."""

    Name: Annotated[Text, "name; QuickBooks appends ' (deleted)' to it once inactive"] = None
    FullyQualifiedName: Annotated[Text, "path of names from the top account down, separated by colons"] = None
    AcctNum: Annotated[Text, "account number"] = None
    Description: Annotated[Text, "description"] = None
    Classification: Annotated[Text, "Asset, Equity, Expense, Liability or Revenue"] = None
    AccountType: Annotated[Text, "type, such as Bank or Accounts Receivable"] = None
    AccountSubType: Annotated[Text, "detail type"] = None
    Active: Annotated[Flag, "false once made inactive"] = None
    SubAccount: Annotated[Flag, "true when it has a parent"] = None
    ParentRef: Annotated[Ref, "parent account"] = Ref()
    CurrentBalance: Annotated[Number, "balance; may move without the record being marked as updated"] = ABSENT
    CurrentBalanceWithSubAccounts: Annotated[Number, "balance including sub-accounts"] = ABSENT
    OpeningBalance: Annotated[Number, "opening balance"] = ABSENT
    OpeningBalanceDate: Annotated[Date, "date of the opening balance"] = None
    CurrencyRef: Annotated[Ref, "currency"] = Ref()
    TaxCodeRef: Annotated[Ref, "default tax code"] = Ref()
    TaxAccount: Annotated[Flag, "used for sales tax"] = None
    JournalCodeRef: Annotated[Ref, "journal code (France)"] = Ref()
    TxnLocationType: Annotated[Text, "place of supply (France)"] = None
    AccountAlias: Annotated[Text, "name in the user's language"] = None


class JournalEntry(Transaction, kw_only=True):
    """Journal entries. ``total_amt`` is often absent or zero: sum the debit lines instead."""

    TotalAmt: Annotated[Number, "absent or zero in practice"] = ABSENT
    HomeTotalAmt: Annotated[Number, "total in the home currency"] = ABSENT
    Adjustment: Annotated[Flag, "an adjusting entry"] = None
    HomeCurrencyAdjustment: Annotated[Flag, "adjusts the home currency value only"] = None
    EnteredInHomeCurrency: Annotated[Flag, "amounts were entered in the home currency"] = None
    Line: list[JournalLine] = []
