"""Fields whose values QuickBooks takes from a list, and the values we know of.

The columns stay text and take any value: a value that is not here is stored like the others, and reported as drift.
The lists are those of Intuit's XSD of 2024 and of its API reference; where the two differ, both are in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a text field with the values it is known to take."""

    values: frozenset[str]


def _one_of(*values: str) -> OneOf:
    return OneOf(frozenset(values))


MONTH = _one_of(
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
STATUS = _one_of("Deleted", "Voided", "Draft", "Pending", "InTransit", "Synchronized", "SyncError")
TAX_CALCULATION = _one_of("TaxInclusive", "TaxExcluded", "NotApplicable")
EMAIL_STATUS = _one_of("NotSet", "NeedToSend", "EmailSent")
PRINT_STATUS = _one_of("NotSet", "NeedToPrint", "PrintComplete")
BILLABLE_STATUS = _one_of("Billable", "NotBillable", "HasBeenBilled")
POSTING_TYPE = _one_of("Debit", "Credit")
TAX_SIDE = _one_of("Purchase", "Sales")
PAYMENT_TYPE = _one_of("Cash", "Check", "CreditCard", "Expense", "Other")
BILL_PAYMENT_TYPE = _one_of("Check", "CreditCard")
PURCHASE_ORDER_STATUS = _one_of("Open", "Closed")
ESTIMATE_STATUS = _one_of("Pending", "Accepted", "Closed", "Rejected", "Converted")
WORKER_KIND = _one_of("Employee", "Vendor", "Other")
GENDER = _one_of("Male", "Female")
CLASSIFICATION = _one_of("Asset", "Equity", "Expense", "Liability", "Revenue")
ACCOUNT_TYPE = _one_of(
    "Bank",
    "Accounts Receivable",
    "Other Current Asset",
    "Fixed Asset",
    "Other Asset",
    "Accounts Payable",
    "Credit Card",
    "Other Current Liability",
    "Long Term Liability",
    "Equity",
    "Income",
    "Cost of Goods Sold",
    "Expense",
    "Other Income",
    "Other Expense",
    "Non-Posting",
)
ITEM_TYPE = _one_of(
    "Assembly",
    "Bundle",
    "Category",
    "Discount",
    "Fixed Asset",
    "Group",
    "Inventory",
    "NonInventory",
    "Other Charge",
    "Payment",
    "Service",
    "Subtotal",
    "Tax",
    "Tax Group",
)
PAYMENT_METHOD_TYPE = _one_of("CREDIT_CARD", "NON_CREDIT_CARD")
TERM_TYPE = _one_of("STANDARD", "DATE_DRIVEN")
BUDGET_TYPE = _one_of("ProfitAndLoss", "BalanceSheet")
BUDGET_ENTRY_TYPE = _one_of("Monthly", "Quarterly", "Yearly")
EINVOICE_STATUS = _one_of(
    "Sent",
    "Viewed",
    "Paid",
    "Delivery Error",
    "Updated",
    "Error",
    "Accepted",
    "Rejected",
    "Sent With ICN Error",
    "Delivered",
    "Disputed",
)
TAX_RATE_DISPLAY = _one_of("ReadOnly", "HideInTransactionForms", "HideInPrintedForms", "HideInAll")
SPECIAL_TAX_TYPE = _one_of("NONE", "ZERO_RATE", "FOREIGN_TAX", "REVERSE_CHARGE", "ADJUSTMENT_RATE")
TAX_CODE_MAKER = _one_of("SYSTEM_GENERATED", "USER_DEFINED", "SCRA_DEFINED", "HIDDEN_AGENCY")
DETAIL_TYPE = _one_of(
    "AccountBasedExpenseLineDetail",
    "DepositLineDetail",
    "DescriptionOnly",
    "DiscountLineDetail",
    "GroupLineDetail",
    "ItemAdjustmentLineDetail",
    "ItemBasedExpenseLineDetail",
    "ItemReceiptLineDetail",
    "JournalEntryLineDetail",
    "PaymentLineDetail",
    "PurchaseOrderItemLineDetail",
    "ReimburseLineDetail",
    "SalesItemLineDetail",
    "SalesOrderItemLineDetail",
    "SubTotalLineDetail",
    "TDSLineDetail",
    "TaxLineDetail",
)
