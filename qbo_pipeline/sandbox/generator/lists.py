"""The generated company's lists: chart of accounts, names, items, taxes, terms and the like."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice

from qbo_pipeline.sandbox.generator import words
from qbo_pipeline.sandbox.generator.ledger import DAY, Ledger, Named, dollars
from qbo_pipeline.sandbox.values import Payload

DOLLARS = {"value": "USD", "name": "United States Dollar"}
EUROS = {"value": "EUR", "name": "Euro"}
TAX_PERCENT = Decimal("8.25")


def write_company(ledger: Ledger, name: str) -> None:
    """Write the two singletons."""
    address = {"Id": "1", "Line1": "1 Quarry Lane", "City": "Alder Falls", "CountrySubDivisionCode": "OR"} | {
        "PostalCode": "97001",
        "Country": "USA",
    }
    info = {
        "CompanyName": name,
        "LegalName": f"{name} LLC",
        "CompanyAddr": address,
        "CustomerCommunicationAddr": address,
        "LegalAddr": address,
        "CompanyStartDate": ledger.day_of(ledger.start).isoformat(),
        "FiscalYearStartMonth": "January",
        "Country": "US",
        "Email": {"Address": "office@sandbox.example"},
        "WebAddr": {},
        "SupportedLanguages": "en",
        "DefaultTimeZone": "America/Los_Angeles",
        "NameValue": [{"Name": "OfferingSku", "Value": "QuickBooks Online Plus"}],
    }
    ledger.books.keep("CompanyInfo", ledger.stamped("1", info, ledger.start - DAY, ledger.start))
    prefs: Payload = {
        "AccountingInfoPrefs": {"FirstMonthOfFiscalYear": "January", "TrackDepartments": True, "TaxForm": "6"},
        "SalesFormsPrefs": {"CustomTxnNumbers": False, "AllowDiscount": True, "AllowEstimates": True},
        "VendorAndPurchasesPrefs": {"TrackingByCustomer": True, "BillableExpenseTracking": True},
        "TimeTrackingPrefs": {"UseServices": True, "WorkWeekStartDate": "Monday"},
        "TaxPrefs": {"UsingSalesTax": True, "PartnerTaxEnabled": True, "TaxGroupCodeRef": {"value": "2"}},
        "CurrencyPrefs": {"MultiCurrencyEnabled": True, "HomeCurrency": {"value": "USD"}},
        "ReportPrefs": {"ReportBasis": "Accrual", "CalcAgingReportFromTxnDate": False},
        "OtherPrefs": {"NameValue": [{"Name": "SalesFormsPrefs.DefaultItem", "Value": "1"}]},
    }
    ledger.books.keep("Preferences", ledger.stamped("1", prefs, ledger.start - DAY, ledger.start))


def write_lists(ledger: Ledger, *, customers: int, vendors: int) -> None:
    """Write every list; transactions come later."""
    _accounts(ledger)
    for name, days in words.TERMS:
        payload = {"Name": name, "Active": True, "Type": "STANDARD", "DueDays": days}
        ledger.add_name("Term", name, payload, {"days": days})
    for name, kind in words.METHODS:
        ledger.add_name("PaymentMethod", name, {"Name": name, "Active": True, "Type": kind})
    _taxes(ledger)
    _trees(ledger)
    for code, title in (("EUR", "Euro"), ("CAD", "Canadian Dollar")):
        ledger.add_name("CompanyCurrency", title, {"Code": code, "Name": title, "Active": True})
    _exchange_rates(ledger)
    _items(ledger)
    for number in range(customers):
        _customer(ledger, number)
    for number in range(vendors):
        _vendor(ledger, number)
    for number in range(6):
        _employee(ledger, number)


def _accounts(ledger: Ledger) -> None:
    for name, kind, sub_kind, classification, parent in words.ACCOUNTS:
        payload: Payload = {"Name": name, "SubAccount": bool(parent)}
        if parent:
            payload["ParentRef"] = {"value": ledger.named("Account", parent).id}
        payload |= {
            "FullyQualifiedName": f"{parent}:{name}" if parent else name,
            "Active": True,
            "Classification": classification,
            "AccountType": kind,
            "AccountSubType": sub_kind,
            "CurrentBalance": Decimal(0),
            "CurrentBalanceWithSubAccounts": Decimal(0),
            "CurrencyRef": EUROS if name.endswith("EUR") else DOLLARS,
        }
        ledger.add_name("Account", name, payload)
    gone = {"Name": "Old Petty Cash (deleted)", "SubAccount": False, "FullyQualifiedName": "Old Petty Cash"}
    gone |= {"Active": False, "Classification": "Asset", "AccountType": "Bank", "AccountSubType": "CashOnHand"}
    _forget(ledger, "Account", gone | {"CurrentBalance": Decimal(0), "CurrencyRef": DOLLARS})


def _forget(ledger: Ledger, entity: str, payload: Payload) -> None:
    """Write an inactive entry, which nothing will refer to."""
    ledger.add_name(entity, "(inactive)", payload)
    del ledger.names[entity]["(inactive)"]


def _taxes(ledger: Ledger) -> None:
    agency = ledger.add_name(
        "TaxAgency",
        "Alder County",
        {"DisplayName": "Alder County", "TaxTrackedOnSales": True, "TaxTrackedOnPurchases": False},
    )
    rate = ledger.add_name(
        "TaxRate",
        "Alder sales tax",
        {"Name": "Alder sales tax", "Description": "Sales tax", "Active": True, "RateValue": TAX_PERCENT}
        | {"AgencyRef": {"value": agency.id}, "SpecialTaxType": "NONE", "DisplayType": "ReadOnly"},
    )
    detail = {"TaxRateRef": rate.ref, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0}
    for name, taxable in (("Exempt", False), ("Alder", True)):
        rates = {"SalesTaxRateList": {"TaxRateDetail": [detail] if taxable else []}}
        payload = {"Name": name, "Description": name, "Active": True, "Taxable": taxable, "TaxGroup": True} | rates
        ledger.add_name("TaxCode", name, payload)


def _trees(ledger: Ledger) -> None:
    for entity, flag, names in (
        ("Class", "SubClass", words.CLASSES),
        ("Department", "SubDepartment", words.DEPARTMENTS),
    ):
        for full in names:
            parent, _, name = full.rpartition(":")
            payload: Payload = {"Name": name, flag: bool(parent), "FullyQualifiedName": full, "Active": True}
            if parent:
                payload["ParentRef"] = {"value": ledger.named(entity, parent).id}
            ledger.add_name(entity, full, payload)


def _exchange_rates(ledger: Ledger) -> None:
    for month in range(0, (ledger.end - ledger.start) // DAY, 30):
        when = ledger.start + month * DAY
        rate = Decimal(10_400 + ledger.rng.randrange(900)).scaleb(-4)
        ledger.names.setdefault("Rate", {})[str(month // 30)] = Named("", "", {"rate": rate})
        times = ledger.stamped("", {}, when, when)["MetaData"]
        payload = {"SyncToken": "0", "domain": "QBO", "sparse": False, "AsOfDate": ledger.day_of(when).isoformat()}
        pair = {"SourceCurrencyCode": "EUR", "TargetCurrencyCode": "USD", "Rate": rate, "MetaData": times}
        ledger.books.keep("ExchangeRate", payload | pair)


def _items(ledger: Ledger) -> None:
    for category in ("Grounds", "Studio", "Goods"):
        plain = {"Name": category, "Active": True, "FullyQualifiedName": category, "Type": "Category"}
        ledger.add_name("Item", category, plain, {"type": "Category"})
    for name, kind, category, price, cost, income, taxable in words.ITEMS:
        payload: Payload = {"Name": name, "Description": f"{name}, as agreed", "Active": True, "SubItem": True}
        payload |= {"ParentRef": ledger.named("Item", category).ref, "Level": 1}
        payload |= {"FullyQualifiedName": f"{category}:{name}", "Taxable": taxable, "UnitPrice": dollars(price)}
        payload |= {"Type": kind, "IncomeAccountRef": ledger.account(income), "PurchaseCost": dollars(cost)}
        if kind == "Inventory":
            payload |= {"ExpenseAccountRef": ledger.account("Cost of Goods Sold")}
            payload |= {"AssetAccountRef": ledger.account("Inventory Asset"), "TrackQtyOnHand": True}
            payload |= {
                "QtyOnHand": ledger.rng.randrange(5, 400),
                "InvStartDate": ledger.day_of(ledger.start).isoformat(),
            }
        else:
            payload["TrackQtyOnHand"] = False
        facts = {"type": kind, "price": price, "cost": cost, "taxable": taxable, "income": income}
        ledger.add_name("Item", name, payload, facts)
    for name, members in words.GROUPS:
        parts = [{"ItemRef": ledger.named("Item", each).ref, "Qty": 1} for each in members]
        payload = {"Name": name, "Active": True, "FullyQualifiedName": name, "Type": "Group", "Taxable": False}
        detail = {"PrintGroupedItems": True, "ItemGroupDetail": {"ItemGroupLine": parts}}
        ledger.add_name("Item", name, payload | detail, {"type": "Group", "members": members})
    retired = {"Name": "Snow clearing (deleted)", "Active": False, "FullyQualifiedName": "Snow clearing"}
    retired |= {"Type": "Service", "UnitPrice": dollars(9900), "IncomeAccountRef": ledger.account("Services")}
    _forget(ledger, "Item", retired)


def _address(ledger: Ledger, number: int) -> dict[str, str]:
    city, state, zip_code = ledger.rng.choice(words.CITY)
    street = f"{ledger.rng.randrange(1, 900)} {ledger.rng.choice(words.STREET)}"
    return {
        "Id": str(100 + number),
        "Line1": street,
        "City": city,
        "CountrySubDivisionCode": state,
        "PostalCode": zip_code,
    }


def _person(ledger: Ledger) -> tuple[str, str]:
    return ledger.rng.choice(words.FIRST), ledger.rng.choice(words.LAST)


def _unused(ledger: Ledger, wanted: str) -> str:
    people = [ledger.names.get(entity, {}) for entity in ("Customer", "Vendor", "Employee")]
    name, number = wanted, 2
    while any(name in each for each in people):
        name, number = f"{wanted} {number}", number + 1
    return name


def _customer(ledger: Ledger, number: int) -> None:
    rng, (first, last) = ledger.rng, _person(ledger)
    business = rng.random() < 0.5
    wanted = f"{rng.choice(words.TRADE)} {rng.choice(words.SORT)}" if business else f"{first} {last}"
    currency = EUROS if number == 3 else DOLLARS
    parents = [each for each in islice(ledger.names.get("Customer", {}).values(), 40) if not each.facts["job"]]
    parent = rng.choice(parents) if number > 6 and rng.random() < 0.2 and parents else None
    if parent is not None:
        wanted, currency = f"{rng.choice(words.SITES)} {number}", parent.facts["currency"]
    name = _unused(ledger, wanted)
    full = f"{parent.name}:{name}" if parent else name
    payload: Payload = {"Taxable": business, "BillAddr": _address(ledger, number), "Job": parent is not None}
    payload["BillWithParent"] = False
    if parent is not None:
        payload |= {"ParentRef": {"value": parent.id}, "Level": 1}
    payload |= {"CurrencyRef": currency, "PreferredDeliveryMethod": "Email", "IsProject": False}
    payload |= {"GivenName": first, "FamilyName": last, "FullyQualifiedName": full}
    payload |= {"CompanyName": name} if business and parent is None else {}
    payload |= {"DisplayName": name, "PrintOnCheckName": name, "Active": True}
    payload |= {"PrimaryPhone": {"FreeFormNumber": f"(555) 01{number % 100:02}"}}
    payload |= {"PrimaryEmailAddr": {"Address": f"customer{number}@sandbox.example"}}
    when = ledger.start + rng.randrange(300) * DAY // (1 + number % 3)
    facts = {"payload": payload, "currency": currency, "job": parent is not None}
    ledger.add_name("Customer", name, payload | {"Balance": Decimal(0)}, facts, when)
    if number % 25 == 24:
        gone = _unused(ledger, f"{last} & Sons {number}")
        was = {
            "DisplayName": f"{gone} (deleted)",
            "FullyQualifiedName": gone,
            "PrintOnCheckName": gone,
            "Active": False,
        }
        _forget(ledger, "Customer", was | {"Balance": Decimal(0), "CurrencyRef": DOLLARS, "Job": False})


def _vendor(ledger: Ledger, number: int) -> None:
    name = _unused(ledger, f"{ledger.rng.choice(words.TRADE)} {ledger.rng.choice(words.SUPPLY)}")
    payload: Payload = {"BillAddr": _address(ledger, 5000 + number), "Vendor1099": number % 5 == 0}
    payload |= {"CurrencyRef": DOLLARS, "TermRef": ledger.any("Term").ref, "CompanyName": name, "DisplayName": name}
    payload |= {"PrintOnCheckName": name, "Active": True, "AcctNum": str(70_000 + number)}
    ledger.add_name("Vendor", name, payload | {"Balance": Decimal(0)}, {"payload": payload, "currency": DOLLARS})


def _employee(ledger: Ledger, number: int) -> None:
    first, last = _person(ledger)
    name = _unused(ledger, f"{first} {last}")
    payload = {"GivenName": first, "FamilyName": last, "DisplayName": name, "PrintOnCheckName": name}
    more = {"Active": number != 5, "BillableTime": True, "HiredDate": ledger.day_of(ledger.start).isoformat()}
    ledger.add_name("Employee", name, payload | more)


def settle_balances(ledger: Ledger) -> None:
    """Write customers and vendors again, with the balances their documents left."""
    for entity in ("Customer", "Vendor"):
        for named in ledger.names[entity].values():
            record = ledger.books.get(entity, named.id)
            if record is None or named.moved_at <= record.created:
                continue
            payload: Payload = named.facts["payload"] | {"Balance": dollars(named.open_cents)}
            if entity == "Customer":
                payload["BalanceWithJobs"] = dollars(named.open_cents)
            ledger.books.keep(entity, ledger.stamped(named.id, payload, record.created, named.moved_at))
