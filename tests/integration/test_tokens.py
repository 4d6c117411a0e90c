"""One refresher at a time, across processes, and nothing handed out that is not stored."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.errors import ReauthorizationRequiredError, RetryableError, WarehouseError
from qbo_pipeline.tokens import TokenKeeper
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.token_store import TokenStore
from tests.support.quickbooks import REALM, Sandbox
from tests.support.tokens import lease_ends, minutes_until_asked_again, refreshes, stored_refresh_token

REFRESHER = """
import sys
from pathlib import Path
from qbo_pipeline.books import Books
from qbo_pipeline.settings import Settings
books = Books(Settings(database_url=sys.argv[1], local_url=sys.argv[2], state_dir=Path(sys.argv[3])))
while books.token_store.read("9130000000000001").generation < 101:
    token = books.keeper.access_token("9130000000000001")
    books.keeper.access_token("9130000000000001", refused=token)
"""


@pytest.fixture
def strict(quickbooks: Sandbox) -> Sandbox:
    quickbooks.tell("/tokens/policy", {"name": "every call, reuse revokes"})
    return quickbooks


@pytest.mark.slow
def test_six_processes_that_refresh_at_once_never_reuse_a_token(
    books: Books, strict: Sandbox, company: Company, database_url: str
) -> None:
    """A hundred rotations. The old service's read-POST-upsert loses the connection here at the first one."""
    # Each answer takes a moment, so that two questions at once would be seen to overlap.
    strict.tell("/faults", {"fault": "slow", "seconds": 0.01, "times": 0, "match": {"path": "tokens/bearer"}})
    strict.tell("/calls", method="DELETE")
    arguments = [sys.executable, "-c", REFRESHER, database_url, strict.url, str(books.settings.state_dir)]
    processes = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    problems = [process.communicate(timeout=250)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, problems
    assert {call["status"] for call in refreshes(strict)} == {200}
    server = strict.tell("/tokens")
    assert server["refreshes"] >= 100
    assert (server["most_at_once"], server["reuses"]) == (1, 0)
    assert stored_refresh_token(books) == server["grants"][-1]["refresh_token"]
    assert books.token_store.read(REALM).generation == server["refreshes"] + 1, "none was stored twice, none was lost"
    assert books.oauth.refresh(stored_refresh_token(books)), "and the chain is alive"


def test_the_new_pair_is_stored_before_anybody_gets_it(books: Books, quickbooks: Sandbox, company: Company) -> None:
    """If storing fails, the caller gets an error and never a token that a crash would lose; the spool has it."""

    class Unwritable(TokenStore):
        def commit(self, *_: Any, **__: Any) -> bool:
            raise sa.exc.OperationalError("COMMIT", None, Exception("connection lost"))

    keeper = TokenKeeper(Unwritable(books.engine, books.custody), books.oauth, books.spool, commit_patience=0)
    token = books.keeper.access_token(REALM)
    with pytest.raises(WarehouseError, match="spooled on this machine, and the next refresh stores them"):
        keeper.access_token(REALM, refused=token)
    assert books.token_store.read(REALM).access_token == token
    lease_ends(books)
    quickbooks.tell("/calls", method="DELETE")
    (spooled,) = books.spool.pairs(REALM, _chain(books))
    assert books.keeper.access_token(REALM, refused=token) == spooled.access_token
    assert refreshes(quickbooks) == [], "nobody had to ask again"


def _chain(books: Books) -> str:
    with books.engine.connect() as connection:
        return str(connection.execute(sa.text("SELECT chain FROM quickbooks.connections")).scalar_one())


def test_who_was_overtaken_uses_what_is_stored_not_what_it_got(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    """A person reconnects while a refresh is under way: the refresher must not bring its older pair back."""
    store = books.token_store
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
    token = TokenKeeper(Overtaken(books.engine, books.custody), books.oauth, books.spool).access_token(
        REALM, refused=refused
    )
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look a second time at once."""
    monkeypatch.setattr("qbo_pipeline.tokens._SECOND_LOOK", 0)


def test_a_refused_refresh_token_is_asked_about_on_a_schedule_and_then_a_person_is_asked(
    books: Books, quickbooks: Sandbox, company: Company, impatient: None
) -> None:
    quickbooks.tell("/tokens/revoke", {})
    quickbooks.tell("/calls", method="DELETE")
    token = books.token_store.read(REALM).access_token
    waits = []
    for _ in range(6):
        for _ in range(3):  # a run that needs a token for every entity asks once
            with pytest.raises(RetryableError, match="connect it again now with 'qbo connect'"):
                books.keeper.access_token(REALM, refused=token)
        waits.append(minutes_until_asked_again(books))
    assert waits == [1, 5, 15, 60, 60, 60]
    with pytest.raises(ReauthorizationRequiredError, match="qbo connect"):
        books.keeper.access_token(REALM, refused=token)
    for _ in range(2):
        with pytest.raises(ReauthorizationRequiredError, match="No data is lost"):
            books.keeper.access_token(REALM)
    assert len(refreshes(quickbooks)) == 7 * 2
    assert not books.company(None).is_active
    assert books.due_for_refresh() == []


def test_while_a_token_is_suspect_the_access_token_is_used_until_it_ends(
    books: Books, quickbooks: Sandbox, company: Company, impatient: None
) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.tokens SET expires_at = expires_at - interval '52 minutes'"))
    token = books.token_store.read(REALM).access_token
    quickbooks.tell("/faults", {"match": {"path": "tokens/bearer"}, "times": 2, "fault": "invalid_grant"})
    assert books.keeper.access_token(REALM) == token
    assert books.token_store.read(REALM).state == "suspect"
    assert books.company(None).is_active
    lease_ends(books)
    assert books.keeper.access_token(REALM) != token
    assert books.token_store.read(REALM).state == "active"


def test_a_refresh_is_due_at_fifty_minutes_or_with_ten_left(books: Books, company: Company) -> None:
    tokens = books.token_store.read(REALM)
    assert tokens.expires_in > timedelta(minutes=59)
    assert books.due_for_refresh() == []
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.tokens SET expires_at = expires_at - interval '51 minutes'"))
    assert [each.realm_id for each in books.due_for_refresh()] == [REALM]
