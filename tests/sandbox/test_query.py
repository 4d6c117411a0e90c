"""Querying over HTTP, as a client would."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.hand import REALM, Sandbox

ANYTIME = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_page_has_rows_counters_and_a_time(sandbox: Sandbox) -> None:
    answer = sandbox.query("select * from Invoice")
    assert list(answer) == ["QueryResponse", "time"]
    page = answer["QueryResponse"]
    assert list(page) == ["Invoice", "startPosition", "maxResults"]
    assert (page["startPosition"], page["maxResults"], len(page["Invoice"])) == (1, 100, 100)


def test_a_page_past_the_end_is_an_empty_object(sandbox: Sandbox) -> None:
    assert sandbox.query("select * from Invoice startposition 5000")["QueryResponse"] == {}


def test_count_answers_with_a_total_only(sandbox: Sandbox) -> None:
    assert sandbox.query("select count(*) from Invoice")["QueryResponse"] == {"totalCount": 200}


def test_pages_together_hold_every_invoice_once(sandbox: Sandbox) -> None:
    seen: list[str] = []
    for start in range(1, 400, 37):
        seen += sandbox.ids(
            f"select * from Invoice orderby MetaData.LastUpdatedTime startposition {start} maxresults 37"
        )
    assert sorted(seen) == sorted(row["Id"] for row in sandbox.books()["Invoice"])


def test_a_page_holds_a_thousand_at_most(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/companies", {"realm": "77", "invoices": 1200})
    assert len(sandbox.ids("select * from Invoice maxresults 5000", realm="77")) == 1000
    sandbox.control("POST", "/settings", {"max_results_over": "fault"})
    assert sandbox.query("select * from Invoice maxresults 5000", realm="77", status=400)


@pytest.mark.parametrize("clause", ["maxresults 0", "startposition 0"])
def test_a_position_below_one_is_too_small(sandbox: Sandbox, clause: str) -> None:
    detail = "QueryValidationError: value 0 is too small. Min allowed value is 1"
    assert sandbox.fault(f"select * from Invoice {clause}") == ("4001", detail)


def test_a_statement_may_come_as_the_body_of_a_post(sandbox: Sandbox) -> None:
    headers = {"Content-Type": "application/text"}
    answer = sandbox.call("POST", "query", data="select * from Term orderby Name", headers=headers).json()
    assert [term["Name"] for term in answer["QueryResponse"]["Term"]] == [
        "Due on receipt",
        "Net 15",
        "Net 30",
        "Net 60",
    ]


def test_inactive_names_show_only_when_active_is_mentioned(sandbox: Sandbox) -> None:
    everyone = sandbox.ids("select * from Customer where Active in (true, false) maxresults 1000")
    active = sandbox.ids("select * from Customer maxresults 1000")
    inactive = sandbox.ids("select * from Customer where Active = false")
    assert inactive
    assert sorted(everyone) == sorted(active + inactive)


def test_times_compare_as_instants_whatever_their_offset(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/clock", {"at": "2026-12-01T12:00:00-08:00", "freeze": True})
    sandbox.edit({"op": "create", "entity": "Customer", "record": {"DisplayName": "Noon"}})
    for same in ("2026-12-01T12:00:00-08:00", "2026-12-01T20:00:00Z", "2026-12-01T12:00:00"):
        assert len(sandbox.ids(f"select * from Customer where MetaData.LastUpdatedTime >= '{same}'")) == 1
        assert sandbox.ids(f"select * from Customer where MetaData.LastUpdatedTime > '{same}'") == []


def test_times_follow_pacific_daylight_saving(sandbox: Sandbox) -> None:
    for at, offset in (("2027-01-15T00:00:00Z", "-08:00"), ("2027-07-15T00:00:00Z", "-07:00")):
        sandbox.control("POST", "/clock", {"at": at, "freeze": True})
        sandbox.connect()
        assert sandbox.query("select * from Term")["time"].endswith(offset)


def test_filters_find_what_they_say(sandbox: Sandbox) -> None:
    books = sandbox.books()
    invoice = books["Invoice"][0]
    customer = invoice["CustomerRef"]["value"]
    same = [row["Id"] for row in books["Invoice"] if row["CustomerRef"]["value"] == customer]
    assert sorted(sandbox.ids(f"select * from Invoice where CustomerRef = '{customer}' maxresults 1000")) == sorted(
        same
    )
    owing = [row["Id"] for row in books["Invoice"] if row["Balance"] > 0]
    assert sorted(sandbox.ids("select * from Invoice where Balance > '0' maxresults 1000")) == sorted(owing)
    wanted = [invoice["Id"], books["Invoice"][5]["Id"]]
    assert sorted(sandbox.ids(f"select * from Invoice where Id in ('{wanted[0]}', '{wanted[1]}')")) == sorted(wanted)
    names = sandbox.query("select DisplayName from Customer where DisplayName like '%an%'")["QueryResponse"]["Customer"]
    assert names
    assert all("an" in row["DisplayName"].lower() and row["sparse"] is True and len(row) == 2 for row in names)
    assert sandbox.ids("select * from Invoice where TxnDate > CURRENT_DATE") == []


def test_order_by_several_keys(sandbox: Sandbox) -> None:
    rows = sandbox.query("select * from Invoice orderby Balance desc, TxnDate asc maxresults 1000")["QueryResponse"]
    keys = [(-row["Balance"], row["TxnDate"]) for row in rows["Invoice"]]
    assert keys == sorted(keys)


def test_without_an_order_names_come_by_name_and_transactions_newest_first(sandbox: Sandbox) -> None:
    terms = [row["Name"] for row in sandbox.query("select * from PaymentMethod")["QueryResponse"]["PaymentMethod"]]
    assert terms == sorted(terms)
    rows = sandbox.query("select * from Bill maxresults 1000")["QueryResponse"]["Bill"]
    times = [row["MetaData"]["LastUpdatedTime"][:10] for row in rows]
    assert times == sorted(times, reverse=True)
    sandbox.control("POST", "/settings", {"default_order": "id"})
    ids = sandbox.ids("select * from Bill maxresults 1000")
    assert ids == sorted(ids, key=int)


@pytest.mark.parametrize(
    ("statement", "code", "detail"),
    [
        ("select * from Custmoer", "4001", "QueryValidationError: invalid context declaration: Custmoer"),
        ("select * from TaxService", "4001", "QueryValidationError: invalid context declaration: TaxService"),
        (
            "select * from Purchase where PrivateNote = 'x'",
            "4001",
            "QueryValidationError: property 'PrivateNote' is not queryable",
        ),
        (
            "select * from Purchase where Foo = 'x'",
            "4001",
            "QueryValidationError: Property Foo not found for Entity Purchase",
        ),
        (
            "select * from Invoice where Id > '5'",
            "4001",
            "QueryValidationError: Operator > is not supported for property 'Id'",
        ),
        (
            "select BillAddr.City from Customer",
            "4001",
            "QueryValidationError: Property BillAddr.City not found for Entity Customer",
        ),
    ],
)
def test_what_cannot_be_asked_is_error_4001(sandbox: Sandbox, statement: str, code: str, detail: str) -> None:
    assert sandbox.fault(statement) == (code, detail)


@ANYTIME
@given(st.text(max_size=60))
def test_arbitrary_text_never_breaks_the_server(sandbox: Sandbox, text: str) -> None:
    assert sandbox.call("GET", "query", params={"query": text}).status_code == 400
    assert sandbox.call("GET", "query", params={"query": f"select * from Invoice where {text}"}).status_code < 500


def test_singletons_answer_query_and_read(sandbox: Sandbox) -> None:
    assert len(sandbox.query("select * from CompanyInfo")["QueryResponse"]["CompanyInfo"]) == 1
    assert sandbox.call("GET", f"companyinfo/{REALM}").json()["CompanyInfo"]["Id"] == "1"
    assert "Preferences" in sandbox.call("GET", "preferences").json()


def test_a_single_read_finds_the_record_or_610(sandbox: Sandbox) -> None:
    key = sandbox.books()["Invoice"][0]["Id"]
    assert sandbox.call("GET", f"invoice/{key}").json()["Invoice"]["Id"] == key
    missing = sandbox.call("GET", "invoice/999999")
    assert (missing.status_code, missing.json()["Fault"]["Error"][0]["code"]) == (400, "610")


def test_money_is_written_with_two_decimals_and_kept_to_the_digit(sandbox: Sandbox) -> None:
    realm = sandbox.empty_company()
    raw = '{"op":"create","entity":"Invoice","record":{"Line":[],"TotalAmt":120.00,"ExchangeRate":1.10000,"Odd":1e5}}'
    url = f"{sandbox.url}/_sandbox/books/{realm}"
    assert sandbox.session.post(url, data=f"[{raw}]", timeout=30).status_code == 200
    text = sandbox.call("GET", "query", realm=realm, params={"query": "select * from Invoice"}).text
    for written in ('"TotalAmt":120.00', '"ExchangeRate":1.10000', '"Odd":1e5'):
        assert written in text
    generated = sandbox.call("GET", "query", params={"query": "select * from Invoice"}).text
    totals = [row["TotalAmt"] for row in json.loads(generated, parse_float=Decimal)["QueryResponse"]["Invoice"]]
    assert {total.as_tuple().exponent for total in totals} == {-2}


def test_answers_are_zipped_for_those_who_accept_it(sandbox: Sandbox) -> None:
    plain = sandbox.call(
        "GET", "query", params={"query": "select * from Invoice"}, headers={"Accept-Encoding": "identity"}
    )
    zipped = sandbox.call("GET", "query", params={"query": "select * from Invoice"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert plain.json()["QueryResponse"] == zipped.json()["QueryResponse"]


@pytest.mark.parametrize(("code", "status"), [("4002", 400), ("10000", 500)])
def test_a_poisoned_record_spoils_the_pages_that_hold_it(sandbox: Sandbox, code: str, status: int) -> None:
    keys = sandbox.ids("select * from Bill orderby Id maxresults 1000")
    sandbox.control("POST", "/settings", {"poisoned": [f"Bill/{keys[2]}"], "poisoned_code": code})
    for spoilt in ("select * from Bill maxresults 1000", f"select * from Bill where Id = '{keys[2]}'"):
        assert sandbox.query(spoilt, status=status)["Fault"]["Error"][0]["code"] == code
    assert sandbox.ids("select * from Bill orderby Id maxresults 2") == keys[:2]
    assert sandbox.ids("select * from Bill orderby Id startposition 4 maxresults 1000") == keys[3:]
    assert sandbox.query("select count(*) from Bill")["QueryResponse"]["totalCount"] == len(keys)
    assert sandbox.query("select * from Invoice")


def test_a_poisoned_record_may_spoil_every_page_of_its_statement(sandbox: Sandbox) -> None:
    keys = sandbox.ids("select * from Bill orderby Id maxresults 1000")
    sandbox.control("POST", "/settings", {"poisoned": [f"Bill/{keys[-1]}"], "poisoned_scope": "window"})
    assert sandbox.fault("select * from Bill orderby Id maxresults 1")[0] == "4002"
    assert sandbox.ids(f"select * from Bill where Id in ('{keys[0]}', '{keys[1]}')")
    assert sandbox.query("select count(*) from Bill")["QueryResponse"]["totalCount"] == len(keys)


def test_a_projection_may_pass_a_poisoned_record_by(sandbox: Sandbox) -> None:
    keys = sandbox.ids("select * from Bill orderby Id maxresults 1000")
    sandbox.control("POST", "/settings", {"poisoned": [f"Bill/{keys[0]}"]})
    assert sandbox.fault("select Id from Bill")[0] == "4002"
    sandbox.control("POST", "/settings", {"poisoned_projection": False})
    assert sandbox.ids("select Id from Bill orderby Id maxresults 1000") == keys
    assert sandbox.fault("select * from Bill")[0] == "4002"


@pytest.mark.parametrize(
    "wrong",
    [
        {"poisoned_code": "5"},
        {"poisoned_scope": "all"},
        {"poisoned_projection": "no"},
        {"poisoned": ["12"]},
        {"poisoned": ["Unicorn/12"]},
        {"poisoned": ["Bill/"]},
        {"cdc_false_stubs": ["Bill"]},
        {"cdc_duplicates": 1},
        {"cdc_stubs_first": "yes"},
        {"unavailable": ["Unicorn"]},
        {"visible_after_seed": "x"},
    ],
)
def test_what_no_knob_can_be_set_to_is_refused(sandbox: Sandbox, wrong: dict[str, object]) -> None:
    before = sandbox.control("GET", "/settings")
    (knob,) = wrong
    assert knob in sandbox.control("POST", "/settings", wrong, status=400)["error"]
    assert sandbox.control("GET", "/settings") == before


def test_a_projection_names_properties_and_the_two_times(sandbox: Sandbox) -> None:
    first = sandbox.query("select * from Invoice orderby Id maxresults 1")["QueryResponse"]["Invoice"][0]
    asked = "Id, SyncToken, MetaData.LastUpdatedTime"
    rows = sandbox.query(f"select {asked} from Invoice orderby Id")["QueryResponse"]["Invoice"]
    updated = {"LastUpdatedTime": first["MetaData"]["LastUpdatedTime"]}
    assert rows[0] == {"Id": first["Id"], "SyncToken": first["SyncToken"], "MetaData": updated, "sparse": True}
    rows = sandbox.query("select MetaData.CreateTime, MetaData.LastUpdatedTime from Invoice orderby Id")
    assert rows["QueryResponse"]["Invoice"][0] == {"MetaData": first["MetaData"], "sparse": True}
    assert sandbox.fault("select MetaData.CreatedBy from Invoice")[0] == "4001"


def test_a_projected_template_keeps_its_wrapper(sandbox: Sandbox) -> None:
    whole = sandbox.query("select * from RecurringTransaction orderby Id")["QueryResponse"]["RecurringTransaction"]
    rows = sandbox.query("select Id from RecurringTransaction orderby Id")["QueryResponse"]["RecurringTransaction"]
    assert rows == [{kind: {"Id": row[kind]["Id"], "sparse": True}} for row in whole for kind in row]


def test_a_frozen_second_can_hold_more_than_a_page(sandbox: Sandbox) -> None:
    realm = sandbox.empty_company()
    sandbox.control("POST", "/clock", {"at": "2026-12-01T12:00:00-08:00", "freeze": True})
    sandbox.edit(*[{"op": "create", "entity": "Bill", "record": {"Line": []}} for _ in range(1001)], realm=realm)
    where = "where MetaData.LastUpdatedTime = '2026-12-01T12:00:00-08:00' orderby MetaData.LastUpdatedTime, Id"
    pages = [
        sandbox.ids(f"select * from Bill {where} {page} maxresults 1000", realm=realm)
        for page in ("", "startposition 1001")
    ]
    assert [len(page) for page in pages] == [1000, 1]
    assert len({*pages[0], *pages[1]}) == 1001
