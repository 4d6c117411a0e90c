"""The company itself."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog.fields import (
    ABSENT,
    Date,
    EmailAddress,
    Instant,
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
    FiscalYearStartMonth: Annotated[Text, "first month of the fiscal year"] = None
    TaxYearStartMonth: Annotated[Text, "first month of the tax year"] = None
    Country: Annotated[Text, "country"] = None
    DefaultTimeZone: Annotated[Text, "time zone of the company"] = None
    SupportedLanguages: Annotated[Text, "languages"] = None
    EmployerId: Annotated[Text, "employer id"] = None
    LastImportedTime: Annotated[Instant, "last import from QuickBooks Desktop"] = None
    LastSyncTime: Annotated[Instant, "last synchronisation with QuickBooks Desktop"] = None
    NameValue: Annotated[Json, "further facts as names and values: subscription, industry, tax form"] = ABSENT
