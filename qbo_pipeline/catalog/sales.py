"""What a company sells, to whom, and what they owe: customers, items, invoices, estimates, payments, credit memos."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import (
    ABSENT,
    Date,
    EmailAddress,
    Flag,
    Integer,
    Json,
    MemoRef,
    Number,
    Record,
    Ref,
    Text,
)
from qbo_pipeline.catalog.lines import PaymentLine, ReimburseLine, SalesLine
from qbo_pipeline.catalog.names import BusinessPartner
from qbo_pipeline.catalog.transactions import Transaction


class Customer(BusinessPartner, kw_only=True):
    """Customers, their sub-customers, jobs and projects."""

    FullyQualifiedName: Annotated[Text, "path of names from the top parent down, separated by colons"] = None
    BillAddr: Annotated[Json, "billing address"] = ABSENT
    ShipAddr: Annotated[Json, "shipping address"] = ABSENT
    Notes: Annotated[Text, "free text"] = None
    ParentRef: Annotated[Ref, "parent customer of a sub-customer, job or project"] = Ref()
    Level: Annotated[Integer, "depth below the top customer"] = None
    Job: Annotated[Flag, "true for a sub-customer or job"] = None
    IsProject: Annotated[Flag, "true for a project"] = None
    BillWithParent: Annotated[Flag, "true when the parent is billed"] = None
    Balance: Annotated[Number, "open balance; moves without a new sync token when invoices and payments do"] = ABSENT
    BalanceWithJobs: Annotated[Number, "open balance including sub-customers"] = ABSENT
    OpenBalanceDate: Annotated[Date, "date of the opening balance"] = None
    CurrencyRef: Annotated[Ref, "currency the customer is billed in"] = Ref()
    Taxable: Annotated[Flag, "whether sales to this customer are taxed"] = None
    DefaultTaxCodeRef: Annotated[Ref, "default tax code"] = Ref()
    TaxExemptionReasonId: Annotated[Text, "reason for exemption, by Intuit's list"] = None
    ResaleNum: Annotated[Text, "resale number"] = None
    PrimaryTaxIdentifier: Annotated[Text, "tax id, masked by QuickBooks"] = None
    SecondaryTaxIdentifier: Annotated[Text, "second tax id"] = None
    SalesTermRef: Annotated[Ref, "default payment terms"] = Ref()
    PaymentMethodRef: Annotated[Ref, "preferred payment method"] = Ref()
    CustomerTypeRef: Annotated[Ref, "customer type"] = Ref()
    ARAccountRef: Annotated[Ref, "receivables account"] = Ref()
    PreferredDeliveryMethod: Annotated[Text, "Print, Email or None"] = None
    CreditLimit: Annotated[Number, "credit limit"] = ABSENT
    AcctNum: Annotated[Text, "account number kept for the customer"] = None
    IsCISContractor: Annotated[Flag, "UK construction industry scheme contractor"] = None
    Source: Annotated[Text, "where the record was made"] = None
    V4IDPseudonym: Annotated[Text, "Intuit's internal id"] = None
    ClientEntityId: Annotated[Text, "Intuit's internal id"] = None


class Item(Record, kw_only=True):
    """Products, services, bundles (type Group) and the categories they are filed under (type Category)."""

    Name: Annotated[Text, "name, unique within its category"] = None
    FullyQualifiedName: Annotated[Text, "path of names from the top category down, separated by colons"] = None
    Sku: Annotated[Text, "stock keeping unit"] = None
    Type: Annotated[Text, "Inventory, NonInventory, Service, Group or Category", choices.ITEM_TYPE] = None
    Active: Annotated[Flag, "false once made inactive"] = None
    Description: Annotated[Text, "description on sales forms"] = None
    UnitPrice: Annotated[Number, "sales price"] = ABSENT
    RatePercent: Annotated[Number, "price as a percentage"] = ABSENT
    PurchaseDesc: Annotated[Text, "description on purchase forms"] = None
    PurchaseCost: Annotated[Number, "purchase cost"] = ABSENT
    SubItem: Annotated[Flag, "true when filed under a parent"] = None
    ParentRef: Annotated[Ref, "parent item or category"] = Ref()
    Level: Annotated[Integer, "depth below the top"] = None
    IncomeAccountRef: Annotated[Ref, "income account"] = Ref()
    ExpenseAccountRef: Annotated[Ref, "expense or cost of goods sold account"] = Ref()
    AssetAccountRef: Annotated[Ref, "inventory asset account"] = Ref()
    COGSAccountRef: Annotated[Ref, "cost of goods sold account"] = Ref()
    PrefVendorRef: Annotated[Ref, "preferred vendor"] = Ref()
    ClassRef: Annotated[Ref, "default class"] = Ref()
    Taxable: Annotated[Flag, "whether sales of it are taxed"] = None
    SalesTaxIncluded: Annotated[Flag, "price includes tax"] = None
    PurchaseTaxIncluded: Annotated[Flag, "cost includes tax"] = None
    SalesTaxCodeRef: Annotated[Ref, "tax code on sales"] = Ref()
    PurchaseTaxCodeRef: Annotated[Ref, "tax code on purchases"] = Ref()
    TaxClassificationRef: Annotated[Ref, "tax classification"] = Ref()
    TrackQtyOnHand: Annotated[Flag, "stock is counted"] = None
    QtyOnHand: Annotated[Number, "stock on hand; moves without a new sync token"] = ABSENT
    QtyOnPurchaseOrder: Annotated[Number, "quantity on purchase orders"] = ABSENT
    QtyOnSalesOrder: Annotated[Number, "quantity on sales orders"] = ABSENT
    AvgCost: Annotated[Number, "average cost"] = ABSENT
    ReorderPoint: Annotated[Number, "stock level at which to order again"] = ABSENT
    ManPartNum: Annotated[Text, "manufacturer's part number"] = None
    InvStartDate: Annotated[Date, "date from which stock is counted"] = None
    DeferredRevenue: Annotated[Flag, "revenue is recognised over time"] = None
    PrintGroupedItems: Annotated[Flag, "a bundle's parts are printed"] = None
    ItemGroupDetail: Annotated[Json, "parts of a bundle"] = ABSENT
    ItemCategoryType: Annotated[Text, "kind of category"] = None
    ServiceType: Annotated[Text, "service type (India)"] = None
    AbatementRate: Annotated[Number, "abatement rate (India)"] = ABSENT
    ReverseChargeRate: Annotated[Number, "reverse charge rate (India)"] = ABSENT
    UQCDisplayText: Annotated[Text, "unit quantity code, as text (India)"] = None
    UQCId: Annotated[Text, "unit quantity code (India)"] = None
    Source: Annotated[Text, "where the record was made"] = None


class SalesForm(Transaction, kw_only=True):
    """What invoices, estimates and credit memos have in common."""

    CustomerRef: Annotated[Ref, "customer"] = Ref()
    CustomerMemo: Annotated[MemoRef, "message shown to the customer"] = MemoRef()
    TotalAmt: Annotated[Number, "total in the transaction's currency, tax included"] = ABSENT
    HomeTotalAmt: Annotated[Number, "total in the company's home currency"] = ABSENT
    DueDate: Annotated[Date, "due date"] = None
    SalesTermRef: Annotated[Ref, "payment terms"] = Ref()
    ClassRef: Annotated[Ref, "class of the whole transaction"] = Ref()
    ProjectRef: Annotated[Ref, "project"] = Ref()
    BillEmail: Annotated[EmailAddress, "address it is mailed to"] = EmailAddress()
    BillEmailCc: Annotated[EmailAddress, "copy to"] = EmailAddress()
    BillEmailBcc: Annotated[EmailAddress, "blind copy to"] = EmailAddress()
    BillAddr: Annotated[Json, "billing address"] = ABSENT
    ShipAddr: Annotated[Json, "shipping address"] = ABSENT
    ShipFromAddr: Annotated[Json, "address it is shipped from"] = ABSENT
    FreeFormAddress: Annotated[Flag, "addresses are kept as free text"] = None
    ShipMethodRef: Annotated[Ref, "shipping method"] = Ref()
    ShipDate: Annotated[Date, "shipping date"] = None
    TrackingNum: Annotated[Text, "tracking number"] = None
    ApplyTaxAfterDiscount: Annotated[Flag, "tax is computed after the discount"] = None
    PrintStatus: Annotated[Text, "NotSet, NeedToPrint or PrintComplete", choices.PRINT_STATUS] = None
    EmailStatus: Annotated[Text, "NotSet, NeedToSend or EmailSent", choices.EMAIL_STATUS] = None
    DeliveryInfo: Annotated[Json, "when and how it was delivered"] = ABSENT
    ARAccountRef: Annotated[Ref, "receivables account"] = Ref()
    TaxExemptionRef: Annotated[Ref, "tax exemption"] = Ref()
    Line: list[SalesLine] = []


class Invoice(SalesForm, kw_only=True):
    """Invoices. A voided one stays, with amounts of zero and a private note that starts with Voided."""

    Balance: Annotated[Number, "amount still open; moves without a new sync token when payments are linked"] = ABSENT
    HomeBalance: Annotated[Number, "amount still open, in the home currency"] = ABSENT
    Deposit: Annotated[Number, "deposit taken"] = ABSENT
    DepositToAccountRef: Annotated[Ref, "account the deposit went to"] = Ref()
    AllowIPNPayment: Annotated[Flag, "Intuit payment network allowed"] = None
    AllowOnlinePayment: Annotated[Flag, "online payment allowed"] = None
    AllowOnlineCreditCardPayment: Annotated[Flag, "online card payment allowed"] = None
    AllowOnlineACHPayment: Annotated[Flag, "online bank transfer allowed"] = None
    AllowOnlinePayPalPayment: Annotated[Flag, "PayPal allowed"] = None
    EInvoiceStatus: Annotated[Text, "status of the electronic invoice", choices.EINVOICE_STATUS] = None
    InvoiceLink: Annotated[Text, "link at which the customer can pay"] = None


class Estimate(SalesForm, kw_only=True):
    """Estimates (quotes)."""

    TxnStatus: Annotated[Text, "Pending, Accepted, Closed, Rejected or Converted", choices.ESTIMATE_STATUS] = None
    ExpirationDate: Annotated[Date, "valid until"] = None
    AcceptedBy: Annotated[Text, "who accepted it"] = None
    AcceptedDate: Annotated[Date, "when it was accepted"] = None


class CreditMemo(SalesForm, kw_only=True):
    """Credit memos: positive numbers that reduce what a customer owes."""

    Balance: Annotated[Number, "amount not yet applied"] = ABSENT
    HomeBalance: Annotated[Number, "amount not yet applied, in the home currency"] = ABSENT
    RemainingCredit: Annotated[Number, "credit left to apply"] = ABSENT
    InvoiceRef: Annotated[Ref, "invoice it belongs to"] = Ref()
    PaymentMethodRef: Annotated[Ref, "payment method"] = Ref()


class Payment(Transaction, kw_only=True):
    """Payments received from customers, and the invoices they were applied to."""

    CustomerRef: Annotated[Ref, "customer"] = Ref()
    TotalAmt: Annotated[Number, "amount received, in the transaction's currency"] = ABSENT
    HomeTotalAmt: Annotated[Number, "amount received, in the home currency"] = ABSENT
    UnappliedAmt: Annotated[Number, "part not applied to any invoice"] = ABSENT
    DepositToAccountRef: Annotated[Ref, "account it went to; absent means Undeposited Funds"] = Ref()
    ARAccountRef: Annotated[Ref, "receivables account"] = Ref()
    PaymentMethodRef: Annotated[Ref, "payment method"] = Ref()
    PaymentRefNum: Annotated[Text, "cheque number or other reference"] = None
    ProjectRef: Annotated[Ref, "project"] = Ref()
    ProcessPayment: Annotated[Flag, "taken through QuickBooks Payments"] = None
    CreditCardPayment: Annotated[Json, "card charge and its answer"] = ABSENT
    Line: list[PaymentLine] = []


class SalesReceipt(SalesForm, kw_only=True):
    """Sales paid at once."""

    Balance: Annotated[Number, "always zero"] = ABSENT
    HomeBalance: Annotated[Number, "always zero"] = ABSENT
    DepositToAccountRef: Annotated[Ref, "account the money went to; absent means Undeposited Funds"] = Ref()
    PaymentMethodRef: Annotated[Ref, "payment method"] = Ref()
    PaymentRefNum: Annotated[Text, "cheque number or other reference"] = None
    PaymentType: Annotated[Text, "Cash, Check or CreditCard", choices.PAYMENT_TYPE] = None
    CheckPayment: Annotated[Json, "the cheque"] = ABSENT
    CreditCardPayment: Annotated[Json, "the charge"] = ABSENT


class RefundReceipt(SalesForm, kw_only=True):
    """Refunds to customers: positive numbers for money that went out."""

    Balance: Annotated[Number, "always zero"] = ABSENT
    HomeBalance: Annotated[Number, "always zero"] = ABSENT
    DepositToAccountRef: Annotated[Ref, "account the refund was paid from"] = Ref()
    PaymentMethodRef: Annotated[Ref, "payment method"] = Ref()
    PaymentRefNum: Annotated[Text, "cheque number or other reference"] = None
    PaymentType: Annotated[Text, "Cash, Check or CreditCard", choices.PAYMENT_TYPE] = None
    CheckPayment: Annotated[Json, "the cheque"] = ABSENT
    CreditCardPayment: Annotated[Json, "the charge"] = ABSENT


class ReimburseCharge(Transaction, kw_only=True):
    """Expenses to be charged on to a customer."""

    CustomerRef: Annotated[Ref, "customer"] = Ref()
    Amount: Annotated[Number, "amount"] = ABSENT
    HomeTotalAmt: Annotated[Number, "amount in the home currency"] = ABSENT
    HasBeenInvoiced: Annotated[Flag, "charged on already"] = None
    Line: list[ReimburseLine] = []


class CustomerType(Record, kw_only=True):
    """Kinds of customer, as the company sorts them."""

    Name: Annotated[Text, "name"] = None
    FullyQualifiedName: Annotated[Text, "path of names, separated by colons"] = None
    ParentRef: Annotated[Ref, "parent"] = Ref()
    Active: Annotated[Flag, "false once made inactive"] = None


class PaymentMethod(Record, kw_only=True):
    """Ways customers pay."""

    Name: Annotated[Text, "name"] = None
    Active: Annotated[Flag, "false once made inactive"] = None
    Type: Annotated[Text, "CREDIT_CARD or NON_CREDIT_CARD", choices.PAYMENT_METHOD_TYPE] = None


class Term(Record, kw_only=True):
    """Payment terms."""

    Name: Annotated[Text, "name"] = None
    Active: Annotated[Flag, "false once made inactive"] = None
    Type: Annotated[Text, "STANDARD (days) or DATE_DRIVEN (day of the month)", choices.TERM_TYPE] = None
    DiscountPercent: Annotated[Number, "discount for paying early"] = ABSENT
    DueDays: Annotated[Integer, "days until due"] = None
    DiscountDays: Annotated[Integer, "days in which the discount holds"] = None
    DayOfMonthDue: Annotated[Integer, "day of the month it is due"] = None
    DueNextMonthDays: Annotated[Integer, "due next month when issued this close to the due day"] = None
    DiscountDayOfMonth: Annotated[Integer, "day of the month until which the discount holds"] = None
