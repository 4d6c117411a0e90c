"""Reads, changes and faults as the local QuickBooks serves them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qbo_pipeline.errors import (
    NotFoundError,
    RejectedError,
    RetryableError,
    ThrottledError,
    UnauthorizedError,
)
from qbo_pipeline.qbo.paging import changed_pages
from qbo_pipeline.qbo.query import Condition, Select
from tests.contract.conftest import Connection, Sandbox

Record = dict[str, Any]


def decoded(records: list[msgspec.Raw]) -> list[Record]:
    return [json.loads(bytes(record)) for record in records]


def read_all(
    company: Connection, entity: str, *, inactive_too: bool = False, page_size: int = 50, **window: Any
) -> list[Record]:
    pages = changed_pages(
        company.client, entity, inactive_too=inactive_too, page_size=page_size, **{"since": None, **window}
    )
    return [record for page in pages for record in decoded(page.records)]


def ids(records: list[Record]) -> set[str]:
    return {str(record["Id"]) for record in records}


def truth(sandbox: Sandbox, company: Connection, entity: str) -> set[str]:
    """Ids of every record the sandbox holds, from its remote control and not from its API."""
    held = sandbox.tell(f"/books/{company.realm}")
    found = held.get("entities", held)[entity]
    records = found.get("records", found) if isinstance(found, dict) else found
    return {str(record["Id"]) for record in (records.values() if isinstance(records, dict) else records)}


@pytest.mark.parametrize("entity", ["Invoice", "Payment", "Account"])
def test_every_page_is_read_and_every_record_is_in_one(sandbox: Sandbox, company: Connection, entity: str) -> None:
    found = read_all(company, entity, inactive_too=entity == "Account")
    assert ids(found) == truth(sandbox, company, entity)
    assert len(found) == len(ids(found))
    assert company.client.count(
        entity, [Condition("Active", "in", (True, False))] if entity == "Account" else []
    ) == len(found)


def test_an_answer_carries_quickbooks_own_clock(sandbox: Sandbox, company: Connection) -> None:
    answer = company.client.query(Select("Invoice").page(1, 5))
    assert answer.time is not None
    now = datetime.fromisoformat(sandbox.tell("/clock")["time"])
    assert abs(answer.time - now) < timedelta(minutes=1)
    assert len(answer.records) == 5


def test_a_record_is_read_by_its_id_exactly_as_a_query_gives_it(company: Connection) -> None:
    (record,) = company.client.query(Select("Invoice").page(1, 1)).records
    answer = company.client.read("invoice", json.loads(bytes(record))["Id"])
    assert answer.entity == "Invoice"
    assert json.loads(bytes(answer.record)) == json.loads(bytes(record))


def test_the_company_and_its_preferences_are_read(company: Connection) -> None:
    assert company.client.company_info().entity == "CompanyInfo"
    assert company.client.read("preferences").entity == "Preferences"


def test_a_statement_too_long_for_a_url_is_understood(company: Connection) -> None:
    (record,) = decoded(company.client.query(Select("Invoice").page(1, 1)).records)
    wanted = [record["Id"], *(str(number) for number in range(10_000_000, 10_000_600))]
    found = company.client.query(Select("Invoice").where("Id", "in", wanted)).records
    assert decoded(found) == [record]


def test_names_with_quotes_and_backslashes_are_found(sandbox: Sandbox, company: Connection) -> None:
    names = ["O'Brien & Söhne", "back\\slash", "ends with \\", "it\\'s", "100% 'sure'", "日本 + Co"]
    for name in names:
        sandbox.edit(company.realm, {"op": "create", "entity": "Customer", "record": {"DisplayName": name}})
    for name in names:
        found = decoded(company.client.query(Select("Customer").where("DisplayName", "=", name)).records)
        assert [record["DisplayName"] for record in found] == [name]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_out_of_its_string(company: Connection, text: str) -> None:
    """T6: whatever a value holds, QuickBooks parses one condition and finds nothing by that name."""
    assert company.client.query(Select("Customer").where("DisplayName", "=", f"no such {text}")).records == []


def test_a_deleted_invoice_is_not_found_and_shows_as_a_stub(sandbox: Sandbox, company: Connection) -> None:
    (record,) = decoded(company.client.query(Select("Invoice").page(1, 1)).records)
    before = datetime.fromisoformat(sandbox.tell("/clock")["time"]) - timedelta(seconds=5)
    sandbox.edit(company.realm, {"op": "delete", "entity": "Invoice", "id": record["Id"]})
    with pytest.raises(NotFoundError) as caught:
        company.client.read("invoice", record["Id"])
    assert caught.value.code == "610"
    answer = company.client.cdc(["Customer", "Invoice", "Bill"], before)
    assert [stub.id for stub in answer.deleted["Invoice"]] == [record["Id"]]
    assert record["Id"] not in ids(decoded(answer.records.get("Invoice", [])))


def test_changes_of_many_entities_come_in_one_call(sandbox: Sandbox, company: Connection) -> None:
    since = datetime.fromisoformat(sandbox.tell("/clock", {"advance_seconds": 3600})["time"])
    sandbox.tell("/clock", {"advance_seconds": 5})
    quiet = company.client.cdc(["Invoice", "Customer", "Payment"], since)
    assert (quiet.records, quiet.deleted, quiet.total, quiet.is_truncated) == ({}, {}, 0, False)
    customer = decoded(company.client.query(Select("Customer").page(1, 1)).records)[0]
    sandbox.edit(company.realm, {"op": "update", "entity": "Customer", "id": customer["Id"], "record": {"Notes": "x"}})
    company.calls.clear()
    answer = company.client.cdc(["Invoice", "Customer", "Payment"], since)
    assert ids(decoded(answer.records["Customer"])) == {customer["Id"]}
    assert [(call.kind, call.counted) for call in company.calls] == [("cdc", True)]


def test_a_thousand_changes_are_recognised_as_truncated(sandbox: Sandbox, company: Connection) -> None:
    answer = company.client.cdc(["Invoice"], datetime.fromisoformat(sandbox.tell("/clock")["time"]) - timedelta(days=1))
    assert not answer.is_truncated
    create = {"op": "create", "entity": "Customer"}
    sandbox.edit(company.realm, *({**create, "record": {"DisplayName": f"Imported {n}"}} for n in range(1001)))
    since = datetime.fromisoformat(sandbox.tell("/clock")["time"]) - timedelta(minutes=5)
    assert company.client.cdc(["Customer"], since).is_truncated
    assert {
        record["DisplayName"] for record in read_all(company, "Customer", inactive_too=True, since=since, page_size=300)
    } >= {f"Imported {n}" for n in range(1001)}


def test_a_change_too_old_for_cdc_is_refused_with_quickbooks_words(sandbox: Sandbox, company: Connection) -> None:
    with pytest.raises(RejectedError, match="older"):
        company.client.cdc(["Invoice"], datetime.fromisoformat(sandbox.tell("/clock")["time"]) - timedelta(days=40))


def test_a_statement_quickbooks_does_not_understand_is_rejected_once(company: Connection) -> None:
    with pytest.raises(RejectedError) as caught:
        company.client.query(Select("Invoice").where("NoSuchProperty", "=", "x"))
    assert caught.value.code == "4001"
    assert caught.value.intuit_tid
    assert len(company.calls) == 1


# --- editing between pages


@pytest.mark.parametrize("page_size", [7, 50])
def test_an_invoice_edited_between_pages_is_not_lost(sandbox: Sandbox, company: Connection, page_size: int) -> None:
    """R4. The sandbox edits after every page; each edit moves an invoice to the end of the order."""
    throughout = sorted(truth(sandbox, company, "Invoice"), key=int)
    found: set[str] = set()
    pages = changed_pages(company.client, "Invoice", since=None, inactive_too=False, page_size=page_size)
    for number, page in enumerate(pages):
        found |= ids(decoded(page.records))
        if number < 60:
            sandbox.tell("/clock", {"advance_seconds": 2})
            victims = throughout[number::61][:3]
            sandbox.edit(company.realm, *({"op": "touch", "entity": "Invoice", "id": victim} for victim in victims))
    assert found >= set(throughout)


def test_offset_paging_would_lose_invoices_here_too(sandbox: Sandbox, company: Connection) -> None:
    """Negative control: the test above can see the loss it guards against."""
    throughout = truth(sandbox, company, "Invoice")
    select = Select("Invoice").ordered_by("MetaData.LastUpdatedTime")
    found: set[str] = set()
    position = 1
    while records := decoded(company.client.query(select.page(position, 50)).records):
        found |= ids(records)
        position += 50
        sandbox.tell("/clock", {"advance_seconds": 2})
        sandbox.edit(
            company.realm, *({"op": "touch", "entity": "Invoice", "id": record["Id"]} for record in records[:3])
        )
    assert throughout - found


def test_an_import_into_one_second_is_read_completely(sandbox: Sandbox, company: Connection) -> None:
    """R1. The sandbox's clock stands still while 130 customers are created; pages hold 50."""
    sandbox.tell("/clock", {"freeze": True})
    create = {"op": "create", "entity": "Customer"}
    sandbox.edit(company.realm, *({**create, "record": {"DisplayName": f"Twin {n}"}} for n in range(130)))
    sandbox.tell("/clock", {"freeze": False})
    found = read_all(company, "Customer", inactive_too=True)
    assert ids(found) == truth(sandbox, company, "Customer")


