"""What keeps a chain of tokens alive: the intent, the spool, time, and no session. Each against a server."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.errors import RejectedError, RetryableError
from qbo_pipeline.tokens import TokenKeeper
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.spool import Pair, Spool
from qbo_pipeline.warehouse.token_store import TokenStore
from tests.support.quickbooks import REALM, Sandbox
from tests.support.tokens import (
    execute,
    lease_ends,
    minutes_until_asked_again,
    refreshes,
    renewed,
    row,
    stored_refresh_token,
)

BEARER = {"path": "tokens/bearer"}


# --- outcome unknown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_connection", "http_503_html", "truncated_json", "corrupt_gzip", "http_429"])
def test_an_answer_that_is_lost_leaves_the_intent_and_the_same_token_is_presented_again(
    books: Books, quickbooks: Sandbox, company: Company, fault: str
) -> None:
    presented = stored_refresh_token(books)
    quickbooks.tell("/faults", {"fault": fault, "match": BEARER, "processed": True, "at": 20})
    with pytest.raises(RetryableError):
        renewed(books)
    assert books.token_store.read(REALM).state == "unknown"
    assert row(books, "intent_at IS NOT NULL, lease_owner, failures") == (True, None, 1)
    lease = books.token_store.claim(REALM, "the next")
    assert lease is not None
    assert lease.refresh_token == presented
    books.token_store.release(lease)
    books.keeper.refresh(REALM)
    assert books.token_store.read(REALM).state == "active"


def test_an_unsettled_chain_is_asked_about_soon_however_fresh_its_token(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    quickbooks.tell("/faults", {"fault": "drop_connection", "match": BEARER, "times": 3})
    waits = []
    for _ in range(3):
        with pytest.raises(RetryableError):
            renewed(books)
        waits.append(minutes_until_asked_again(books))
    assert waits == [1, 2, 4]
    books.refresh(company)
    assert books.due_for_refresh() == []


def test_a_wrong_client_secret_leaves_the_chain_as_it_is(books: Books, quickbooks: Sandbox, company: Company) -> None:
    quickbooks.tell("/faults", {"fault": "invalid_client", "match": BEARER})
    with pytest.raises(RejectedError, match="correct the app's keys"):
        renewed(books)
    assert books.token_store.read(REALM).state == "active"
    assert renewed(books)


# --- the spool ------------------------------------------------------------------------------------------------------


def test_a_pair_is_spooled_before_it_is_committed(books: Books, company: Company) -> None:
    order: list[str] = []

    class Watched(TokenStore):
        def commit(self, *arguments: Any, **more: Any) -> bool:
            order.append("commit")
            return super().commit(*arguments, **more)

    class WatchedSpool(Spool):
        def keep(self, pair: Pair) -> None:
            super().keep(pair)
            order.append("spool")

    spool = WatchedSpool(books.settings.state_dir / "spool", books.custody.vault)
    keeper = TokenKeeper(Watched(books.engine, books.custody), books.oauth, spool)
    keeper.refresh(REALM, refused=books.token_store.read(REALM).access_token)
    assert order == ["spool", "commit"]


def test_a_database_from_a_backup_is_made_good_by_the_spool(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    quickbooks.tell("/tokens/policy", {"name": "every call, reuse revokes"})
    old_connection, old_tokens = row(books, "to_jsonb(connections)::text"), row(books, "refresh_token", "tokens")
    renewed(books)
    newest = renewed(books)
    generation = msgspec.json.decode(old_connection[0])["generation"]
    execute(books, "UPDATE quickbooks.connections SET generation = :old", old=generation)
    execute(books, "UPDATE quickbooks.tokens SET refresh_token = :old", old=old_tokens[0])
    assert books.keeper.access_token(REALM, refused=newest) != newest
    assert quickbooks.tell("/tokens")["reuses"] == 0
    assert stored_refresh_token(books) == quickbooks.tell("/tokens")["grants"][-1]["refresh_token"]


def test_what_was_spooled_before_a_person_connected_again_never_comes_back(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    for _ in range(3):
        renewed(books)
    quickbooks.connect(books)
    execute(books, "UPDATE quickbooks.connections SET generation = 0")  # as in a database that was made anew
    tokens = quickbooks.tell("/tokens")["grants"][-1]["refresh_token"]
    sealed = books.custody.vault.seal(tokens, _bound(0))
    execute(books, "UPDATE quickbooks.tokens SET refresh_token = :sealed", sealed=sealed)
    renewed(books)
    assert quickbooks.tell("/tokens")["refreshes"] == 4
    assert stored_refresh_token(books) == quickbooks.tell("/tokens")["grants"][-1]["refresh_token"]


def _bound(generation: int) -> Any:
    from qbo_pipeline.warehouse.vault import Bound

    return Bound(REALM, "refresh_token", generation)


def test_a_full_disk_does_not_keep_a_pair_from_the_database(
    books: Books, company: Company, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qbo_pipeline.warehouse.spool.write_private", full)
    assert renewed(books) == books.token_store.read(REALM).access_token
    assert "could not be spooled: No space left on device" in caplog.text


def test_the_token_before_the_current_one_is_presented_once_and_only_after_a_while(
    books: Books, quickbooks: Sandbox, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QuickBooks forgot a rotation. Earlier, it could be an outage, and a reuse would end the consent."""
    monkeypatch.setattr("qbo_pipeline.tokens._SECOND_LOOK", 0)
    quickbooks.tell("/tokens/policy", {"name": "every call, reuse revokes"})
    renewed(books)
    quickbooks.tell("/tokens/forget", {})
    quickbooks.tell("/calls", method="DELETE")
    for _ in range(3):
        with pytest.raises(RetryableError):
            renewed(books)
        lease_ends(books)
    assert len(refreshes(quickbooks)) == 6
    assert renewed(books)
    assert len(refreshes(quickbooks)) == 9, "twice the current one, then the one before"
    assert books.token_store.read(REALM).state == "active"


