"""A sync that slept while another took its company over: whatever dlt had still to do, none of it is done."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import entity_named
from qbo_pipeline.errors import LeaseLostError
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.sync.outcome import Outcome
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.leases import Lease, company_lease
from tests.support.lease_holder import REALM, said, started, wait_until_frozen
from tests.support.quickbooks import REALM as SANDBOX_REALM
from tests.support.scripted import AT_NOON, ScriptedReader, invoice

pytestmark = pytest.mark.slow

INVOICE = entity_named("Invoice")
TAKEN = "UPDATE quickbooks.company_leases SET epoch = epoch + 1, holder = 'the nightly backfill', acquired_at = now()"

#: What the late one has done when it freezes, as a question to the database. It loads invoices 1 and 2.
STAGED = "SELECT EXISTS (SELECT FROM quickbooks_staging_9130.invoices WHERE id = '2')"
MERGED = (
    "SELECT EXISTS (SELECT FROM quickbooks.invoices WHERE id = '2') "
    "AND EXISTS (SELECT FROM quickbooks.invoice_lines WHERE invoice_id = '2')"
)
MOMENTS = {
    "it has read nothing": ("between", "SELECT true"),
    "its rows are staged": ("between", STAGED),
    "its rows are staged and a transaction is open": ("inside", STAGED),
    "its rows are merged and the load does not count yet": ("between", MERGED),
}


def load(engine: sa.Engine, lease: Lease, hour: int, *invoices: dict[str, Any]) -> Outcome:
    reader = ScriptedReader({"Invoice": [list(invoices)]}, AT_NOON + timedelta(hours=hour))
    return sync_company(REALM, engine=engine, reader=reader, entities=(INVOICE,), fence=lease.fence)


def everything(engine: sa.Engine) -> dict[str, list[str]]:
    """Return all rows of all tables but the leases': books, staging, dlt's state, its loads."""
    with engine.connect() as connection:
        names = connection.execute(
            sa.text(
                "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
                "WHERE schemaname LIKE 'quickbooks%' AND tablename <> 'company_leases'"
            )
        ).scalars()
        return {name: sorted(connection.execute(sa.text(f"SELECT t::text FROM {name} t")).scalars()) for name in names}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_sync_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(
    engine: sa.Engine, database_url: str, moment: str
) -> None:
    with company_lease(engine, REALM, "the first") as first:
        load(engine, first, 0, invoice("1", 1), invoice("0", 1))
    place, question = MOMENTS[moment]
    waited: list[str] = []
    with started("load", database_url, place, question) as late:
        wait_until_frozen(late)
        with company_lease(engine, REALM, "the next", on_wait=waited.append) as next_one:
            assert load(engine, next_one, 2, invoice("1", 20), invoice("3", 20)).failed == []
        before = everything(engine)
        assert any("quickbooks_staging_9130" in name for name in before)
        late.send_signal(signal.SIGCONT)
        error, sentence = said(late)
    assert error == "LeaseLostError"
    assert "was taken over by the next (process" in sentence
    assert everything(engine) == before
    assert f"the late one (process {late.pid} on " in waited[0]
    with company_lease(engine, REALM, "afterwards") as afterwards:
        (outcome,) = load(engine, afterwards, 3, invoice("2", 30)).entities
    assert outcome.cursor_before == AT_NOON + timedelta(hours=2), "the cursor is the one of the load that counted"


def test_a_sync_that_holds_its_lease_passes_the_fence(engine: sa.Engine) -> None:
    asked = []
    with company_lease(engine, REALM, "me") as lease:

        def fence(cursor: Any) -> None:
            asked.append(cursor)
            lease.fence(cursor)

        reader = ScriptedReader({"Invoice": [[invoice("1", 1)]]})
        assert sync_company(REALM, engine=engine, reader=reader, entities=(INVOICE,), fence=fence).failed == []
    assert asked


def test_dlt_gives_up_at_once_when_the_lease_is_lost(engine: sa.Engine) -> None:
    """Two merges are left when it is lost, and perhaps the state: each is tried once, not five times."""
    ready = (
        "SELECT (SELECT count(*) FROM quickbooks_staging_9130.invoice_lines WHERE invoice_id = '2') = 1 "
        "AND (SELECT count(*) FROM quickbooks_staging_9130.invoices WHERE id = '2') = 1"
    )
    refused: list[LeaseLostError] = []
    with company_lease(engine, REALM, "me") as lease:
        load(engine, lease, 0, invoice("1", 1))

        def fence(cursor: Any) -> None:
            with engine.begin() as connection:
                if not refused and connection.execute(sa.text(ready)).scalar_one():
                    connection.execute(sa.text(TAKEN))
            try:
                lease.fence(cursor)
            except LeaseLostError as lost:
                refused.append(lost)
                raise

        reader = ScriptedReader({"Invoice": [[invoice("2", 1)]]}, AT_NOON + timedelta(hours=1))
        with pytest.raises(LeaseLostError), lease.guard():
            sync_company(REALM, engine=engine, reader=reader, entities=(INVOICE,), fence=fence)
    assert 1 <= len(refused) <= 3


def test_a_run_that_lost_its_company_is_recorded_as_failed_with_the_reason(books: Books, company: Company) -> None:
    def lose(_: Any) -> None:
        with books.engine.begin() as connection:
            connection.execute(sa.text(TAKEN))

    with pytest.raises(LeaseLostError, match="taken over by the nightly backfill"):
        books.sync(None, (INVOICE,), trigger="test", progress=lose)
    (status,) = books.statuses()
    assert status.last_run is not None
    assert (status.last_run.status, status.last_run.rows) == ("failed", 0)
    assert "was taken over by the nightly backfill at " in str(status.last_run.error)
    assert books.row_count("invoices") == 0
    assert SANDBOX_REALM in str(status.last_run.error)
