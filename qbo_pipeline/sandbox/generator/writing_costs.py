"""Writing out what the company bought, moved and worked."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from qbo_pipeline.sandbox.generator.ledger import Doc, Ledger, Named, dollars, linked, party_ref, plus_days
from qbo_pipeline.sandbox.values import Payload


def deposit(ledger: Ledger, doc: Doc) -> Payload:
    lines = [
        {"Amount": dollars(cents), "LinkedTxn": [{"TxnId": payment.id, "TxnType": "Payment", "TxnLineId": "0"}]}
        for payment, cents in doc.links
    ]
    return {"DepositToAccountRef": ledger.account("Checking"), "TotalAmt": dollars(doc.total), "Line": lines}


def _cost_lines(ledger: Ledger, doc: Doc) -> list[dict[str, Any]]:
    return [_cost_line(ledger, number, line) for number, line in enumerate(doc.lines, start=1)]


def _cost_line(ledger: Ledger, number: int, line: tuple[Any, ...]) -> dict[str, Any]:
    kind, what, more, cents = line
    head = {"Id": str(number), "LineNum": number, "Amount": dollars(cents)}
    if kind == "goods":
        detail = {"ItemRef": what.ref, "UnitPrice": dollars(what.facts["cost"]), "Qty": more}
        detail |= {"BillableStatus": "NotBillable", "TaxCodeRef": {"value": "NON"}}
        return head | {"DetailType": "ItemBasedExpenseLineDetail", "ItemBasedExpenseLineDetail": detail}
    detail = {"AccountRef": ledger.account(what), "BillableStatus": "NotBillable", "TaxCodeRef": {"value": "NON"}}
    if more:
        detail |= {
            "CustomerRef": next(iter(ledger.names["Customer"].values())).ref,
            "BillableStatus": "Billable",
        }
    return head | {"DetailType": "AccountBasedExpenseLineDetail", "AccountBasedExpenseLineDetail": detail}


def bill(ledger: Ledger, doc: Doc) -> Payload:
    term: Named = doc.facts["term"]
    return {
        "DueDate": plus_days(ledger.day_of(doc.when), term.facts["days"]),
        "SalesTermRef": {"value": term.id},
        "Balance": dollars(doc.open),
        "DocNumber": f"B-{doc.facts['number']}",
        "LinkedTxn": linked(doc),
        "Line": _cost_lines(ledger, doc),
        "VendorRef": party_ref(doc.party),
        "APAccountRef": ledger.account("Accounts Payable (A/P)"),
        "TotalAmt": dollars(doc.total),
    }


def vendor_credit(ledger: Ledger, doc: Doc) -> Payload:
    body = {"Balance": dollars(doc.open), "Line": _cost_lines(ledger, doc), "VendorRef": party_ref(doc.party)}
    return body | {"APAccountRef": ledger.account("Accounts Payable (A/P)"), "TotalAmt": dollars(doc.total)}


def bill_payment(ledger: Ledger, doc: Doc) -> Payload:
    kind = doc.facts["type"]
    accounts: dict[str, Payload] = {
        "Check": {"CheckPayment": {"BankAccountRef": ledger.account("Checking"), "PrintStatus": "NotSet"}},
        "CreditCard": {"CreditCardPayment": {"CCAccountRef": ledger.account("Company Card")}},
    }
    lines = [
        {"Amount": dollars(cents), "LinkedTxn": [{"TxnId": bill.id, "TxnType": "Bill"}]} for bill, cents in doc.links
    ]
    head = {"VendorRef": party_ref(doc.party), "PayType": kind} | accounts[kind] | {"TotalAmt": dollars(doc.total)}
    return head | {"DocNumber": str(doc.facts["number"]), "Line": lines}


def purchase(ledger: Ledger, doc: Doc) -> Payload:
    kind = doc.facts["type"]
    account = "Company Card" if kind == "CreditCard" else "Checking"
    return {
        "AccountRef": ledger.account(account),
        "PaymentType": kind,
        "EntityRef": party_ref(doc.party) | {"type": "Vendor"},
        "Credit": doc.facts["credit"],
        "TotalAmt": dollars(doc.total),
        "Line": _cost_lines(ledger, doc),
    }


def order(ledger: Ledger, doc: Doc) -> Payload:
    body = {"DocNumber": f"PO-{doc.facts['number']}", "POStatus": doc.facts["status"], "LinkedTxn": []}
    body |= {"Line": _cost_lines(ledger, doc), "VendorRef": party_ref(doc.party), "TotalAmt": dollars(doc.total)}
    return body | {"APAccountRef": ledger.account("Accounts Payable (A/P)")}


def transfer(ledger: Ledger, doc: Doc) -> Payload:
    refs = {"FromAccountRef": ledger.account("Checking"), "ToAccountRef": ledger.account("Savings")}
    return refs | {"Amount": dollars(doc.total)}


def journal(ledger: Ledger, doc: Doc) -> Payload:
    lines = [
        {"Id": str(index), "Amount": dollars(cents), "DetailType": "JournalEntryLineDetail"}
        | {"JournalEntryLineDetail": {"PostingType": posting, "AccountRef": ledger.account(account)}}
        for index, (posting, account, cents) in enumerate(doc.lines)
    ]
    return {"Adjustment": False, "DocNumber": f"J{doc.facts['number']}", "Line": lines, "TxnTaxDetail": {}}


def hours(_ledger: Ledger, doc: Doc) -> Payload:
    employee: Named = doc.facts["employee"]
    return {
        "NameOf": "Employee",
        "EmployeeRef": employee.ref,
        "CustomerRef": party_ref(doc.party),
        "BillableStatus": "Billable" if doc.facts["number"] % 3 else "NotBillable",
        "Taxable": False,
        "HourlyRate": Decimal("65.00"),
        "Hours": doc.facts["hours"],
        "Minutes": doc.facts["minutes"],
        "Description": "On site",
    }
