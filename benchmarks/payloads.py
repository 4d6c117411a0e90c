"""Invoices as QuickBooks sends them: about 3.7 KB each, five lines, by number and without any waiting.

A few hundred invoices are written out once, with holes for what tells one from another; an invoice is one of those with
its holes filled. Invoice ``n`` was made and last touched ``n`` seconds after ``BEGINNING``, so that a condition on time
is a range of numbers.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

PACIFIC_WINTER = timezone(timedelta(hours=-8))
#: A million seconds from here it is still winter, so one offset serves them all.
BEGINNING = datetime(2024, 1, 1, tzinfo=PACIFIC_WINTER)
_SHAPES = 250
_LINES = 5


def invoice(number: int, *, touched: datetime | None = None) -> bytes:
    """Return invoice ``number`` (from 1) as JSON; one that was ``touched`` since says so in three of its fields."""
    made = (BEGINNING + timedelta(seconds=number)).isoformat()
    updated = touched.astimezone(PACIFIC_WINTER).isoformat(timespec="seconds") if touched else made
    token, memo = ("1", "edited") if touched else ("0", "thank you")
    day = made[:10]
    texts = (day, str(number), token, made, updated, str(number), memo)
    return _TEMPLATES[number % _SHAPES] % tuple(text.encode() for text in texts)


def _record(shape: int) -> dict[str, Any]:
    lines = [_line(shape, position) for position in range(_LINES)]
    total = sum(int(line["Amount"].strip("<>").replace(".", "")) for line in lines)
    return {
        "AllowIPNPayment": False,
        "AllowOnlinePayment": False,
        "AllowOnlineCreditCardPayment": False,
        "AllowOnlineACHPayment": False,
        "domain": "QBO",
        "sparse": False,
        "TxnDate": "<day>",
        "Id": "<id>",
        "SyncToken": "<token>",
        "MetaData": {
            "CreateTime": "<made>",
            "LastModifiedByRef": {"value": "9130350000000001"},
            "LastUpdatedTime": "<updated>",
        },
        "CustomField": [{"DefinitionId": "1", "Name": "Crew #", "Type": "StringType", "StringValue": f"{shape:03}"}],
        "DocNumber": "<number>",
        "CurrencyRef": {"value": "USD", "name": "United States Dollar"},
        "ExchangeRate": "<1>",
        "LinkedTxn": [{"TxnId": str(shape + 7), "TxnType": "Payment"}] if shape % 3 == 0 else [],
        "Line": lines,
        "TxnTaxDetail": {
            "TxnTaxCodeRef": {"value": "2"},
            "TotalTax": "<0>",
            "TaxLine": [
                {
                    "Amount": "<0>",
                    "DetailType": "TaxLineDetail",
                    "TaxLineDetail": {
                        "TaxRateRef": {"value": "3"},
                        "PercentBased": True,
                        "TaxPercent": "<8>",
                        "NetAmountTaxable": "<0>",
                    },
                }
            ],
        },
        "CustomerRef": {"value": str(shape % 97 + 1), "name": f"Amy's Bird Sanctuary & Müller {shape % 97}"},
        "CustomerMemo": {"value": "Thank you for your business and have a great day!"},
        "BillAddr": _address(shape, 2),
        "ShipAddr": _address(shape, 3),
        "ShipFromAddr": _address(shape, 4),
        "FreeFormAddress": True,
        "ShipMethodRef": {"value": "UPS", "name": "UPS"},
        "ShipDate": "2024-02-01",
        "TrackingNum": f"1Z{shape:010}",
        "SalesTermRef": {"value": "3", "name": "Net 30"},
        "ClassRef": {"value": str(shape % 5), "name": "Landscaping"},
        "DepartmentRef": {"value": "1", "name": "North"},
        "DueDate": "2024-03-02",
        "TotalAmt": f"<{_money(total)}>",
        "HomeTotalAmt": f"<{_money(total)}>",
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "EmailSent",
        "BillEmail": {"Address": f"Birds{shape}@Intuit.com"},
        "DeliveryInfo": {"DeliveryType": "Email", "DeliveryTime": "2024-02-01T08:00:00-08:00"},
        "PrivateNote": "<memo>",
        "GlobalTaxCalculation": "TaxExcluded",
        "Balance": f"<{_money(total // (shape % 4 + 1))}>",
        "HomeBalance": f"<{_money(total)}>",
        "Deposit": "<0>",
    }


def _line(shape: int, position: int) -> dict[str, Any]:
    quantity, price = shape % 7 + position + 1, 1250 + 37 * shape + position
    return {
        "Id": str(position + 1),
        "LineNum": position + 1,
        "Description": f'Weekly gardening service, visit {position + 1} of {shape}: "beds", lawn, hedge',
        "Amount": f"<{_money(quantity * price)}>",
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "ItemRef": {"value": str((shape + position) % 40 + 1), "name": f"Gardening:Service {shape % 40}"},
            "ClassRef": {"value": str(shape % 5), "name": "Landscaping"},
            "UnitPrice": f"<{_money(price)}>",
            "Qty": f"<{quantity}>",
            "ItemAccountRef": {"value": "45", "name": "Landscaping Services"},
            "TaxCodeRef": {"value": "NON" if position % 2 else "TAX"},
            "ServiceDate": "2024-01-31",
        },
    }


def _address(shape: int, number: int) -> dict[str, Any]:
    return {
        "Id": str(shape * 10 + number),
        "Line1": f"{4500 + shape} Serra Road",
        "Line2": "Suite 12",
        "City": "Bayshore",
        "Country": "USA",
        "CountrySubDivisionCode": "CA",
        "PostalCode": "94326",
        "Lat": "INVALID",
        "Long": "INVALID",
    }


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _template(shape: int) -> bytes:
    text = json.dumps(_record(shape), ensure_ascii=False, separators=(",", ":"))
    assert "%" not in text
    for hole in ("<day>", "<id>", "<token>", "<made>", "<updated>", "<number>", "<memo>"):
        assert text.count(hole) == 1
        text = text.replace(hole, "%b")
    # What is left in angle brackets are numbers, to be written with the very digits they have here.
    return text.replace('"<', "").replace('>"', "").encode()


_TEMPLATES = [_template(shape) for shape in range(_SHAPES)]
