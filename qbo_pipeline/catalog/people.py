"""Who works for the company, and the time they spend: employees and time activities."""

from __future__ import annotations

from typing import Annotated

from qbo_pipeline.catalog import choices
from qbo_pipeline.catalog.fields import (
    ABSENT,
    Date,
    Flag,
    Integer,
    Json,
    Number,
    Record,
    Ref,
    Text,
)
from qbo_pipeline.catalog.names import Person


class Employee(Person, kw_only=True):
    """Employees; payroll restricts which fields can be read."""

    PrimaryAddr: Annotated[Json, "address"] = ABSENT
    EmployeeNumber: Annotated[Text, "employee number"] = None
    EmployeeType: Annotated[Text, "kind of employee"] = None
    SSN: Annotated[Text, "social security number, masked by QuickBooks"] = None
    BirthDate: Annotated[Date, "date of birth"] = None
    Gender: Annotated[Text, "gender", choices.GENDER] = None
    HiredDate: Annotated[Date, "hired"] = None
    ReleasedDate: Annotated[Date, "left"] = None
    BillableTime: Annotated[Flag, "time can be billed"] = None
    BillRate: Annotated[Number, "hourly rate billed"] = ABSENT
    CostRate: Annotated[Number, "hourly cost"] = ABSENT
    Notes: Annotated[Text, "free text"] = None
    V4IDPseudonym: Annotated[Text, "Intuit's internal id"] = None


class TimeActivity(Record, kw_only=True):
    """Time worked, by employees or vendors, for customers."""

    TxnDate: Annotated[Date, "day"] = None
    NameOf: Annotated[Text, "who worked: Employee, Vendor or Other", choices.WORKER_KIND] = None
    EmployeeRef: Annotated[Ref, "employee"] = Ref()
    VendorRef: Annotated[Ref, "vendor"] = Ref()
    OtherNameRef: Annotated[Ref, "somebody else"] = Ref()
    CustomerRef: Annotated[Ref, "customer"] = Ref()
    ProjectRef: Annotated[Ref, "project"] = Ref()
    DepartmentRef: Annotated[Ref, "department (location)"] = Ref()
    ClassRef: Annotated[Ref, "class"] = Ref()
    ItemRef: Annotated[Ref, "service"] = Ref()
    PayrollItemRef: Annotated[Ref, "payroll item"] = Ref()
    BillableStatus: Annotated[Text, "Billable, NotBillable or HasBeenBilled", choices.BILLABLE_STATUS] = None
    Taxable: Annotated[Flag, "taxed when billed"] = None
    HourlyRate: Annotated[Number, "rate billed"] = ABSENT
    CostRate: Annotated[Number, "cost"] = ABSENT
    Hours: Annotated[Integer, "hours worked"] = None
    Minutes: Annotated[Integer, "and minutes"] = None
    Seconds: Annotated[Integer, "and seconds"] = None
    BreakHours: Annotated[Integer, "hours of break"] = None
    BreakMinutes: Annotated[Integer, "and minutes"] = None
    BreakSeconds: Annotated[Integer, "and seconds"] = None
    StartTime: Annotated[Text, "start, instead of hours; the wall clock is meant, not the offset"] = None
    EndTime: Annotated[Text, "end; the wall clock is meant, not the offset"] = None
    TimeZone: Annotated[Text, "time zone"] = None
    HoursInEmployeeTimeZone: Annotated[Flag, "times are in the employee's zone"] = None
    Description: Annotated[Text, "description"] = None