def test_an_inactive_customer_is_read_when_asked_for(sandbox: Sandbox, company: Connection) -> None:
    customer = decoded(company.client.query(Select("Customer").page(1, 1)).records)[0]
    sandbox.edit(company.realm, {"op": "deactivate", "entity": "Customer", "id": customer["Id"]})
    assert customer["Id"] not in ids(read_all(company, "Customer"))
    assert customer["Id"] in ids(read_all(company, "Customer", inactive_too=True))


# --- faults


@pytest.mark.parametrize(
    "fault",
    [
        "http_500",
        "http_500_xml",
        "http_502_html",
        "http_503",
        "http_503_html",
        "http_504_html",
        "http_429",
        "http_429_html",
        "retry_after",
        "fault_200",
        "drop_connection",
        "truncate",
        "truncated_json",
        "corrupt_gzip",
        "drip",
    ],
)
def test_one_fault_is_overcome(sandbox: Sandbox, company: Connection, fault: str) -> None:
    sandbox.break_calls(fault, match={"path": "query"}, times=1, seconds=30, at=120)
    assert len(company.client.query(Select("Invoice").page(1, 20)).records) == 20
    assert len(company.calls) == 2
    assert company.calls[1].counted
    assert company.waits


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("http_500", RetryableError),
        ("http_503_html", RetryableError),
        ("http_429", ThrottledError),
        ("http_429_html", ThrottledError),
        ("http_401", UnauthorizedError),
        ("http_403", RejectedError),
        ("fault_200", RetryableError),
        ("text_200", RejectedError),
        ("truncated_json", RetryableError),
        ("corrupt_gzip", RetryableError),
    ],
)
def test_a_fault_that_lasts_becomes_its_error(
    sandbox: Sandbox, company: Connection, fault: str, expected: type[Exception]
) -> None:
    sandbox.break_calls(fault, match={"path": "query"}, times=0)
    token = company.grant.access_token
    with pytest.raises(expected) as caught:
        company.client.query(Select("Invoice").page(1, 20), page=1)
    assert "reading page 1 of Invoice for company" in str(caught.value)
    assert token not in str(caught.value)
    assert len(company.calls) <= 5


