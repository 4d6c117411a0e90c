"""Books that change while they are read."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest

from qbo_pipeline.sandbox.books import Books, inner
from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.entities import BY_NAME
from qbo_pipeline.sandbox.generator import generate
from qbo_pipeline.sandbox.links import paid
from qbo_pipeline.sandbox.mutations import mutate
from qbo_pipeline.sandbox.settings import Settings
from tests.sandbox.hand import REALM, Sandbox

KINDS = ("edit", "insert", "delete", "void", "deactivate")


def order(sandbox: Sandbox, **rule: Any) -> None:
    sandbox.control("POST", "/faults", {"fault": "mutate_books", **rule})


def rule(sandbox: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.control("GET", "/faults")["rules"][0]
    return found


def walk(sandbox: Sandbox, pages: int = 6) -> list[list[str]]:
    """Read some pages, and return the Ids of each."""
    return [
        sandbox.ids(f"select * from Invoice orderby Id startposition {1 + 20 * page} maxresults 20")
        for page in range(pages)
    ]


def test_every_answer_is_followed_by_one_change(sandbox: Sandbox) -> None:
    before = sandbox.books()
    order(sandbox, seed=7, match={"path": "query", "entity": "Invoice"})
    asked = sandbox.query("select * from Invoice orderby Id maxresults 1000")["QueryResponse"]["Invoice"]
    assert asked == sorted(before["Invoice"], key=lambda row: int(row["Id"])), "the answer comes first"
    assert sum(rule(sandbox)["changes"].values()) == 1
    assert sandbox.books() != before
    walk(sandbox, 5)
    sandbox.query("select count(*) from Invoice")
    sandbox.query("select * from Term")
    sandbox.call("GET", f"invoice/{before['Invoice'][0]['Id']}")
    found = rule(sandbox)
    assert (found["matched"], found["broken"], sum(found["changes"].values())) == (7, 7, 7)
    assert set(found["changes"]) <= {"edit", "insert", "delete"}


def test_the_same_seed_makes_the_same_changes(sandbox: Sandbox) -> None:
    def history(seed: int) -> tuple[list[list[str]], dict[str, int]]:
        sandbox.control("POST", "/reset")
        sandbox.tokens.clear()
        order(sandbox, seed=seed, kinds=["edit", "insert", "delete", "void"], per_call=3)
        return walk(sandbox), rule(sandbox)["changes"]

    first = history(7)
    assert history(7) == first
    assert history(8) != first
    assert sum(first[1].values()) == 18


def test_chance_decides_after_which_answers(sandbox: Sandbox) -> None:
    order(sandbox, seed=7, probability=0.3)
    walk(sandbox, 12)
    assert 0 < rule(sandbox)["broken"] < 12


def test_change_data_capture_is_followed_by_a_change_too(sandbox: Sandbox) -> None:
    order(sandbox, seed=1, kinds=["insert"], match={"path": "cdc"})
    before = {name: len(rows) for name, rows in sandbox.books().items()}
    since = sandbox.control("GET", "/clock")["time"]
    for _ in range(8):
        sandbox.call("GET", "cdc", params={"entities": "Term,CreditCardPayment", "changedSince": since})
    after = {name: len(rows) for name, rows in sandbox.books().items()}
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert set(grown) == {"Term", "CreditCardPaymentTxn"}
    assert sum(grown.values()) == 8


def test_it_strikes_beside_the_rule_that_breaks_the_reply(sandbox: Sandbox) -> None:
    order(sandbox, seed=1)
    sandbox.control("POST", "/faults", {"fault": "short_page", "times": 0, "match": {"path": "query"}})
    order(sandbox, seed=2)
    assert len(walk(sandbox, 1)[0]) == 10
    assert sandbox.control("GET", "/faults")["ledger"] == {"mutate_books": 2, "short_page": 1}
    assert sandbox.control("GET", "/calls")["calls"][-1]["fault"] == "mutate_books + short_page + mutate_books"


def test_what_cannot_be_done_is_counted_as_nothing(sandbox: Sandbox) -> None:
    before = sandbox.books()
    order(sandbox, kinds=["delete", "void"], match={"entity": "Customer"})
    sandbox.query("select * from Customer")
    assert rule(sandbox)["changes"] == {"nothing": 1}
    assert sandbox.books() == before


# --- every entity, in process


@pytest.fixture(scope="module")
def company() -> Books:
    return generate(REALM, Clock(), seed=3, invoices=60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entity", sorted(BY_NAME))
def test_what_can_be_done_to_an_entity_is_done_well(company: Books, entity: str, kind: str) -> None:
    books = company.twin(company.clock)
    before = dict(books.table(entity).records)
    done = [mutate(books, {entity.lower()}, [kind], random.Random(seed), Settings()) for seed in range(5)]
    after, facts = books.table(entity).records, BY_NAME[entity]
    possible = {
        "edit": facts.stamped,
        "insert": facts.kind != "company" and facts.stamped,
        "delete": facts.delete == "hard",
        "void": bool(facts.void),
        "deactivate": facts.has_active,
    }[kind]
    assert any(done) == (possible and bool(before))
    keys = [each[2] for each in done if each]
    for key in dict.fromkeys(keys):
        if kind == "insert":
            assert key not in before
            assert inner(after[key].payload())["SyncToken"] == "0"
        elif kind == "delete":
            assert key not in after
            assert key in books.table(entity).tombstones
        else:
            assert after[key].sync_token > before[key].sync_token
            assert kind != "deactivate" or not after[key].active
    assert len(after) == len(before) + {"insert": len(keys), "delete": -len(keys)}.get(kind, 0)


@pytest.mark.parametrize("entity", ["Customer", "Vendor", "Account", "Item", "Class", "Term"])
def test_a_copy_has_a_name_of_its_own(company: Books, entity: str) -> None:
    books = company.twin(company.clock)
    for seed in range(30):
        mutate(books, [entity], ["insert"], random.Random(seed), Settings())
    names = [each.payload()[BY_NAME[entity].name_field] for each in books.table(entity).records.values()]
    assert len(names) == len(set(names))


def test_a_copy_is_neither_paid_nor_does_it_pay(company: Books) -> None:
    books = company.twin(company.clock)
    for entity in ("Invoice", "Payment", "Bill", "BillPayment", "CreditMemo"):
        for seed in range(20):
            done = mutate(books, [entity], ["insert"], random.Random(seed), Settings())
            assert done is not None
            payload = books.table(entity).records[done[2]].payload()
            assert not payload.get("LinkedTxn")
            assert paid(entity, payload) == {}
            assert "Payment" not in entity or payload["Line"] == []
            assert payload.get("Balance", payload["TotalAmt"]) == payload["TotalAmt"]
            assert payload.get("UnappliedAmt", payload["TotalAmt"]) == payload["TotalAmt"]
    owing = [each.payload()["Balance"] for each in books.table("Invoice").records.values()]
    assert min(owing) >= 0


def test_a_copied_template_and_a_copied_rate_are_of_their_own_kind(company: Books) -> None:
    books = company.twin(company.clock)
    for entity in ("RecurringTransaction", "ExchangeRate"):
        for seed in range(5):
            done = mutate(books, [entity], ["insert"], random.Random(seed), Settings())
            assert done is not None
            payload = books.table(entity).records[done[2]].payload()
            if entity == "ExchangeRate":
                assert date.fromisoformat(payload["AsOfDate"])
                assert "Id" not in payload
            else:
                ((_, template),) = payload.items()
                assert template["RecurDataRef"] == {"value": template["Id"]}
