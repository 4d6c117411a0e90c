"""What a company buys, from whom, and what it owes: vendors and bills."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import (
    ABSENT,
    Date,
    EmailAddress,
    Flag,
    Json,
    Number,
    Ref,
    Text,
    TypedRef,
)
from qbo_pipeline.catalog.lines import ExpenseLine, PaymentLine
from qbo_pipeline.catalog.names import BusinessPartner
from qbo_pipeline.catalog.transactions import Transaction


class Vendor(BusinessPartner, kw_only=True):
    """Vendors (suppliers)."""

    BillAddr: Annotated[Json, "postal address"] = ABSENT
    AcctNum: Annotated[Text, "our account number with the vendor"] = None
    Balance: Annotated[Number, "what we owe; moves without a new sync token when bills and payments do"] = ABSENT
    CurrencyRef: Annotated[Ref, "currency of the vendor's bills"] = Ref()
    TermRef: Annotated[Ref, "payment terms"] = Ref()
    APAccountRef: Annotated[Ref, "payables account"] = Ref()
    Vendor1099: Annotated[Flag, "tracked for US form 1099"] = None
    TaxIdentifier: Annotated[Text, "tax id, masked by QuickBooks"] = None
    TaxReportingBasis: Annotated[Text, "tax reporting basis (France)"] = None
    HasTPAR: Annotated[Flag, "reported in Australia's taxable payments report"] = None
    T4AEligible: Annotated[Flag, "eligible for Canada's form T4A"] = None
    T5018Eligible: Annotated[Flag, "eligible for Canada's form T5018"] = None
    VendorPaymentBankDetail: Annotated[Json, "bank account it is paid to"] = ABSENT
    BillRate: Annotated[Number, "hourly rate billed on"] = ABSENT
    CostRate: Annotated[Number, "hourly cost"] = ABSENT
    Source: Annotated[Text, "where the record was made"] = None
    V4IDPseudonym: Annotated[Text, "Intuit's internal id"] = None


class Bill(Transaction, kw_only=True):
    """Bills received from vendors."""

    VendorRef: Annotated[Ref, "vendor"] = Ref()
    APAccountRef: Annotated[Ref, "payables account"] = Ref()
    TotalAmt: Annotated[Number, "total in the transaction's currency, tax included"] = ABSENT
    HomeTotalAmt: Annotated[Number, "total in the home currency"] = ABSENT
    Balance: Annotated[Number, "amount still to pay; moves without a new sync token when payments are linked"] = ABSENT
    HomeBalance: Annotated[Number, "amount still to pay, in the home currency"] = ABSENT
    DueDate: Annotated[Date, "due date"] = None
    SalesTermRef: Annotated[Ref, "payment terms"] = Ref()
    VendorAddr: Annotated[Json, "vendor's address"] = ABSENT
    IncludeInAnnualTPAR: Annotated[Flag, "reported in Australia's taxable payments report"] = None
    Line: list[ExpenseLine] = []


class CheckPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a bill was paid by cheque."""

    BankAccountRef: Annotated[Ref, "account"] = Ref()
    PrintStatus: Annotated[Text, "NotSet, NeedToPrint or PrintComplete", choices.PRINT_STATUS] = None
    CheckDetail: Annotated[Json, "the cheque"] = ABSENT
    PayeeAddr: Annotated[Json, "address of the payee"] = ABSENT


class CardPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a bill was paid by credit card."""

    CCAccountRef: Annotated[Ref, "account"] = Ref()
    CCDetail: Annotated[Json, "the charge"] = ABSENT


class BillPayment(Transaction, kw_only=True):
    """Payments of bills; what they settled is in the lines' linked transactions."""

    VendorRef: Annotated[Ref, "vendor"] = Ref()
    TotalAmt: Annotated[Number, "amount paid"] = ABSENT
    PayType: Annotated[Text, "Check or CreditCard", choices.BILL_PAYMENT_TYPE] = None
    CheckPayment: Annotated[CheckPayment, "paid by cheque"] = CheckPayment()
    CreditCardPayment: Annotated[CardPayment, "paid by credit card"] = CardPayment()
    APAccountRef: Annotated[Ref, "payables account"] = Ref()
    VendorAddr: Annotated[Json, "vendor's address"] = ABSENT
    ProcessBillPayment: Annotated[Flag, "paid through QuickBooks"] = None
    Line: list[PaymentLine] = []


