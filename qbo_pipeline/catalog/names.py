"""What everybody with a name has: customers, vendors and employees share one list of names in QuickBooks."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog.fields import EmailAddress, Flag, Record, TelephoneNumber, Text, WebSiteAddress


class Person(Record, kw_only=True):
    """Somebody."""

    DisplayName: Annotated[Text, "name as shown; unique among customers, vendors and employees"] = None
    Title: Annotated[Text, "form of address"] = None
    GivenName: Annotated[Text, "first name"] = None
    MiddleName: Annotated[Text, "middle name"] = None
    FamilyName: Annotated[Text, "last name"] = None
    Suffix: Annotated[Text, "name suffix, such as Jr."] = None
    PrintOnCheckName: Annotated[Text, "name as printed on cheques"] = None
    Active: Annotated[Flag, "false once made inactive; QuickBooks then appends ' (deleted)' to the name"] = None
    PrimaryEmailAddr: Annotated[EmailAddress, "e-mail address"] = EmailAddress()
    PrimaryPhone: Annotated[TelephoneNumber, "main telephone number"] = TelephoneNumber()
    Mobile: Annotated[TelephoneNumber, "mobile number"] = TelephoneNumber()


class BusinessPartner(Person, kw_only=True):
    """Somebody we trade with."""

    CompanyName: Annotated[Text, "name of their company"] = None
    AlternatePhone: Annotated[TelephoneNumber, "other telephone number"] = TelephoneNumber()
    Fax: Annotated[TelephoneNumber, "fax number"] = TelephoneNumber()
    WebAddr: Annotated[WebSiteAddress, "web site"] = WebSiteAddress()
    BusinessNumber: Annotated[Text, "business number"] = None
    GSTIN: Annotated[Text, "goods and services tax id (India)"] = None
    GSTRegistrationType: Annotated[Text, "goods and services tax registration (India)"] = None
