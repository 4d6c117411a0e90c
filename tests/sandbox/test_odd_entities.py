"""Entities with rules of their own: rates, templates, tax classifications, files, and what a company does not have."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.sandbox.hand import REALM, Sandbox


def listed(sandbox: Sandbox, path: str, **params: str) -> list[str]:
    found = sandbox.call("GET", path, params=params).json()["QueryResponse"]
    return [row["id"] for row in found.get("TaxClassification", [])]


# --- exchange rates


def test_rates_are_asked_for_by_currency(sandbox: Sandbox) -> None:
    code, detail = sandbox.fault("select * from ExchangeRate")
    assert (code, "SourceCurrencyCode" in detail) == ("4001", True)
    assert sandbox.fault("select * from ExchangeRate where AsOfDate = '2026-01-01'")[0] == "4001"
    rows = sandbox.query("select * from ExchangeRate where sourcecurrencycode in ('CAD') maxresults 1000")
    rates = rows["QueryResponse"]["ExchangeRate"]
    assert len(rates) == 30
    assert {(rate["SourceCurrencyCode"], rate["TargetCurrencyCode"]) for rate in rates} == {("CAD", "USD")}
    assert all("Id" not in rate and rate["Rate"] > 0 for rate in rates)


def test_rates_can_be_narrowed_to_days_and_counted(sandbox: Sandbox) -> None:
    days = sorted(each["AsOfDate"] for each in sandbox.books()["ExchangeRate"] if each["SourceCurrencyCode"] == "CAD")
    where = f"where SourceCurrencyCode in ('CAD') and AsOfDate >= '{days[3]}' and AsOfDate <= '{days[5]}'"
    found = sandbox.query(f"select * from ExchangeRate {where}")["QueryResponse"]["ExchangeRate"]
    assert sorted(each["AsOfDate"] for each in found) == days[3:6]
    assert sandbox.query(f"select count(*) from ExchangeRate {where}")["QueryResponse"]["totalCount"] == 3


def test_a_single_rate_is_the_last_one_up_to_a_day(sandbox: Sandbox) -> None:
    days = sorted(each["AsOfDate"] for each in sandbox.books()["ExchangeRate"] if each["SourceCurrencyCode"] == "CAD")
    found = sandbox.call("GET", "exchangerate", params={"sourcecurrencycode": "CAD"}).json()["ExchangeRate"]
    assert found["AsOfDate"] == days[-1]
    early = sandbox.call("GET", "exchangerate", params={"sourcecurrencycode": "CAD", "asofdate": "1999-01-01"})
    assert early.status_code == 400


def test_a_rate_is_edited_by_its_natural_key_and_keeps_it(sandbox: Sandbox) -> None:
    before = next(each for each in sandbox.books()["ExchangeRate"] if each["SourceCurrencyCode"] == "CAD")
    key = f"CAD/USD/{before['AsOfDate']}"
    sandbox.edit({"op": "update", "entity": "ExchangeRate", "id": key, "record": {"Rate": 9.5}})
    after = next(
        each
        for each in sandbox.books()["ExchangeRate"]
        if (each["SourceCurrencyCode"], each["AsOfDate"]) == ("CAD", before["AsOfDate"])
    )
    assert (after["Rate"], after["SyncToken"], "Id" in after) == (9.5, "1", False)
    assert after["MetaData"]["LastUpdatedTime"] > before["MetaData"]["LastUpdatedTime"]


# --- recurring templates


def test_templates_come_wrapped_in_their_kind(sandbox: Sandbox) -> None:
    rows = sandbox.query("select * from RecurringTransaction")["QueryResponse"]["RecurringTransaction"]
    assert sorted(kind for row in rows for kind in row) == ["Bill", "Bill", "Invoice"]
    for row in rows:
        ((_, inner),) = row.items()
        assert inner["RecurringInfo"]["Name"]
        assert inner["RecurDataRef"]["value"] == inner["Id"]


def test_templates_are_found_by_kind_and_have_ids_of_their_own(sandbox: Sandbox) -> None:
    (row,) = sandbox.query("select * from RecurringTransaction where Type = 'Invoice'")["QueryResponse"][
        "RecurringTransaction"
    ]
    key = row["Invoice"]["Id"]
    assert sandbox.call("GET", f"recurringtransaction/{key}").json()["RecurringTransaction"] == row
    sandbox.edit({"op": "update", "entity": "RecurringTransaction", "id": key, "record": {"TotalAmt": 7}})
    after = sandbox.call("GET", f"recurringtransaction/{key}").json()["RecurringTransaction"]
    assert (list(after), after["Invoice"]["TotalAmt"]) == (["Invoice"], 7)


# --- tax classifications


def test_classifications_are_listed_not_queried(sandbox: Sandbox) -> None:
    assert sandbox.fault("select * from TaxClassification")[0] == "4001"
    everything = listed(sandbox, "taxclassification")
    roots = listed(sandbox, "taxclassification", level="1")
    assert (len(everything), len(roots)) == (6, 2)
    children = listed(sandbox, f"taxclassification/{roots[0]}/children")
    assert len(children) == 2
    assert set(children) | set(roots) < set(everything)
    one = sandbox.call("GET", f"taxclassification/{children[0]}").json()["TaxClassification"]
    assert (one["id"], one["ParentRef"]["value"], "MetaData" in one) == (children[0], roots[0], False)
    assert listed(sandbox, "taxclassification/none/children") == []
    assert sandbox.call("GET", "taxclassification/a/b/c").status_code == 400


# --- files of attachments


def attached(sandbox: Sandbox) -> dict[str, Any]:
    rows = sandbox.query("select * from Attachable")["QueryResponse"]["Attachable"]
    return next(row for row in rows if "FileName" in row)


def test_every_reading_gives_another_address_good_for_fifteen_minutes(sandbox: Sandbox) -> None:
    first, second = attached(sandbox), attached(sandbox)
    read = sandbox.call("GET", f"attachable/{first['Id']}").json()["Attachable"]
    text = sandbox.call("GET", f"download/{first['Id']}")
    assert text.headers["content-type"].startswith("text/plain")
    addresses = [first["TempDownloadUri"], second["TempDownloadUri"], read["TempDownloadUri"], text.text]
    assert len(set(addresses)) == 4
    for address in addresses:
        answer = requests.get(address, timeout=30)
        assert (answer.status_code, len(answer.content)) == (200, first["Size"])
    sandbox.control("POST", "/clock", {"advance_seconds": 901})
    assert [requests.get(address, timeout=30).status_code for address in addresses] == [403] * 4
    assert "TempDownloadUri" not in str(sandbox.books()["Attachable"]), "the address is no part of the books"


def test_a_file_is_refused_to_whoever_brings_a_token_or_changes_the_address(sandbox: Sandbox) -> None:
    address = attached(sandbox)["TempDownloadUri"]
    assert requests.get(address, headers={"Authorization": "Bearer x"}, timeout=30).status_code == 400
    assert requests.get(address[:-2] + "00", timeout=30).status_code == 403
    plain = address.split("?")[0]
    for odd in (plain, f"{plain}?Expires=x&Nonce=1&Signature=2", address.replace(REALM, "9130000000000002")):
        assert requests.get(odd, timeout=30).status_code == 403


def test_a_note_has_no_file_and_a_projection_no_address(sandbox: Sandbox) -> None:
    note = next(row for row in sandbox.books()["Attachable"] if "Note" in row)
    missing = sandbox.call("GET", f"download/{note['Id']}")
    assert (missing.status_code, missing.json()["Fault"]["Error"][0]["code"]) == (400, "610")
    assert sandbox.call("GET", "download/1/2").status_code == 400
    rows = sandbox.query("select Id, FileName from Attachable")["QueryResponse"]["Attachable"]
    assert all("TempDownloadUri" not in row for row in rows)


def test_a_download_is_metered_and_the_file_itself_is_not(sandbox: Sandbox) -> None:
    address = sandbox.call("GET", f"download/{attached(sandbox)['Id']}").text
    requests.get(address, timeout=30)
    asked, fetched = sandbox.control("GET", "/calls")["calls"][-2:]
    assert (asked["metered"], fetched["metered"]) == (True, False)
    assert fetched["path"].startswith(urlsplit(address).path[:6])


# --- what a company does not have


@pytest.mark.parametrize(
    ("how", "code"), [("5020", "5020"), ("5030", "5030"), ("unsupported", "500"), ("unknown", "4001")]
)
def test_an_entity_can_be_taken_away(sandbox: Sandbox, how: str, code: str) -> None:
    sandbox.control("POST", "/settings", {"unavailable": ["Budget", "TaxClassification"], "unavailable_fault": how})
    assert sandbox.fault("select * from Budget")[0] == code
    assert sandbox.fault("select count(*) from Budget")[0] == code
    for path in ("budget/1", "taxclassification", "taxclassification/V1-00020000"):
        answer = sandbox.call("GET", path)
        assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, code)
    today = sandbox.control("GET", "/clock")["time"][:10]
    for entity, status in (("Budget", 400), ("Term", 200)):
        answer = sandbox.call("GET", "cdc", params={"entities": entity, "changedSince": today})
        assert answer.status_code == status
    assert sandbox.ids("select * from Term"), "everything else is there"


def test_an_entity_can_be_taken_away_from_one_company(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/settings", {"unavailable": ["9130000000000009/Budget"]})
    assert sandbox.ids("select * from Budget")
    realm = sandbox.empty_company()
    answer = sandbox.call("GET", "query", realm=realm, params={"query": "select * from Budget"})
    assert answer.json()["Fault"]["Error"][0]["code"] == "5020"
