"""Late visibility: queries, counts and change data capture see a write only a while after it was made."""

from __future__ import annotations

from typing import Any

import pytest

from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.settings import Settings, changed
from qbo_pipeline.sandbox.visibility import seen
from tests.sandbox.hand import REALM, Sandbox

NOON = "2026-12-01T12:00:00-08:00"
BILLS = "select * from Bill orderby MetaData.LastUpdatedTime, Id maxresults 1000"


@pytest.fixture
def realm(sandbox: Sandbox) -> str:
    """A company with three bills written long before noon, and ten seconds until a write is seen."""
    sandbox.control("POST", "/clock", {"at": "2026-12-01T10:00:00-08:00", "freeze": True})
    realm = sandbox.empty_company()
    sandbox.edit(*[{"op": "create", "entity": "Bill", "record": bill(number)} for number in (1, 2, 3)], realm=realm)
    sandbox.control("POST", "/clock", {"at": NOON})
    sandbox.control("POST", "/settings", {"visible_after_seconds": 10})
    return realm


def bill(number: int) -> dict[str, Any]:
    return {"Id": str(number), "DocNumber": f"B{number}", "TotalAmt": number, "Line": []}


def edit(sandbox: Sandbox, realm: str, operation: str, key: str, **more: Any) -> None:
    sandbox.edit({"op": operation, "entity": "Bill", "id": key, **more}, realm=realm)


def wait(sandbox: Sandbox, seconds: float) -> None:
    sandbox.control("POST", "/clock", {"advance_seconds": seconds})


def captured(sandbox: Sandbox, realm: str, since: str = NOON) -> list[tuple[str, str]]:
    """Return Ids and what stands for them: a document number, or Deleted."""
    answer = sandbox.call("GET", "cdc", realm=realm, params={"entities": "Bill", "changedSince": since}).json()
    rows = answer["CDCResponse"][0]["QueryResponse"][0].get("Bill", [])
    return [(row["Id"], row.get("status", row.get("DocNumber"))) for row in rows]


def counted(sandbox: Sandbox, realm: str) -> int:
    found: int = sandbox.query("select count(*) from Bill", realm=realm)["QueryResponse"]["totalCount"]
    return found


def numbers(sandbox: Sandbox, realm: str, statement: str = BILLS) -> list[str]:
    return [row["DocNumber"] for row in sandbox.query(statement, realm=realm)["QueryResponse"].get("Bill", [])]


def test_what_was_written_long_ago_is_seen(sandbox: Sandbox, realm: str) -> None:
    assert numbers(sandbox, realm) == ["B1", "B2", "B3"]


def test_a_new_record_is_seen_only_later(sandbox: Sandbox, realm: str) -> None:
    sandbox.edit({"op": "create", "entity": "Bill", "record": bill(4)}, realm=realm)
    wait(sandbox, 9)
    assert (sandbox.ids(BILLS, realm=realm), counted(sandbox, realm)) == (["1", "2", "3"], 3)
    assert captured(sandbox, realm) == []
    wait(sandbox, 1)
    assert (sandbox.ids(BILLS, realm=realm), counted(sandbox, realm)) == (["1", "2", "3", "4"], 4)
    assert captured(sandbox, realm) == [("4", "B4")]


def test_an_edit_leaves_the_version_before_until_then(sandbox: Sandbox, realm: str) -> None:
    edit(sandbox, realm, "update", "1", record={"DocNumber": "NEW", "TotalAmt": 50})
    filters = ["where DocNumber = 'NEW'", f"where MetaData.LastUpdatedTime >= '{NOON}'", "where TotalAmt > '10'"]
    statements = [f"select * from Bill {each}" for each in filters]
    assert [sandbox.ids(each, realm=realm) for each in statements] == [[], [], []]
    assert numbers(sandbox, realm) == ["B1", "B2", "B3"], "neither its place nor its content has moved"
    assert sandbox.ids("select * from Bill where DocNumber = 'B1'", realm=realm) == ["1"]
    assert captured(sandbox, realm, "2026-12-01T09:00:00-08:00")[0] == ("1", "B1")
    wait(sandbox, 10)
    assert [sandbox.ids(each, realm=realm) for each in statements] == [["1"], ["1"], ["1"]]
    assert numbers(sandbox, realm) == ["B2", "B3", "NEW"]
    assert captured(sandbox, realm) == [("1", "NEW")]


