"""What tests of the token chain look at, and how they let time pass."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from qbo_pipeline.books import Books
from tests.support.quickbooks import REALM, Sandbox


def refreshes(quickbooks: Sandbox) -> list[dict[str, Any]]:
    return [call for call in quickbooks.calls() if call["path"].endswith("/tokens/bearer")]


def stored_refresh_token(books: Books) -> str:
    """Return what a refresh would present."""
    lease = books.token_store.claim(REALM, "somebody curious")
    assert lease is not None
    books.token_store.release(lease)
    return str(lease.refresh_token and lease.refresh_token[:])


def lease_ends(books: Books) -> None:
    """Let the time pass that a lease outlives whoever held it, or that a next attempt waits for."""
    with books.engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE quickbooks.connections SET lease_until = lease_until - interval '1 hour', "
                "retry_at = retry_at - interval '1 hour'"
            )
        )


def minutes_until_asked_again(books: Books) -> int:
    """Return how long a refresh is not due after one that failed, and let that time pass."""
    assert books.due_for_refresh() == []
    wait = books.token_store.read(REALM).retry_in
    assert wait is not None
    lease_ends(books)
    assert [each.realm_id for each in books.due_for_refresh()] == [REALM]
    return round(wait.total_seconds() / 60)


def row(books: Books, columns: str, table: str = "connections") -> Any:
    with books.engine.connect() as connection:
        return connection.execute(sa.text(f"SELECT {columns} FROM quickbooks.{table}")).one()


def execute(books: Books, statement: str, **values: Any) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def renewed(books: Books) -> str:
    """Refresh, wanted or not."""
    return books.keeper.access_token(REALM, refused=books.token_store.read(REALM).access_token)
