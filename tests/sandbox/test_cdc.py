"""Change data capture over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.hand import Sandbox

DAY = 86_400


@pytest.fixture
def realm(sandbox: Sandbox) -> str:
    sandbox.control("POST", "/clock", {"at": "2026-12-01T12:00:00-08:00", "freeze": True})
    return sandbox.empty_company()


def _create(entity: str, **record: Any) -> dict[str, Any]:
    return {"op": "create", "entity": entity, "record": record}


def _cdc(sandbox: Sandbox, realm: str, entities: str, since: str = "2026-12-01T00:00:00-08:00") -> Any:
    answer = sandbox.call("GET", "cdc", realm=realm, params={"entities": entities, "changedSince": since})
    return answer.json()


def _blocks(answer: Any) -> dict[str, Any]:
    (response,) = answer["CDCResponse"]
    return {name: block for block in response["QueryResponse"] for name in block if isinstance(block[name], list)}


def test_changes_come_whole_and_deletes_as_stubs_after_them(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(_create("Bill", Line=[]), _create("Bill", Line=[]), realm=realm)
    sandbox.control("POST", "/clock", {"advance_seconds": 60})
    sandbox.edit({"op": "delete", "entity": "Bill", "id": made[0]["Id"]}, realm=realm)
    block = _blocks(_cdc(sandbox, realm, "Bill"))["Bill"]
    assert list(block) == ["Bill", "startPosition", "maxResults", "totalCount"]
    live, stub = block["Bill"]
    assert live["Id"] == made[1]["Id"]
    assert stub == {
        "domain": "QBO",
        "status": "Deleted",
        "Id": made[0]["Id"],
        "MetaData": {"LastUpdatedTime": "2026-12-01T12:01:00-08:00"},
    }


def test_an_entity_without_changes_is_an_empty_block(sandbox: Sandbox, realm: str) -> None:
    assert _cdc(sandbox, realm, "Invoice,Customer")["CDCResponse"] == [{"QueryResponse": [{}, {}]}]
    sandbox.control("POST", "/settings", {"cdc_unchanged": "omit"})
    assert _cdc(sandbox, realm, "Invoice,Customer")["CDCResponse"] == [{"QueryResponse": [{}]}]


def test_a_change_in_the_very_second_asked_for_is_included(sandbox: Sandbox, realm: str) -> None:
    sandbox.edit(_create("Term", Name="Net 9"), realm=realm)
    now = "2026-12-01T12:00:00-08:00"
    assert "Term" in _blocks(_cdc(sandbox, realm, "Term", now))
    sandbox.control("POST", "/settings", {"cdc_inclusive": False})
    assert _blocks(_cdc(sandbox, realm, "Term", now)) == {}


def test_a_thousand_objects_at_most_and_stubs_are_cut_first(sandbox: Sandbox, realm: str) -> None:
    made = sandbox.edit(*[_create("Bill", Line=[]) for _ in range(1003)], realm=realm)
    sandbox.edit(*[{"op": "delete", "entity": "Bill", "id": each["Id"]} for each in made[:5]], realm=realm)
    sandbox.edit(_create("Term", Name="Net 9"), realm=realm)
    block = _blocks(_cdc(sandbox, realm, "Bill"))["Bill"]
    assert (len(block["Bill"]), block["totalCount"]) == (1000, 1003)
    assert sum(row.get("status") == "Deleted" for row in block["Bill"]) == 2
    assert "Term" not in _blocks(_cdc(sandbox, realm, "Bill,Term"))
    sandbox.control("POST", "/settings", {"cdc_cap_scope": "entity"})
    assert "Term" in _blocks(_cdc(sandbox, realm, "Bill,Term"))


def test_inactive_names_are_changes_too(sandbox: Sandbox, realm: str) -> None:
    (made,) = sandbox.edit(_create("Customer", DisplayName="Copse"), realm=realm)
    sandbox.edit({"op": "deactivate", "entity": "Customer", "id": made["Id"]}, realm=realm)
    (row,) = _blocks(_cdc(sandbox, realm, "customer"))["Customer"]["Customer"]
    assert (row["Active"], row["DisplayName"]) == (False, "Copse (deleted)")


def test_what_change_data_capture_refuses(sandbox: Sandbox, realm: str) -> None:
    for entities in ("TaxCode", "Invoice,TaxRate", "JournalCode", "Nonsense"):
        error = _cdc(sandbox, realm, entities)["Fault"]["Error"][0]
        assert (error["code"], error["Message"]) == ("500", "Unsupported Operation")
    old = "2026-10-30T00:00:00-07:00"
    assert _cdc(sandbox, realm, "Invoice", old)["Fault"]["Error"][0]["Detail"] == (
        f"Operation cdc with changedSince date {old} which is older than fixed days is not supported."
    )
    sandbox.control("POST", "/settings", {"cdc_too_old": "serve", "cdc_unsupported": "omit"})
    assert "CDCResponse" in _cdc(sandbox, realm, "Invoice,TaxRate", old)


@pytest.mark.parametrize(("knob", "shown"), [("stub", "Deleted"), ("inactive", False), ("nothing", None)])
def test_a_merge_shows_as_the_knob_says_and_repoints_transactions(
    sandbox: Sandbox, realm: str, knob: str, shown: object
) -> None:
    sandbox.control("POST", "/settings", {"cdc_merge": knob})
    winner, loser = sandbox.edit(*[_create("Customer", DisplayName=name) for name in ("Ash", "Oak")], realm=realm)
    (invoice,) = sandbox.edit(_create("Invoice", CustomerRef={"value": loser["Id"]}, Line=[]), realm=realm)
    merge = {"op": "merge", "entity": "Customer", "id": loser["Id"], "into": winner["Id"]}
    assert sandbox.edit(merge, realm=realm)[0]["repointed"] == 1
    answer = sandbox.call("GET", f"invoice/{invoice['Id']}", realm=realm).json()["Invoice"]
    assert answer["CustomerRef"] == {"value": winner["Id"], "name": "Ash"}
    rows = _blocks(_cdc(sandbox, realm, "Customer"))["Customer"]["Customer"]
    found: dict[str, Any] = next((row for row in rows if row["Id"] == loser["Id"]), {})
    assert found.get("status", found.get("Active")) == shown
