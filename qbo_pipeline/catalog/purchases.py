"""What a company buys, from whom, and what it owes: vendors and bills."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog.fields import (
    ABSENT,
    Date,
    EmailAddress,
    Flag,
    Json,
    Number,
    Record,
    Ref,
    TelephoneNumber,
    Text,
    WebSiteAddress,
)
from qbo_pipeline.catalog.lines import ExpenseLine
from qbo_pipeline.catalog.transactions import Transaction


class Vendor(Record, kw_only=True):
    """Vendors (suppliers)."""

    DisplayName: Annotated[Text, "name as shown; unique among customers, vendors and employees"] = None
    CompanyName: Annotated[Text, "name of the vendor's company"] = None
    Title: Annotated[Text, "form of address"] = None
    GivenName: Annotated[Text, "first name"] = None
    MiddleName: Annotated[Text, "middle name"] = None
    FamilyName: Annotated[Text, "last name"] = None
    Suffix: Annotated[Text, "name suffix, such as Jr."] = None
    PrintOnCheckName: Annotated[Text, "name as printed on cheques"] = None
    Active: Annotated[Flag, "false once made inactive; QuickBooks then appends ' (deleted)' to the name"] = None
    PrimaryEmailAddr: Annotated[EmailAddress, "e-mail address"] = EmailAddress()
    PrimaryPhone: Annotated[TelephoneNumber, "main telephone number"] = TelephoneNumber()
    AlternatePhone: Annotated[TelephoneNumber, "other telephone number"] = TelephoneNumber()
    Mobile: Annotated[TelephoneNumber, "mobile number"] = TelephoneNumber()
    Fax: Annotated[TelephoneNumber, "fax number"] = TelephoneNumber()
    WebAddr: Annotated[WebSiteAddress, "web site"] = WebSiteAddress()
    BillAddr: Annotated[Json, "postal address"] = ABSENT
    AcctNum: Annotated[Text, "our account number with the vendor"] = None
    Balance: Annotated[Number, "what we owe; moves without a new sync token when bills and payments do"] = ABSENT
    CurrencyRef: Annotated[Ref, "currency of the vendor's bills"] = Ref()
    TermRef: Annotated[Ref, "payment terms"] = Ref()
    APAccountRef: Annotated[Ref, "payables account"] = Ref()
    Vendor1099: Annotated[Flag, "tracked for US form 1099"] = None
    TaxIdentifier: Annotated[Text, "tax id, masked by QuickBooks"] = None
    BusinessNumber: Annotated[Text, "business number"] = None
    GSTIN: Annotated[Text, "goods and services tax id (India)"] = None
    GSTRegistrationType: Annotated[Text, "goods and services tax registration (India)"] = None
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
