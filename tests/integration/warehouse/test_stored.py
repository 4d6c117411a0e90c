"""Which of some ids have a row: asked for by id, so that nobody fetches a million to look for one."""

from __future__ import annotations

import pytest

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import entity_named
from qbo_pipeline.warehouse.stored import StoredBooks
from tests.support.quickbooks import REALM


@pytest.mark.parametrize("name", ["Invoice", "ExchangeRate", "RecurringTransaction"])
def test_of_the_ids_that_are_asked_for_those_with_a_row_are_present(loaded: Books, name: str) -> None:
    entity, stored = entity_named(name), StoredBooks(loaded.engine, REALM)
    ids = stored.ids(entity)
    some = set(sorted(ids)[:2])
    assert len(some) == 2
    assert stored.present(entity, some | {"no such id", ""}) == some
    assert stored.present(entity, ids) == ids
    assert stored.present(entity, ()) == set()
    assert stored.count(entity) == len(ids)


def test_rows_of_another_company_are_not_this_ones(loaded: Books) -> None:
    entity = entity_named("Invoice")
    ids = StoredBooks(loaded.engine, REALM).ids(entity)
    another = StoredBooks(loaded.engine, "another")
    assert (another.present(entity, ids), another.count(entity)) == (set(), 0)
