"""Two refreshers at once would disconnect a company: these are the guards."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from qbo_pipeline.errors import UsageError, WarehouseError
from qbo_pipeline.warehouse.companies import CompanyStore
from qbo_pipeline.warehouse.stored_tokens import Due
from qbo_pipeline.warehouse.token_store import Lease, TokenStore
from tests.support.custody import CUSTODY, FakeGrant

REALM = "9130"


@pytest.fixture
def store(engine: sa.Engine) -> TokenStore:
    grant = FakeGrant("access 1", "refresh 1", refresh_expires_in=8_640_000)
    connect(engine, grant)
    return TokenStore(engine, CUSTODY)


def connect(engine: sa.Engine, grant: FakeGrant) -> None:
    CompanyStore(engine).connect(
        REALM, "Craig", environment="local", base_url="http://127.0.0.1:1", grant=grant, custody=CUSTODY
    )


def refresh_token(store: TokenStore) -> str | None:
    """Return what a refresh would present."""
    lease = taken(store.claim(REALM, "somebody curious"))
    store.release(lease)
    return lease.refresh_token


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def execute(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def pass_time(engine: sa.Engine, by: str) -> None:
    """Let time pass: move every stored time back. The database's clock is the only one there is."""
    execute(
        engine,
        f"UPDATE quickbooks.tokens SET expires_at = expires_at - interval '{by}', "
        f"updated_at = updated_at - interval '{by}'; "
        f"UPDATE quickbooks.connections SET refreshed_at = refreshed_at - interval '{by}', "
        f"lease_until = lease_until - interval '{by}', intent_at = intent_at - interval '{by}'",
    )


def test_six_claim_and_one_wins(store: TokenStore) -> None:
    start = threading.Barrier(6)

    def claim(number: int) -> Lease | None:
        start.wait()
        return store.claim(REALM, f"worker {number}")

    with ThreadPoolExecutor(6) as pool:
        leases = [lease for lease in pool.map(claim, range(6)) if lease is not None]
    assert len(leases) == 1
    assert leases[0].refresh_token == "refresh 1"


def test_another_installation_gets_no_lease(engine: sa.Engine, store: TokenStore) -> None:
    copy = TokenStore(engine, replace(CUSTODY, installation="a copy"))
    assert copy.claim(REALM, "me") is None
    assert copy.due(Due(margin=dt.timedelta(hours=2))) == []
    assert store.claim(REALM, "me") is not None


def test_six_that_refresh_when_due_refresh_once(engine: sa.Engine, store: TokenStore) -> None:
    """Whoever waited for the winner must find the work done, not do it again."""
    pass_time(engine, "51 minutes")
    start = threading.Barrier(6)

    def refresh(number: int) -> bool:
        start.wait()
        for _ in range(50):
            if (lease := store.claim(REALM, f"worker {number}", only_if_due=Due())) is not None:
                return store.commit(lease, FakeGrant())
        return False

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(refresh, range(6))).count(True) == 1
    assert store.read(REALM).generation == 2


def test_a_commit_stores_the_pair_and_frees_the_lease(store: TokenStore) -> None:
    before = store.read(REALM)
    lease = taken(store.claim(REALM, "me"))
    assert store.commit(lease, FakeGrant(refresh_expires_in=5_000))
    after = store.read(REALM)
    assert (after.access_token, refresh_token(store)) == ("access 2", "refresh 2")
    assert after.generation == before.generation + 1
    assert after.refresh_expires_in is not None
    assert after.refresh_expires_in <= dt.timedelta(seconds=5_000)
    assert after.base_url == before.base_url
    assert store.claim(REALM, "the next") is not None


def test_a_late_writer_is_fenced_out(engine: sa.Engine, store: TokenStore) -> None:
    """Asleep through its lease: the next holder's pair must survive it."""
    late = taken(store.claim(REALM, "late"))
    pass_time(engine, "91 seconds")
    prompt = taken(store.claim(REALM, "prompt"))
    assert store.commit(late, FakeGrant("late", "late")) is False
    store.release(late, error="late")
    assert store.commit(prompt, FakeGrant())
    assert store.commit(late, FakeGrant("late", "late")) is False
    assert store.read(REALM).access_token == "access 2"


def test_a_late_writer_whom_nobody_followed_still_counts(engine: sa.Engine, store: TokenStore) -> None:
    """The token it presented may be void by now: its answer is the only good pair there is."""
    lease = taken(store.claim(REALM, "slow"))
    pass_time(engine, "1 hour")
    assert store.commit(lease, FakeGrant())
    assert store.read(REALM).access_token == "access 2"


def test_a_commit_whose_answer_was_lost_may_be_repeated(store: TokenStore) -> None:
    lease = taken(store.claim(REALM, "me"))
    assert store.commit(lease, FakeGrant())
    assert store.commit(lease, FakeGrant())
    assert store.read(REALM).generation == lease.generation + 1


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_a_grant_without_a_refresh_token_keeps_the_one_we_have(store: TokenStore, nothing: str | None) -> None:
    assert store.commit(taken(store.claim(REALM, "me")), FakeGrant(refresh_token=nothing))
    stored = store.read(REALM)
    assert (stored.access_token, refresh_token(store)) == ("access 2", "refresh 1")
    assert stored.refresh_expires_in is not None


def test_a_grant_without_an_access_token_changes_nothing(store: TokenStore) -> None:
    lease = taken(store.claim(REALM, "me"))
    with pytest.raises(WarehouseError, match="empty access token"):
        store.commit(lease, FakeGrant(access_token=""))
    assert store.read(REALM).generation == lease.generation
    assert store.commit(lease, FakeGrant())