class Purchase(Transaction, kw_only=True):
    """Expenses, cheques and card charges. ``credit`` true means money came back: subtract."""

    PaymentType: Annotated[Text, "Cash, Check or CreditCard", choices.PAYMENT_TYPE] = None
    AccountRef: Annotated[Ref, "account it was paid from"] = Ref()
    EntityRef: Annotated[TypedRef, "vendor, customer or employee it was paid to"] = TypedRef()
    TotalAmt: Annotated[Number, "total, tax included"] = ABSENT
    Credit: Annotated[Flag, "true for a refund of a card charge"] = None
    PaymentMethodRef: Annotated[Ref, "payment method"] = Ref()
    PaymentRefNum: Annotated[Text, "reference"] = None
    RemitToAddr: Annotated[Json, "address it is sent to"] = ABSENT
    PrintStatus: Annotated[Text, "NotSet, NeedToPrint or PrintComplete", choices.PRINT_STATUS] = None
    Memo: Annotated[Text, "memo"] = None
    CheckPayment: Annotated[Json, "the cheque"] = ABSENT
    CreditCardPayment: Annotated[Json, "the charge"] = ABSENT
    IncludeInAnnualTPAR: Annotated[Flag, "reported in Australia's taxable payments report"] = None
    PurchaseEx: Annotated[Json, "further names and values"] = ABSENT
    Line: list[ExpenseLine] = []


class PurchaseOrder(Transaction, kw_only=True):
    """Purchase orders; they post nothing."""

    VendorRef: Annotated[Ref, "vendor"] = Ref()
    APAccountRef: Annotated[Ref, "payables account"] = Ref()
    TotalAmt: Annotated[Number, "total"] = ABSENT
    POStatus: Annotated[Text, "Open or Closed", choices.PURCHASE_ORDER_STATUS] = None
    DueDate: Annotated[Date, "due date"] = None
    ExpectedDate: Annotated[Date, "when delivery is expected"] = None
    Memo: Annotated[Text, "memo"] = None
    POEmail: Annotated[EmailAddress, "address it is mailed to"] = EmailAddress()
    EmailStatus: Annotated[Text, "NotSet, NeedToSend or EmailSent", choices.EMAIL_STATUS] = None
    PrintStatus: Annotated[Text, "NotSet, NeedToPrint or PrintComplete", choices.PRINT_STATUS] = None
    VendorAddr: Annotated[Json, "vendor's address"] = ABSENT
    ShipAddr: Annotated[Json, "shipping address"] = ABSENT
    ShipTo: Annotated[Ref, "customer it is shipped to"] = Ref()
    ShipMethodRef: Annotated[Ref, "shipping method"] = Ref()
    SalesTermRef: Annotated[Ref, "payment terms"] = Ref()
    ClassRef: Annotated[Ref, "class"] = Ref()
    TaxCodeRef: Annotated[Ref, "tax code"] = Ref()
    ManuallyClosed: Annotated[Flag, "closed by hand"] = None
    Line: list[ExpenseLine] = []


class VendorCredit(Transaction, kw_only=True):
    """Credits from vendors: positive numbers that reduce what is owed."""

    VendorRef: Annotated[Ref, "vendor"] = Ref()
    APAccountRef: Annotated[Ref, "payables account"] = Ref()
    TotalAmt: Annotated[Number, "total"] = ABSENT
    Balance: Annotated[Number, "amount not yet applied"] = ABSENT
    VendorAddr: Annotated[Json, "vendor's address"] = ABSENT
    IncludeInAnnualTPAR: Annotated[Flag, "reported in Australia's taxable payments report"] = None
    Line: list[ExpenseLine] = []


class CreditCardPayment(Transaction, kw_only=True):
    """Payments of credit card balances, from a bank account."""

    CreditCardAccountRef: Annotated[Ref, "credit card account"] = Ref()
    BankAccountRef: Annotated[Ref, "bank account"] = Ref()
    Amount: Annotated[Number, "amount paid"] = ABSENT
    VendorRef: Annotated[Ref, "vendor"] = Ref()
    CheckNum: Annotated[Text, "cheque number"] = None
    PrintStatus: Annotated[Text, "NotSet, NeedToPrint or PrintComplete", choices.PRINT_STATUS] = None
    Memo: Annotated[Text, "memo"] = None