def test_a_poisoned_record_fails_the_page_and_not_the_client(sandbox: Sandbox, company: Connection) -> None:
    (record,) = decoded(company.client.query(Select("Invoice").page(1, 1)).records)
    sandbox.tell("/settings", {"poisoned": [f"Invoice/{record['Id']}"]})
    with pytest.raises(RejectedError) as caught:
        company.client.query(Select("Invoice").page(1, 1))
    assert caught.value.code == "4002"


def test_quickbooks_own_throttle_is_obeyed(sandbox: Sandbox, company: Connection) -> None:
    sandbox.tell("/settings", {"throttle": True, "throttle_per_second": 3, "retry_after": 7})
    sandbox.tell("/clock", {"freeze": True})  # this second lasts, however slow the machine
    for _ in range(3):
        company.client.query(Select("Invoice").page(1, 1))
    with pytest.raises(ThrottledError) as caught:
        company.client.query(Select("Invoice").page(1, 1))
    assert caught.value.retry_after == 7
    assert sum(call.status == 429 for call in company.calls) == 5
    assert all(not call.counted for call in company.calls if call.status == 429)


# --- tokens on the way


def test_an_expired_token_is_renewed_in_the_middle_of_a_read(sandbox: Sandbox, company: Connection) -> None:
    found: set[str] = set()
    for number, page in enumerate(
        changed_pages(company.client, "Invoice", since=None, inactive_too=False, page_size=50)
    ):
        found |= ids(decoded(page.records))
        if number == 1:
            sandbox.tell("/tokens/expire", {})
    assert found == truth(sandbox, company, "Invoice")
    assert company.refreshes == 1
    assert [call.status for call in company.calls].count(401) == 1


def test_what_the_sandbox_saw_is_what_we_counted(sandbox: Sandbox, company: Connection) -> None:
    sandbox.tell("/calls", method="DELETE")
    sandbox.break_calls("http_503", match={"path": "query"}, times=1)
    read_all(company, "Invoice")
    company.client.company_info()
    seen = sandbox.tell("/calls")["calls"]
    assert [(call["status"], call["metered"]) for call in seen] == [
        (call.status, call.counted) for call in company.calls
    ]
    assert {call["method"] for call in seen} == {"GET"}