def test_a_pair_whose_row_vanished_is_stored_all_the_same(engine: sa.Engine, store: TokenStore) -> None:
    lease = taken(store.claim(REALM, "me"))
    execute(engine, "DELETE FROM quickbooks.tokens")
    assert store.commit(lease, FakeGrant())
    assert refresh_token(store) == "refresh 2"


def test_the_life_of_a_token_counts_from_when_it_was_asked_for(engine: sa.Engine, store: TokenStore) -> None:
    lease = taken(store.claim(REALM, "me"))
    assert store.commit(lease, FakeGrant(expires_in=3600))
    with engine.connect() as connection:
        question = "SELECT expires_at FROM quickbooks.tokens"
        expires_at: dt.datetime = connection.execute(sa.text(question)).scalar_one()
    assert expires_at.replace(tzinfo=dt.UTC) == lease.claimed_at + dt.timedelta(hours=1)


def test_what_is_due(engine: sa.Engine, store: TokenStore) -> None:
    assert store.due() == []
    assert store.claim(REALM, "me", only_if_due=Due()) is None
    assert store.due(Due(margin=dt.timedelta(hours=2))) == [REALM]
    pass_time(engine, "51 minutes")
    assert store.due() == [REALM]
    assert store.due(Due(refresh_age=dt.timedelta(hours=2), margin=dt.timedelta(0))) == []
    execute(engine, "UPDATE quickbooks.tokens SET expires_at = NULL, updated_at = NULL")
    assert store.due(Due(refresh_age=dt.timedelta(hours=2))) == [REALM]


def test_an_old_pair_is_due_however_long_it_claims_to_live(engine: sa.Engine, store: TokenStore) -> None:
    execute(engine, "UPDATE quickbooks.tokens SET expires_at = expires_at + interval '1 day'")
    assert store.due() == []
    pass_time(engine, "51 minutes")
    assert store.due() == [REALM]


def test_one_forced_refresh_for_each_generation(store: TokenStore) -> None:
    """Ten calls answered with 401 ask for one refresh, not ten."""
    seen = store.read(REALM).generation
    assert store.commit(taken(store.claim(REALM, "first", only_generation=seen)), FakeGrant())
    assert store.claim(REALM, "second", only_generation=seen) is None
    assert store.claim(REALM, "third", only_generation=seen + 1) is not None


def test_a_claim_that_is_not_needed_leaves_no_trace(engine: sa.Engine, store: TokenStore) -> None:
    lease = taken(store.claim(REALM, "me"))
    store.release(lease)
    assert store.claim(REALM, "other", only_if_due=Due()) is None
    assert taken(store.claim(REALM, "third")).epoch == lease.epoch + 1


def test_the_intent_is_written_down_before_the_token_is_presented(engine: sa.Engine, store: TokenStore) -> None:
    lease = taken(store.claim(REALM, "me"))
    with engine.connect() as connection:
        row = connection.execute(sa.text("SELECT lease_owner, intent_at FROM quickbooks.connections")).one()
    assert tuple(row) == ("me", lease.claimed_at)


def test_a_released_lease_leaves_the_reason(engine: sa.Engine, store: TokenStore) -> None:
    store.release(taken(store.claim(REALM, "me")), error="HTTP 503", intuit_tid="tid-1")
    assert CompanyStore(engine).get(REALM).last_error == "HTTP 503"
    assert store.claim(REALM, "the next") is not None


def test_a_token_that_was_refused_gets_no_lease_before_its_time(engine: sa.Engine, store: TokenStore) -> None:
    assert store.refuse(taken(store.claim(REALM, "me")), "invalid_grant") == "suspect"
    assert store.claim(REALM, "me") is None
    execute(engine, "UPDATE quickbooks.connections SET retry_at = now()")
    assert taken(store.claim(REALM, "me")).refusals == 1


def test_an_outage_of_weeks_is_asked_about_every_quarter_of_an_hour(engine: sa.Engine, store: TokenStore) -> None:
    execute(engine, "UPDATE quickbooks.connections SET failures = 5000")
    store.release(taken(store.claim(REALM, "me")), error="HTTP 503", unknown=True)
    left = store.read(REALM).retry_in
    assert left is not None
    assert dt.timedelta(minutes=14) < left <= dt.timedelta(minutes=15)


def test_a_dead_token_waits_for_a_person(engine: sa.Engine, store: TokenStore) -> None:
    assert store.refuse(taken(store.claim(REALM, "me")), "no refresh token", for_good=True) == "needs_reauth"
    assert store.read(REALM).state == "needs_reauth"
    assert store.claim(REALM, "me") is None
    assert store.due(Due(margin=dt.timedelta(hours=2))) == []


def test_a_late_verdict_does_not_disconnect_a_company_connected_again(engine: sa.Engine, store: TokenStore) -> None:
    lease = taken(store.claim(REALM, "me"))
    connect(engine, FakeGrant())
    assert store.refuse(lease, "invalid_grant", for_good=True) is None
    assert store.read(REALM).state == "active"


def test_tokens_never_show_in_a_repr(store: TokenStore) -> None:
    assert "refresh 1" not in repr(taken(store.claim(REALM, "me")))
    assert "access 1" not in repr(store.read(REALM))
    assert "refresh 1" not in repr(store.read(REALM))


def test_an_unknown_company_is_an_error_a_person_can_act_on(store: TokenStore) -> None:
    with pytest.raises(UsageError, match="qbo connect"):
        store.read("nobody")
    assert store.claim("nobody", "me") is None
