"""The questions and answers that the client's tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.query import Condition, Select
from tests.unit.qbo.fakes import TOKEN, Answer

INVOICES = Select("Invoice").page(1, 1000)
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
ONE = Answer(b'{"QueryResponse":{"Invoice":[{"Id":"1"}]},"time":"2026-11-23T01:02:03.004-08:00"}')
EXPIRED = Answer(
    json.dumps(
        {
            "fault": {
                "error": [
                    {
                        "message": "message=AuthenticationFailed; errorCode=003200; statusCode=401",
                        "detail": f"Token expired: {TOKEN}",
                        "code": "3200",
                    }
                ],
                "type": "AUTHENTICATION",
            }
        }
    ).encode(),
    401,
)
SLOW_DOWN = Answer(b"", 429)


def fault(code: str, status: int = 400, kind: str = "ValidationFault") -> Answer:
    return Answer(json.dumps({"Fault": {"Error": [{"Message": "m", "code": code}], "type": kind}}).encode(), status)


EVERY_WAY_TO_ASK: list[Callable[[QboClient], object]] = [
    lambda client: client.query(INVOICES, page=3),
    lambda client: client.query(Select("Invoice").where("Id", "in", [str(number) for number in range(1000)])),
    lambda client: client.count("Invoice", [Condition("Active", "=", value=True)]),
    lambda client: client.read("invoice", "12"),
    lambda client: client.read("preferences"),
    lambda client: client.company_info(),
    lambda client: client.read_list("TaxClassification"),
    lambda client: client.download_address("5000000000000503624"),
    lambda client: client.cdc(["Invoice", "Customer"], SINCE),
]
