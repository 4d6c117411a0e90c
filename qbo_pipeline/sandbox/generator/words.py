"""The vocabulary of the generated company: all of it invented."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split("|" if "|" in text else None))


COMPANY = "Hollow Birch Grounds & Consulting"
FIRST = _words(
    "Ada Bruno Carys Dmitri Esme Farid Greta Hugo Imani Jonas Kezia Lorcan Mirela Nadia Oskar Priya Quentin Rosa "
    "Soren Tamsin Ulla Viktor Wren Xenia Yusuf Zora Noor Emil Petra Callum"
)
LAST = _words(
    "Abara Birkett Castellane Dragov Ekholm Fennimore Gallowglass Hartwig Ivanek Jurado Kestler Lindqvist Marchetti "
    "Nakagawa Okonjo Pellerin Quillfeather Rasmussen Stavros Thackeray Ursini Vandermeer Wexford Yarrow Zielinski "
    "O'Dwyer D'Angelo Núñez Brånström Çelik"
)
TRADE = _words(
    "Orchard Harbor Granite Meadow Copper Juniper Lantern Summit Willow Ember Prairie Cobalt Thistle Cedar Saffron"
)
SORT = _words("Bakery Clinic Outfitters Dental Books Kennels Brewing Studios Pharmacy Motors Apartments Academy Inn")
SUPPLY = _words("Nursery Lumber Fuels Insurance Telecom Rentals Stoneworks Irrigation Staffing Print Utilities Tools")
STREET = _words("Quarry Lane|Old Mill Road|Fernwood Avenue|Tannery Street|Ridge Court|Ferry Way|Kiln Row")
CITY = (("Alder Falls", "OR", "97001"), ("Port Ames", "WA", "98221"), ("Dry Creek", "CA", "95555"))
SITES = _words("North Lot|Main House|Warehouse|Courtyard|Roof Garden|Phase 2")
CLASSES = _words("Maintenance|Design|Consulting|Install|Install:Hardscape|Install:Planting")
DEPARTMENTS = _words("Alder Falls|Port Ames|Port Ames:Waterfront")
NOTES = _words("Gate code at the office|Please call before arrival|Second visit this month|Rush|Thank you!")
TASKS = _words("Spring clean-up|Weekly upkeep|Site survey|Soil test|Irrigation check|Planting plan|Drainage works")

# name, type, sub type, classification, parent
ACCOUNTS = (
    ("Checking", "Bank", "Checking", "Asset", ""),
    ("Savings", "Bank", "Savings", "Asset", ""),
    ("Accounts Receivable (A/R)", "Accounts Receivable", "AccountsReceivable", "Asset", ""),
    ("Accounts Receivable (A/R) - EUR", "Accounts Receivable", "AccountsReceivable", "Asset", ""),
    ("Undeposited Funds", "Other Current Asset", "UndepositedFunds", "Asset", ""),
    ("Inventory Asset", "Other Current Asset", "Inventory", "Asset", ""),
    ("Prepaid Expenses", "Other Current Asset", "PrepaidExpenses", "Asset", ""),
    ("Machinery", "Fixed Asset", "MachineryAndEquipment", "Asset", ""),
    ("Original Cost", "Fixed Asset", "MachineryAndEquipment", "Asset", "Machinery"),
    ("Depreciation", "Fixed Asset", "AccumulatedDepreciation", "Asset", "Machinery"),
    ("Rental Deposits", "Other Asset", "SecurityDeposits", "Asset", ""),
    ("Accounts Payable (A/P)", "Accounts Payable", "AccountsPayable", "Liability", ""),
    ("Company Card", "Credit Card", "CreditCard", "Liability", ""),
    ("Sales Tax Payable", "Other Current Liability", "GlobalTaxPayable", "Liability", ""),
    ("Payroll Liabilities", "Other Current Liability", "PayrollTaxPayable", "Liability", ""),
    ("Equipment Loan", "Long Term Liability", "NotesPayable", "Liability", ""),
    ("Opening Balance Equity", "Equity", "OpeningBalanceEquity", "Equity", ""),
    ("Retained Earnings", "Equity", "RetainedEarnings", "Equity", ""),
    ("Owner's Draw", "Equity", "PartnerDistributions", "Equity", ""),
    ("Services", "Income", "ServiceFeeIncome", "Revenue", ""),
    ("Grounds Upkeep", "Income", "ServiceFeeIncome", "Revenue", "Services"),
    ("Design Fees", "Income", "ServiceFeeIncome", "Revenue", "Services"),
    ("Consulting Fees", "Income", "ServiceFeeIncome", "Revenue", "Services"),
    ("Sales of Goods", "Income", "SalesOfProductIncome", "Revenue", ""),
    ("Discounts Given", "Income", "DiscountsRefundsGiven", "Revenue", ""),
    ("Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs", "Expense", ""),
    ("Subcontractors", "Cost of Goods Sold", "CostOfLaborCos", "Expense", ""),
    ("Advertising", "Expense", "AdvertisingPromotional", "Expense", ""),
    ("Vehicles", "Expense", "Auto", "Expense", ""),
    ("Fuel", "Expense", "Auto", "Expense", "Vehicles"),
    ("Repairs", "Expense", "RepairMaintenance", "Expense", "Vehicles"),
    ("Insurance", "Expense", "Insurance", "Expense", ""),
    ("Office", "Expense", "OfficeGeneralAdministrativeExpenses", "Expense", ""),
    ("Rent", "Expense", "RentOrLeaseOfBuildings", "Expense", ""),
    ("Telephone", "Expense", "Utilities", "Expense", ""),
    ("Utilities", "Expense", "Utilities", "Expense", ""),
    ("Wages", "Expense", "PayrollExpenses", "Expense", ""),
    ("Depreciation Expense", "Other Expense", "Depreciation", "Expense", ""),
    ("Exchange Gain or Loss", "Other Expense", "ExchangeGainOrLoss", "Expense", ""),
    ("Interest Earned", "Other Income", "InterestEarned", "Revenue", ""),
)

# name, type, category, price in cents, cost in cents, income account, taxable
ITEMS = (
    ("Weekly upkeep", "Service", "Grounds", 8500, 0, "Grounds Upkeep", False),
    ("Hedge trimming", "Service", "Grounds", 6250, 0, "Grounds Upkeep", False),
    ("Tree surgery", "Service", "Grounds", 19500, 9000, "Grounds Upkeep", False),
    ("Garden design", "Service", "Studio", 12000, 0, "Design Fees", False),
    ("Site survey", "Service", "Studio", 45000, 0, "Design Fees", False),
    ("Advisory hour", "Service", "Studio", 17500, 0, "Consulting Fees", False),
    ("Water audit", "Service", "Studio", 62000, 0, "Consulting Fees", False),
    ("Paving stone", "Inventory", "Goods", 1895, 1040, "Sales of Goods", True),
    ("Bag of bark", "Inventory", "Goods", 749, 315, "Sales of Goods", True),
    ("Sprinkler head", "Inventory", "Goods", 1333, 610, "Sales of Goods", True),
    ("Olive tree", "Inventory", "Goods", 24900, 13250, "Sales of Goods", True),
    ("Delivery", "NonInventory", "Goods", 3500, 0, "Sales of Goods", False),
)
GROUPS = (
    ("Starter garden", ("Garden design", "Bag of bark", "Olive tree")),
    ("Wet kit", ("Sprinkler head", "Delivery")),
)
TERMS = (("Due on receipt", 0), ("Net 15", 15), ("Net 30", 30), ("Net 60", 60))
METHODS = (
    ("Cash", "NON_CREDIT_CARD"),
    ("Cheque", "NON_CREDIT_CARD"),
    ("Card", "CREDIT_CARD"),
    ("Wire", "NON_CREDIT_CARD"),
)
