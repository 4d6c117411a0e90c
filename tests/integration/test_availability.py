"""What a company's plan or region does not have: noted, no failure, asked for once a week, and loaded once it is there.

Which refusals say so is for ``tests/unit/qbo/test_faults.py``; here is what becomes of them. Only a sync of everything
leaves out what it knows to be lacking, and only where that matters is everything synced: it takes its time.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, Entity, entity_named
from qbo_pipeline.sync.outcome import Outcome
from tests.support.quickbooks import Sandbox

BUDGET, CUSTOMER = entity_named("Budget"), entity_named("Customer")
#: Companies of few records, because nothing here depends on many.
ONE, OTHER = "9130000000000301", "9130000000000302"
BUDGET_RECORD = {"Name": "Next year", "BudgetDetail": [{"Amount": 12, "BudgetDate": "2027-01-01"}]}


@pytest.fixture
def one(books: Books, quickbooks: Sandbox) -> str:
    """A connected company with a budget."""
    return connected(books, quickbooks, ONE)


def connected(books: Books, quickbooks: Sandbox, realm: str) -> str:
    quickbooks.tell("/companies", {"realm": realm, "name": f"Company {realm[-1]}"})
    quickbooks.edit({"op": "create", "entity": "Budget", "record": BUDGET_RECORD}, realm=realm)
    quickbooks.edit({"op": "create", "entity": "Customer", "record": {"DisplayName": "Ann"}}, realm=realm)
    quickbooks.connect(books, realm)
    return realm


def lacks(quickbooks: Sandbox, *entities: str, how: str = "5020") -> None:
    quickbooks.tell("/settings", {"unavailable": list(entities), "unavailable_fault": how})


def sync(books: Books, quickbooks: Sandbox, realm: str, *entities: Entity) -> tuple[Outcome, int]:
    """Sync an hour after the last time; return the outcome and how often QuickBooks was asked for budgets."""
    quickbooks.tell("/clock", {"advance_seconds": 3600})
    quickbooks.tell("/calls", method="DELETE")
    outcome = books.sync(realm, entities or ENTITIES, trigger="test")
    assert outcome.failed == []
    calls = [call for call in quickbooks.calls() if call["realm"] == realm]
    assert len(calls) == outcome.calls, "the log is of this sync"
    # After an hour the token is refused first, which is no question about budgets.
    return outcome, sum(call["entity"] == "Budget" and call["status"] != 401 for call in calls)


def notes(books: Books) -> list[tuple[str, str, str]]:
    """Return what is noted as lacking: company, entity and reason."""
    text = "SELECT realm_id, entity, reason FROM quickbooks.unavailable_entities ORDER BY 1, 2"
    with books.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(text))]


def noted(books: Books) -> list[str]:
    return [f"{realm}/{entity}" for realm, entity, _ in notes(books)]


def days_pass(books: Books, days: float) -> None:
    """Let the notes be older; their table goes by the clock of Postgres, which no test can move."""
    text = "UPDATE quickbooks.unavailable_entities SET asked_at = asked_at - make_interval(secs => :seconds)"
    with books.engine.begin() as connection:
        connection.execute(sa.text(text), {"seconds": days * 86400})


def is_fresh(books: Books) -> bool:
    """Say whether all notes are of today."""
    text = "SELECT bool_and(asked_at > now() - interval '1 day') FROM quickbooks.unavailable_entities"
    with books.engine.connect() as connection:
        return bool(connection.execute(sa.text(text)).scalar_one())


def budgets(books: Books, realm: str) -> int:
    return books.row_count("budgets", realm)


@pytest.mark.parametrize("how", ["5020", "5030", "unsupported", "unknown"])
def test_a_refused_entity_is_noted_and_is_no_failure(books: Books, quickbooks: Sandbox, one: str, how: str) -> None:
    lacks(quickbooks, "Budget", how=how)
    outcome, asked = sync(books, quickbooks, one, BUDGET, CUSTOMER)
    assert list(outcome.unavailable) == ["Budget"]
    assert asked == 1, "a refusal is not asked for again at once"
    ((realm, entity, reason),) = notes(books)
    assert (realm, entity) == (one, "Budget")
    assert "plan or region does not have it" in reason
    assert reason == outcome.unavailable["Budget"]
    assert (budgets(books, one), books.row_count("customers", one)) == (0, 1), "everything else is loaded"
    (status,) = books.statuses()
    assert (status.last_run.status, status.next_action) == ("succeeded", "none")  # type: ignore[union-attr]


@pytest.mark.slow
def test_it_is_asked_for_again_after_a_week_and_not_before(books: Books, quickbooks: Sandbox, one: str) -> None:
    lacks(quickbooks, "Budget")
    first, asked = sync(books, quickbooks, one)
    assert asked == 1
    assert books.company(one).initial_load_at is not None, "what it lacks keeps no first load from being complete"
    second, asked = sync(books, quickbooks, one)
    assert asked == 0
    assert second.unavailable == first.unavailable, "the report still says that it is lacking"
    assert len(second.entities) == len(ENTITIES)
    days_pass(books, 6.9)
    assert sync(books, quickbooks, one)[1] == 0
    days_pass(books, 0.2)
    outcome, asked = sync(books, quickbooks, one)
    assert (asked, list(outcome.unavailable)) == (1, ["Budget"])
    assert noted(books) == [f"{one}/Budget"]
    assert is_fresh(books), "the week begins anew"


def test_who_names_the_entity_has_it_asked_for_anyway(books: Books, quickbooks: Sandbox, one: str) -> None:
    lacks(quickbooks, "Budget")
    sync(books, quickbooks, one, BUDGET)
    days_pass(books, 6.5)
    sync(books, quickbooks, one, CUSTOMER)
    assert noted(books) == [f"{one}/Budget"], "asking for something else says nothing about it"
    assert not is_fresh(books)
    outcome, asked = sync(books, quickbooks, one, CUSTOMER, BUDGET)
    assert (asked, list(outcome.unavailable)) == (1, ["Budget"])
    assert is_fresh(books), "the answer to the one who named it counts as well"


def test_what_became_available_is_loaded_when_somebody_names_it(books: Books, quickbooks: Sandbox, one: str) -> None:
    lacks(quickbooks, "Budget")
    sync(books, quickbooks, one, BUDGET)
    lacks(quickbooks)
    outcome, _ = sync(books, quickbooks, one, BUDGET)
    assert (outcome.unavailable, notes(books)) == ({}, [])
    assert (budgets(books, one), books.row_count("budget_details", one)) == (1, 1)


@pytest.mark.slow
def test_what_became_available_is_loaded_after_a_week_by_itself(books: Books, quickbooks: Sandbox, one: str) -> None:
    lacks(quickbooks, "Budget")
    sync(books, quickbooks, one, BUDGET)
    lacks(quickbooks)
    days_pass(books, 7.1)
    outcome, asked = sync(books, quickbooks, one)
    assert (outcome.unavailable, notes(books), asked) == ({}, [], 2), "counted, and read"
    assert (budgets(books, one), books.row_count("budget_details", one)) == (1, 1)


def test_what_was_loaded_before_a_plan_was_given_up_stays_and_goes_on_after(
    books: Books, quickbooks: Sandbox, one: str
) -> None:
    sync(books, quickbooks, one, BUDGET)
    lacks(quickbooks, "Budget")
    outcome, _ = sync(books, quickbooks, one, BUDGET)
    assert list(outcome.unavailable) == ["Budget"]
    assert budgets(books, one) == 1
    quickbooks.edit({"op": "create", "entity": "Budget", "record": BUDGET_RECORD | {"Name": "Meanwhile"}}, realm=one)
    lacks(quickbooks)
    outcome, _ = sync(books, quickbooks, one, BUDGET)
    assert [each.records for each in outcome.entities] == [1], "only what is new: the cursor waited"
    assert budgets(books, one) == 2


@pytest.mark.slow
def test_other_companies_are_asked_and_loaded(books: Books, quickbooks: Sandbox, one: str) -> None:
    other = connected(books, quickbooks, OTHER)
    lacks(quickbooks, f"{one}/Budget")
    sync(books, quickbooks, one, BUDGET)
    outcome, asked = sync(books, quickbooks, other)
    assert (outcome.unavailable, asked) == ({}, 2)
    assert (budgets(books, one), budgets(books, other)) == (0, 1)
    assert noted(books) == [f"{one}/Budget"], "what the other has says nothing about the first"
