"""One refresher at a time, across processes, and nothing handed out that is not stored."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.errors import ReauthorizationRequiredError, RetryableError
from qbo_pipeline.tokens import TokenKeeper
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.token_store import TokenStore
from tests.support.quickbooks import REALM, Sandbox

# Every refresh hands out a new token and kills the old one; using a dead one kills the connection for good.
STRICTEST = {"rotation": "every_call", "grace_seconds": 0, "revoke_on_reuse": True}

REFRESHER = """
import sys
from qbo_pipeline.books import Books
from qbo_pipeline.settings import Settings
books = Books(Settings(database_url=sys.argv[1], local_url=sys.argv[2]))
for _ in range(5):
    token = books.keeper.access_token("9130000000000001")
    books.keeper.access_token("9130000000000001", refused=token)
"""


@pytest.fixture
def strict(quickbooks: Sandbox) -> Iterator[Sandbox]:
    before = {name: value for name, value in quickbooks.tell("/tokens/policy").items() if name in STRICTEST}
    quickbooks.tell("/tokens/policy", STRICTEST)
    yield quickbooks
    quickbooks.tell("/tokens/policy", before)


def refreshes(quickbooks: Sandbox) -> list[dict[str, Any]]:
    return [call for call in quickbooks.calls() if call["path"].endswith("/tokens/bearer")]


def test_six_processes_that_refresh_at_once_never_reuse_a_token(
    books: Books, strict: Sandbox, company: Company, database_url: str
) -> None:
    """The old service's read-POST-upsert loses the connection here at the first rotation."""
    strict.tell("/calls", method="DELETE")
    arguments = [sys.executable, "-c", REFRESHER, database_url, strict.url]
    processes = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    problems = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, problems
    assert {call["status"] for call in refreshes(strict)} == {200}
    assert books.sync(None, trigger="test").failed == []


def test_the_new_pair_is_stored_before_anybody_gets_it(books: Books, quickbooks: Sandbox, company: Company) -> None:
    """If storing fails, the caller gets an error and never a token that a crash would lose."""

    class Unwritable(TokenStore):
        def commit(self, *_: Any, **__: Any) -> bool:
            raise sa.exc.OperationalError("COMMIT", None, Exception("connection lost"))

    keeper = TokenKeeper(Unwritable(books.engine), books.oauth)
    token = books.keeper.access_token(REALM)
    with pytest.raises(sa.exc.OperationalError):
        keeper.access_token(REALM, refused=token)


def test_who_was_overtaken_uses_what_is_stored_not_what_it_got(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    """A person reconnects while a refresh is under way: the refresher must not bring its older pair back."""
    store = TokenStore(books.engine)
    lease = store.claim(REALM, "slow refresher")
    assert lease is not None
    quickbooks.connect(books)
    newest = books.keeper.access_token(REALM)
    grant = books.oauth.refresh(lease.refresh_token or "")
    assert store.commit(lease, grant) is False
    assert books.keeper.access_token(REALM) == newest


def test_a_refresher_that_was_overtaken_hands_out_the_newer_token(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    class Overtaken(TokenStore):
        def commit(self, lease: Any, grant: Any, **more: Any) -> bool:
            quickbooks.connect(books)
            return super().commit(lease, grant, **more)

    refused = books.keeper.access_token(REALM)
    token = TokenKeeper(Overtaken(books.engine), books.oauth).access_token(REALM, refused=refused)
    assert token == books.keeper.access_token(REALM)
    assert token != refused


def test_a_token_that_still_works_is_used_while_intuit_is_down(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    token = books.keeper.access_token(REALM)
    with books.engine.begin() as connection:
        for table, column in (("connections", "refreshed_at"), ("tokens", "updated_at")):
            connection.execute(sa.text(f"UPDATE quickbooks.{table} SET {column} = {column} - interval '51 minutes'"))
    quickbooks.tell("/faults", {"match": {"path": "tokens/bearer"}, "times": 1, "fault": "http_503_html"})
    assert books.keeper.access_token(REALM) == token
    assert books.keeper.access_token(REALM) != token, "the next call renews it"


def test_an_expired_token_is_an_error_while_intuit_is_down(books: Books, quickbooks: Sandbox, company: Company) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.tokens SET expires_at = expires_at - interval '2 hours'"))
    quickbooks.tell("/faults", {"match": {"path": "tokens/bearer"}, "times": 1, "fault": "http_503_html"})
    with pytest.raises(RetryableError):
        books.keeper.access_token(REALM)
    assert books.company(None).is_active, "an outage is no reason to disconnect"


def test_a_dead_refresh_token_is_presented_once_and_then_a_person_is_asked(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    quickbooks.tell("/tokens/revoke", {})
    quickbooks.tell("/calls", method="DELETE")
    token = TokenStore(books.engine).read(REALM).access_token
    for _ in range(3):
        with pytest.raises(ReauthorizationRequiredError, match="qbo connect"):
            books.keeper.access_token(REALM, refused=token)
    assert len(refreshes(quickbooks)) == 1


def test_a_refresh_is_due_at_fifty_minutes_or_with_ten_left(books: Books, company: Company) -> None:
    tokens = TokenStore(books.engine).read(REALM)
    assert tokens.expires_in > timedelta(minutes=59)
    assert books.due_for_refresh() == []
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.tokens SET expires_at = expires_at - interval '51 minutes'"))
    assert [each.realm_id for each in books.due_for_refresh()] == [REALM]
