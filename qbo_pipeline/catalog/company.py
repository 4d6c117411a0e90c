"""The company itself."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import (
    ABSENT,
    Date,
    EmailAddress,
    Instant,
    Integer,
    Json,
    Record,
    TelephoneNumber,
    Text,
    WebSiteAddress,
)


class CompanyInfo(Record, kw_only=True):
    """One row per company: name, addresses, fiscal year, country."""

    CompanyName: Annotated[Text, "name as shown in QuickBooks"] = None
    LegalName: Annotated[Text, "legal name"] = None
    CompanyAddr: Annotated[Json, "address"] = ABSENT
    CustomerCommunicationAddr: Annotated[Json, "address given to customers"] = ABSENT
    LegalAddr: Annotated[Json, "legal address"] = ABSENT
    CustomerCommunicationEmailAddr: Annotated[EmailAddress, "e-mail address given to customers"] = EmailAddress()
    CompanyEmailAddr: Annotated[EmailAddress, "company e-mail address"] = EmailAddress()
    Email: Annotated[EmailAddress, "e-mail address"] = EmailAddress()
    WebAddr: Annotated[WebSiteAddress, "web site"] = WebSiteAddress()
    PrimaryPhone: Annotated[TelephoneNumber, "main telephone number"] = TelephoneNumber()
    CompanyStartDate: Annotated[Date, "when the company was set up in QuickBooks"] = None
    FiscalYearStartMonth: Annotated[Text, "first month of the fiscal year", choices.MONTH] = None
    TaxYearStartMonth: Annotated[Text, "first month of the tax year", choices.MONTH] = None
    Country: Annotated[Text, "country"] = None
    DefaultTimeZone: Annotated[Text, "time zone of the company"] = None
    SupportedLanguages: Annotated[Text, "languages"] = None
    EmployerId: Annotated[Text, "employer id"] = None
    LastImportedTime: Annotated[Instant, "last import from QuickBooks Desktop"] = None
    LastSyncTime: Annotated[Instant, "last synchronisation with QuickBooks Desktop"] = None
    NameValue: Annotated[Json, "further facts as names and values: subscription, industry, tax form"] = ABSENT


class Preferences(Record, kw_only=True):
    """One row per company: which features are switched on, and how."""

    AccountingInfoPrefs: Annotated[Json, "closing date, class and department tracking, terminology"] = ABSENT
    AdvancedInventoryPrefs: Annotated[Json, "inventory"] = ABSENT
    ProductAndServicesPrefs: Annotated[Json, "products and services"] = ABSENT
    SalesFormsPrefs: Annotated[Json, "sales forms, custom fields among them"] = ABSENT
    EmailMessagesPrefs: Annotated[Json, "texts of e-mails"] = ABSENT
    PrintDocumentPrefs: Annotated[Json, "printing"] = ABSENT
    VendorAndPurchasesPrefs: Annotated[Json, "vendors and purchases"] = ABSENT
    TimeTrackingPrefs: Annotated[Json, "time tracking"] = ABSENT
    TaxPrefs: Annotated[Json, "taxes"] = ABSENT
    FinanceChargesPrefs: Annotated[Json, "finance charges"] = ABSENT
    CurrencyPrefs: Annotated[Json, "currencies: home currency, multicurrency"] = ABSENT
    ReportPrefs: Annotated[Json, "reports: accrual or cash"] = ABSENT
    OtherPrefs: Annotated[Json, "everything else, as names and values"] = ABSENT


class Attachable(Record, kw_only=True):
    """Attached files and notes: what they are and what they are attached to; the files stay in QuickBooks."""

    FileName: Annotated[Text, "file name; absent for a note"] = None
    Note: Annotated[Text, "note"] = None
    ContentType: Annotated[Text, "media type"] = None
    Size: Annotated[Integer, "bytes"] = None
    Category: Annotated[Text, "category"] = None
    Tag: Annotated[Text, "tag"] = None
    PlaceName: Annotated[Text, "place"] = None
    Lat: Annotated[Text, "latitude"] = None
    Long: Annotated[Text, "longitude"] = None
    AttachableRef: Annotated[Json, "what it is attached to: kind and id of each record"] = ABSENT
    FileAccessUri: Annotated[Text, "where the API serves the file"] = None
    TempDownloadUri: Annotated[Text, "download address, good for 15 minutes from when it was read"] = None
    ThumbnailFileAccessUri: Annotated[Text, "where the API serves the preview"] = None
    ThumbnailTempDownloadUri: Annotated[Text, "download address of the preview, good for 15 minutes"] = None