def test_a_deleted_record_lives_on_until_then_and_has_no_stub(sandbox: Sandbox, realm: str) -> None:
    edit(sandbox, realm, "delete", "2")
    assert (numbers(sandbox, realm), counted(sandbox, realm)) == (["B1", "B2", "B3"], 3)
    assert captured(sandbox, realm) == []
    wait(sandbox, 10)
    assert (numbers(sandbox, realm), counted(sandbox, realm)) == (["B1", "B3"], 2)
    assert captured(sandbox, realm) == [("2", "Deleted")]


def test_a_restored_record_keeps_its_stub_until_then(sandbox: Sandbox, realm: str) -> None:
    edit(sandbox, realm, "delete", "2")
    wait(sandbox, 10)
    edit(sandbox, realm, "restore", "2")
    assert captured(sandbox, realm) == [("2", "Deleted")]
    wait(sandbox, 10)
    assert captured(sandbox, realm) == [("2", "B2")]


def test_each_write_has_its_own_moment(sandbox: Sandbox, realm: str) -> None:
    """Three versions, six seconds apart: the middle one is seen for a while, and nothing ever goes back."""
    seen = []
    for second in range(0, 20, 2):
        if second in {0, 6}:
            edit(sandbox, realm, "update", "3", record={"DocNumber": f"at {second}"})
        seen.append(numbers(sandbox, realm, "select * from Bill where Id = '3'")[0])
        wait(sandbox, 2)
    assert seen == ["B3"] * 5 + ["at 0"] * 3 + ["at 6"] * 2


@pytest.mark.parametrize(
    ("entity", "operations"),
    [
        ("Customer", [{"op": "deactivate", "entity": "Customer", "id": "1"}]),
        ("Customer", [{"op": "merge", "entity": "Customer", "id": "1", "into": "2"}]),
        ("Invoice", [{"op": "void", "entity": "Invoice", "id": "7"}]),
        ("Customer", [{"op": "void", "entity": "Invoice", "id": "7"}]),
        ("Invoice", [{"op": "update", "entity": "Invoice", "id": "7", "record": {"TotalAmt": 1}, "silent": True}]),
    ],
)
def test_every_way_to_write_is_seen_later(
    sandbox: Sandbox, realm: str, entity: str, operations: list[dict[str, Any]]
) -> None:
    sandbox.edit(
        *[{"op": "create", "entity": "Customer", "record": {"Id": key, "DisplayName": key}} for key in "12"],
        {"op": "create", "entity": "Invoice", "record": {"Id": "7", "TotalAmt": 5, "CustomerRef": {"value": "1"}}},
        realm=realm,
    )
    wait(sandbox, 10)
    statement = f"select * from {entity} {'where Active in (true, false)' if entity == 'Customer' else ''} orderby Id"
    before = sandbox.query(statement, realm=realm)["QueryResponse"]
    sandbox.edit(*operations, realm=realm)
    assert sandbox.query(statement, realm=realm)["QueryResponse"] == before
    wait(sandbox, 10)
    assert sandbox.query(statement, realm=realm)["QueryResponse"] != before


