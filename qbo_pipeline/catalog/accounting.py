"""The general ledger: chart of accounts and journal entries."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import ABSENT, Date, Entry, Flag, Json, Number, Record, Ref, Text
from qbo_pipeline.catalog.lines import AdjustmentLine, DepositLine, JournalLine
from qbo_pipeline.catalog.transactions import Transaction


class Account(Record, kw_only=True):
    """The chart of accounts."""

    Name: Annotated[Text, "name; QuickBooks appends ' (deleted)' to it once inactive"] = None
    FullyQualifiedName: Annotated[Text, "path of names from the top account down, separated by colons"] = None
    AcctNum: Annotated[Text, "account number"] = None
    Description: Annotated[Text, "description"] = None
    Classification: Annotated[Text, "Asset, Equity, Expense, Liability or Revenue", choices.CLASSIFICATION] = None
    AccountType: Annotated[Text, "type, such as Bank or Accounts Receivable", choices.ACCOUNT_TYPE] = None
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


class CashBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money taken out of a deposit at once."""

    AccountRef: Annotated[Ref, "account it went to"] = Ref()
    Amount: Annotated[Number, "amount"] = ABSENT
    Memo: Annotated[Text, "memo"] = None


class Deposit(Transaction, kw_only=True):
    """Bank deposits, and the payments they are made of."""

    DepositToAccountRef: Annotated[Ref, "bank account"] = Ref()
    TotalAmt: Annotated[Number, "total"] = ABSENT
    HomeTotalAmt: Annotated[Number, "total in the home currency"] = ABSENT
    CashBack: Annotated[CashBack, "cash taken out"] = CashBack()
    Line: list[DepositLine] = []


class Transfer(Transaction, kw_only=True):
    """Money moved between two accounts of the company."""

    FromAccountRef: Annotated[Ref, "account it came from"] = Ref()
    ToAccountRef: Annotated[Ref, "account it went to"] = Ref()
    Amount: Annotated[Number, "amount"] = ABSENT
    ClassRef: Annotated[Ref, "class"] = Ref()


class InventoryAdjustment(Transaction, kw_only=True):
    """Corrections of stock (US, Plus and Advanced)."""

    AdjustAccountRef: Annotated[Ref, "account the difference is booked to"] = Ref()
    ShippingAdjustment: Annotated[Flag, "a correction of shipping"] = None
    CustomerRef: Annotated[Ref, "customer"] = Ref()
    Line: list[AdjustmentLine] = []


class Class(Record, kw_only=True):
    """Classes: a free dimension of every line (Plus and above, when switched on)."""

    Name: Annotated[Text, "name"] = None
    FullyQualifiedName: Annotated[Text, "path of names, separated by colons"] = None
    Active: Annotated[Flag, "false once made inactive"] = None
    SubClass: Annotated[Flag, "true when it has a parent"] = None
    ParentRef: Annotated[Ref, "parent"] = Ref()


class Department(Record, kw_only=True):
    """Departments (locations): a dimension of every transaction (Plus and above, when switched on)."""

    Name: Annotated[Text, "name"] = None
    FullyQualifiedName: Annotated[Text, "path of names, separated by colons"] = None
    Active: Annotated[Flag, "false once made inactive"] = None
    SubDepartment: Annotated[Flag, "true when it has a parent"] = None
    ParentRef: Annotated[Ref, "parent"] = Ref()
    Address: Annotated[Json, "address"] = ABSENT


class JournalCode(Record, kw_only=True):
    """Journal codes (France)."""

    Name: Annotated[Text, "code"] = None
    Description: Annotated[Text, "description"] = None
    Type: Annotated[Text, "kind of journal"] = None
    Active: Annotated[Flag, "false once made inactive"] = None


class CompanyCurrency(Record, kw_only=True):
    """Currencies the company uses (multicurrency only)."""

    Code: Annotated[Text, "ISO code"] = None
    Name: Annotated[Text, "name"] = None
    Active: Annotated[Flag, "false once made inactive"] = None


class ExchangeRate(Entry, kw_only=True):
    """What one unit of a foreign currency was worth, day by day (multicurrency only)."""

    SourceCurrencyCode: Annotated[Text, "foreign currency, ISO code"] = None
    TargetCurrencyCode: Annotated[Text, "home currency, ISO code"] = None
    AsOfDate: Annotated[Date, "day the rate is of; a day without one has the rate of the last day before"] = None
    Rate: Annotated[Number, "home currency units for one unit of the foreign currency"] = ABSENT


class BudgetDetail(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One amount of a budget: an account in a period, perhaps for one customer, class or department."""

    BudgetDate: Annotated[Date, "first day of the period"] = None
    Amount: Annotated[Number, "amount planned"] = ABSENT
    AccountRef: Annotated[Ref, "account"] = Ref()
    CustomerRef: Annotated[Ref, "customer"] = Ref()
    ClassRef: Annotated[Ref, "class"] = Ref()
    DepartmentRef: Annotated[Ref, "department (location)"] = Ref()


class Budget(Record, kw_only=True):
    """Budgets (Plus and above)."""

    Name: Annotated[Text, "name"] = None
    StartDate: Annotated[Date, "first day"] = None
    EndDate: Annotated[Date, "last day"] = None
    BudgetType: Annotated[Text, "ProfitAndLoss or BalanceSheet", choices.BUDGET_TYPE] = None
    BudgetEntryType: Annotated[Text, "Monthly, Quarterly or Yearly", choices.BUDGET_ENTRY_TYPE] = None
    Active: Annotated[Flag, "false once made inactive"] = None
    BudgetDetail: list[BudgetDetail] = []