def test_who_slept_past_its_lease_does_not_present_a_spent_token(
    books: Books, quickbooks: Sandbox, company: Company, tmp_path: Path
) -> None:
    """A suspended machine wakes up, with the lease in hand, and a disk that knows nothing of what came after."""
    quickbooks.tell("/tokens/policy", {"name": "every call, reuse revokes"})

    class Sleepy(TokenStore):
        def claim(self, *arguments: Any, **more: Any) -> Any:
            lease = super().claim(*arguments, **more)
            lease_ends(books)
            books.keeper.refresh(REALM, refused=before)
            return lease

    before = books.token_store.read(REALM).access_token
    sleepy = Sleepy(books.engine, books.custody)
    keeper = TokenKeeper(sleepy, books.oauth, Spool(tmp_path / "other disk", books.custody.vault))
    assert keeper.access_token(REALM, refused=before) == books.keeper.access_token(REALM)
    server = quickbooks.tell("/tokens")
    assert (server["reuses"], server["grants"][-1]["revoked"], server["refreshes"]) == (0, False, 1)


# --- the rest -------------------------------------------------------------------------------------------------------


def test_the_end_of_five_years_is_known(books: Books, company: Company) -> None:
    left = books.token_store.read(REALM).refresh_hard_expires_in
    assert left is not None
    assert 1825 >= left.days >= 1824
    renewed(books)
    again = books.token_store.read(REALM).refresh_hard_expires_in
    assert again is not None
    assert again <= left


@pytest.fixture
def pooled(books: Books) -> Iterator[sa.Engine]:
    """An engine as a transaction pooler gives it: every transaction on a session of others, with settings of others."""
    engine = sa.create_engine(books.engine.url, poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "connect")
    def _others(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'Asia/Kathmandu'; SET search_path = ''")
            cursor.execute("SET synchronous_commit = off")
        connection.commit()

    yield engine
    engine.dispose()


def test_nothing_depends_on_a_session(books: Books, company: Company, pooled: sa.Engine) -> None:
    store = TokenStore(pooled, books.custody)
    keeper = TokenKeeper(store, books.oauth, books.spool)
    before = store.read(REALM)
    assert not before.is_due(_due())
    after = keeper.refresh(REALM, refused=before.access_token)
    assert after.generation == before.generation + 1
    assert after.expires_in.total_seconds() == pytest.approx(3600, abs=60)
    assert books.token_store.read(REALM).expires_in.total_seconds() == pytest.approx(3600, abs=60)
    assert books.due_for_refresh() == []


def _due() -> Any:
    from qbo_pipeline.tokens import DUE

    return DUE


def test_ctrl_c_waits_until_the_new_pair_is_safe(books: Books, quickbooks: Sandbox, company: Company) -> None:
    quickbooks.tell("/faults", {"fault": "slow", "seconds": 0.5, "match": BEARER})
    before = books.token_store.read(REALM)

    def interrupt() -> None:
        while not quickbooks.tell("/faults")["rules"][0]["broken"]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a script starts with "&"
    try:
        with pytest.raises(KeyboardInterrupt):
            books.keeper.refresh(REALM, refused=before.access_token)
    finally:
        signal.signal(signal.SIGINT, ours)
    thread.join()
    (spooled,) = books.spool.pairs(REALM, row(books, "chain")[0])
    assert spooled.generation == before.generation + 1
    lease_ends(books)
    assert books.keeper.refresh(REALM, refused=before.access_token).access_token == spooled.access_token