def test_reads_by_id_and_the_ground_truth_never_lag(sandbox: Sandbox, realm: str) -> None:
    edit(sandbox, realm, "update", "1", record={"DocNumber": "NEW"})
    edit(sandbox, realm, "delete", "2")
    assert sandbox.call("GET", "bill/1", realm=realm).json()["Bill"]["DocNumber"] == "NEW"
    assert sandbox.call("GET", "bill/2", realm=realm).status_code == 400
    truth = sandbox.control("GET", f"/books/{realm}")
    assert [row["DocNumber"] for row in truth["entities"]["Bill"]] == ["NEW", "B3"]
    assert [row["Id"] for row in truth["deleted"]["Bill"]] == ["2"]


def test_a_write_through_the_api_is_late_too_and_so_is_what_a_batch_asks(sandbox: Sandbox, realm: str) -> None:
    vendor = {"DisplayName": "Alder"}
    made = sandbox.call("POST", "vendor", realm=realm, json=vendor).json()["Vendor"]
    items = [{"bId": "1", "Query": "select * from Vendor"}]
    items += [{"bId": "2", "CDCQuery": {"Entities": "Vendor", "ChangedSince": NOON}}]  # type: ignore[dict-item]

    def asked() -> str:
        return sandbox.call("POST", "batch", realm=realm, json={"BatchItemRequest": items}).text

    assert made["DisplayName"] not in asked()
    wait(sandbox, 10)
    assert asked().count(made["DisplayName"]) >= 2


def test_with_a_seed_every_write_waits_a_share_of_its_own(sandbox: Sandbox, realm: str) -> None:
    def arrivals(seed: int | None) -> list[int]:
        """Return how many of forty new bills are seen after each of ten seconds."""
        sandbox.control("POST", "/settings", {"visible_after_seconds": 10, "visible_after_seed": seed})
        seen = []
        for second in range(10):
            sandbox.control("POST", "/clock", {"at": f"2026-12-02T00:00:{second:02d}-08:00"})
            seen.append(counted(sandbox, realm) - 3)
        return seen

    sandbox.control("POST", "/clock", {"at": "2026-12-02T00:00:00-08:00"})
    sandbox.edit(*[{"op": "create", "entity": "Bill", "record": {"Line": []}} for _ in range(40)], realm=realm)
    first = arrivals(7)
    assert first == sorted(first)
    assert len(set(first)) > 4, "they come one after the other"
    assert first == arrivals(7)
    assert first != arrivals(8)
    assert arrivals(None) == [0] * 10


def test_pages_of_one_moment_belong_together(sandbox: Sandbox, realm: str) -> None:
    """Results are remembered between pages; those of another moment must not be served."""
    statement = "select * from Bill orderby DocNumber"
    for step in range(6):
        edit(sandbox, realm, "update", "1", record={"DocNumber": f"A{step}"})
        assert numbers(sandbox, realm, statement)[0] == ("B1" if step == 0 else f"A{step - 1}")
        wait(sandbox, 10)
        assert numbers(sandbox, realm, statement)[0] == f"A{step}"


def test_no_two_moments_are_taken_for_one() -> None:
    """A view that is gone may leave its address to the next one, so its number must tell them apart."""
    books = Books(REALM, "Late", Clock())
    books.keep("Bill", bill(1))
    late = changed(Settings(), {"visible_after_seconds": 3600})
    assert len({seen(books.table("Bill"), late).number for _ in range(5)} | {books.table("Bill").number}) == 6


def test_a_company_that_is_added_has_no_newest_writes(sandbox: Sandbox, realm: str) -> None:
    sandbox.control("POST", "/companies", {"realm": "77", "seed": 3, "invoices": 20})
    assert counted(sandbox, realm) == 3
    assert sandbox.query("select count(*) from Invoice", realm="77")["QueryResponse"]["totalCount"] == 20


@pytest.mark.parametrize("wrong", [{"visible_after_seconds": -1}, {"visible_after_seconds": 3601}])
def test_a_delay_it_cannot_keep_is_refused(sandbox: Sandbox, wrong: dict[str, int]) -> None:
    assert sandbox.control("POST", "/settings", wrong, status=400)["error"]
