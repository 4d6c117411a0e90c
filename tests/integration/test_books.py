"""A company's life, end to end over HTTP: connected, loaded, edited, synced, shown."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, entity_named
from qbo_pipeline.errors import BusyError, RejectedError, RetryableError, UsageError
from qbo_pipeline.qbo.paging import changed_pages
from qbo_pipeline.settings import Settings
from qbo_pipeline.sync.render import canonical
from qbo_pipeline.sync.window import FULL, created_between
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.leases import company_lease
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox

INVOICE = entity_named("Invoice")


def sync(books: Books, *entities: Any, **more: Any) -> Any:
    return books.sync(None, entities or ENTITIES, trigger="test", **more)


def agrees(books: Books, quickbooks: Sandbox) -> bool:
    assert differences(books.engine, REALM, quickbooks.truth()) == []
    return True


def an_invoice(quickbooks: Sandbox) -> dict[str, Any]:
    """Return one with several lines and money still to pay."""
    return next(
        each for each in quickbooks.truth()["Invoice"].values() if len(each["Line"]) > 2 and each["Balance"] > 0
    )


def test_the_first_sync_makes_the_warehouse_equal_to_quickbooks(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    outcome = sync(books)
    assert outcome.failed == []
    assert agrees(books, quickbooks)
    assert books.company(None).initial_load_at is not None
    (status,) = books.statuses()
    assert (status.last_run.status, status.last_run.rows) == ("succeeded", outcome.rows)  # type: ignore[union-attr]
    assert status.next_action == "none"


def test_money_agrees_to_the_cent(loaded: Books, quickbooks: Sandbox) -> None:
    truth = quickbooks.truth()
    with loaded.engine.connect() as connection:
        for table, entity, column, field in (
            ("invoices", "Invoice", "total_amt", "TotalAmt"),
            ("invoices", "Invoice", "balance", "Balance"),
            ("payments", "Payment", "total_amt", "TotalAmt"),
            ("bills", "Bill", "total_amt", "TotalAmt"),
            ("customers", "Customer", "balance", "Balance"),
        ):
            stored = connection.execute(sa.text(f"SELECT sum({column}) FROM quickbooks.{table}")).scalar_one()
            assert stored == sum(Decimal(each.get(field, 0)) for each in truth[entity].values())


def test_edits_voids_and_deactivations_arrive_with_the_next_sync(loaded: Books, quickbooks: Sandbox) -> None:
    edited, voided = list(quickbooks.truth()["Invoice"])[:2]
    customer = next(iter(quickbooks.truth()["Customer"]))
    quickbooks.edit(
        {"op": "update", "entity": "Invoice", "record": {"Id": edited, "PrivateNote": "edited", "sparse": True}},
        {"op": "void", "entity": "Invoice", "id": voided},
        {"op": "deactivate", "entity": "Customer", "id": customer},
        {"op": "create", "entity": "Customer", "record": {"DisplayName": "Brand New"}},
    )
    outcome = sync(loaded)
    assert outcome.failed == []
    assert agrees(loaded, quickbooks)
    assert loaded.show(INVOICE, edited, None)["PrivateNote"] == "edited"
    assert loaded.show(INVOICE, voided, None)["PrivateNote"].startswith("Voided")
    assert loaded.show(entity_named("Customer"), customer, None)["Active"] is False


def test_a_payment_moves_the_balance_of_an_invoice_without_a_new_sync_token(loaded: Books, quickbooks: Sandbox) -> None:
    """Stands guard over skipping rows whose SyncToken did not move."""
    invoice = an_invoice(quickbooks)
    payment = {
        "CustomerRef": invoice["CustomerRef"],
        "TotalAmt": 1,
        "Line": [{"Amount": 1, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}],
    }
    quickbooks.edit({"op": "create", "entity": "Payment", "record": payment})
    sync(loaded)
    assert agrees(loaded, quickbooks)
    shown = loaded.show(INVOICE, invoice["Id"], None)
    assert (shown["Balance"], shown["SyncToken"]) == (invoice["Balance"] - 1, invoice["SyncToken"])


@pytest.mark.slow
def test_books_edited_between_two_pages_are_read_whole(books: Books, quickbooks: Sandbox, company: Company) -> None:
    """Offset paging, which everybody uses, skips the record at the page's edge here and never comes back to it."""
    original = changed_pages
    ids = list(quickbooks.truth()["Invoice"])
    turns = iter(range(1000))

    def paged(client: Any, entity: str, **more: Any) -> Any:
        for page in original(client, entity, page_size=10, **more):
            yield page
            if entity == "Invoice":
                touched = ids[next(turns) % 20]
                record = {"Id": touched, "PrivateNote": f"touched {next(turns)}", "sparse": True}
                quickbooks.edit({"op": "update", "entity": "Invoice", "record": record})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qbo_pipeline.sync.exact.changed_pages", paged)
        outcome = sync(books)
    assert outcome.failed == []
    assert next(turns) >= 10, "the books were edited meanwhile"
    sync(books)
    assert agrees(books, quickbooks)


@pytest.mark.slow
def test_calls_are_few_and_counted(books: Books, quickbooks: Sandbox, company: Company) -> None:
    quickbooks.tell("/calls", method="DELETE")
    outcome = sync(books)
    log = [call for call in quickbooks.calls() if "/v3/company/" in call["path"]]
    counts = [call for call in log if "count(*)" in (call["statement"] or "")]
    # What there is is counted and, unless that says nothing, read; rates need the company's currencies first.
    assert len(log) == outcome.calls <= 2 * len(ENTITIES)
    assert max(Counter(call["entity"] for call in counts).values()) == 1
    assert {call["method"] for call in log} == {"GET"}
    (status,) = books.statuses()
    assert status.calls_this_month == outcome.calls


def test_an_hour_without_changes_writes_no_row(loaded: Books, quickbooks: Sandbox) -> None:
    quickbooks.tell("/clock", {"advance_seconds": 3600})
    assert sync(loaded).rows == 0


def test_a_range_brings_what_was_created_in_it_and_nothing_else(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    since = datetime.now(UTC) - timedelta(days=400)
    until = since + timedelta(days=120)
    sync(books, INVOICE, window=created_between(since, until))
    expected = {
        each["Id"]
        for each in quickbooks.truth()["Invoice"].values()
        if since.replace(microsecond=0) <= datetime.fromisoformat(each["MetaData"]["CreateTime"]) < until
    }
    with books.engine.connect() as connection:
        stored = set(connection.execute(sa.text("SELECT id FROM quickbooks.invoices")).scalars())
    assert stored == expected
    assert expected


def test_show_gives_the_record_back_as_quickbooks_has_it(loaded: Books, quickbooks: Sandbox) -> None:
    invoice = an_invoice(quickbooks)
    assert canonical(loaded.show(INVOICE, invoice["Id"], loaded.company(None).partition_key)) == canonical(invoice)


def test_showing_what_is_not_there_says_how_to_get_it(books: Books, company: Company) -> None:
    with pytest.raises(UsageError, match=r"no Invoice with id '99999'.*qbo sync --entity Invoice"):
        books.show(INVOICE, "99999", None)


def test_a_throttled_and_flaky_quickbooks_is_read_to_the_end(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    for fault in ("http_503_html", "truncated_json"):
        quickbooks.tell("/faults", {"match": {"path": "query", "entity": "Invoice"}, "times": 1, "fault": fault})
    outcome = sync(books, INVOICE)
    assert outcome.failed == []
    assert outcome.calls == 4, "two that failed, the page, and the count"


@pytest.mark.slow
def test_an_entity_quickbooks_refuses_leaves_the_others_loaded(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    quickbooks.tell("/faults", {"match": {"path": "query", "entity": "Invoice"}, "times": 99, "fault": "fault_200"})
    outcome = sync(books)
    assert [each.entity.name for each in outcome.failed] == ["Invoice"]
    assert books.row_count("customers") > 0
    (status,) = books.statuses()
    assert status.last_run.status == "partial"  # type: ignore[union-attr]
    assert "Invoice" in status.next_action
    assert books.company(None).initial_load_at is None, "a partial load is no first load"
    quickbooks.tell("/faults", method="DELETE")
    sync(books)
    assert agrees(books, quickbooks)


def test_an_expired_access_token_is_renewed_on_the_way(books: Books, quickbooks: Sandbox, company: Company) -> None:
    before = books.keeper.access_token(REALM)
    quickbooks.tell("/tokens/expire", {})
    assert sync(books, INVOICE).failed == []
    assert books.keeper.access_token(REALM) != before


def test_a_token_older_than_fifty_minutes_is_renewed_before_use(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    before = books.keeper.access_token(REALM)
    assert books.due_for_refresh() == []
    with books.engine.begin() as connection:
        for table, column in (("connections", "refreshed_at"), ("tokens", "updated_at")):
            connection.execute(sa.text(f"UPDATE quickbooks.{table} SET {column} = {column} - interval '51 minutes'"))
    assert [each.realm_id for each in books.due_for_refresh()] == [REALM]
    assert books.keeper.access_token(REALM) != before
    assert books.due_for_refresh() == []


def test_a_revoked_consent_asks_for_a_person_and_keeps_the_data(loaded: Books, quickbooks: Sandbox) -> None:
    rows = loaded.row_count("invoices")
    quickbooks.tell("/tokens/revoke", {})
    outcome = sync(loaded, INVOICE)
    assert isinstance(outcome.failed[0].error, RetryableError)
    (status,) = loaded.statuses()
    assert status.company.status == "suspect", "QuickBooks has been seen to refuse good tokens for a while"
    assert "qbo connect" in status.next_action
    assert loaded.row_count("invoices") == rows
    quickbooks.connect(loaded)
    assert sync(loaded).failed == []
    assert agrees(loaded, quickbooks)


def test_two_syncs_of_one_company_wait_for_each_other(books: Books, company: Company) -> None:
    waited: list[str] = []
    with company_lease(books.engine, REALM, "somebody else"):
        import threading

        thread = threading.Thread(target=lambda: sync(books, INVOICE, on_wait=waited.append))
        thread.start()
        while not waited:
            assert thread.is_alive()
            thread.join(0.05)
        assert books.row_count("accounts") == 0
    thread.join()
    assert "somebody else" in waited[0]


def test_a_busy_company_is_given_up_with_the_name_of_who_holds_it(books: Books, company: Company) -> None:
    with (
        company_lease(books.engine, REALM, "the nightly backfill"),
        pytest.raises(BusyError, match="nightly backfill"),
        company_lease(books.engine, REALM, "me", timeout_seconds=0),
    ):
        pass


def test_full_reads_everything_again(loaded: Books, quickbooks: Sandbox) -> None:
    outcome = sync(loaded, INVOICE, window=FULL)
    assert outcome.entities[0].records == len(quickbooks.truth()["Invoice"])


# --- connecting -----------------------------------------------------------------------------------------------------


def test_connecting_freezes_a_readable_key(books: Books, company: Company) -> None:
    assert company.partition_key.endswith(f"-{REALM}")
    assert company.books_since is not None
    assert books.connected() == [company]


def test_an_answer_to_no_request_of_ours_is_refused(books: Books) -> None:
    with pytest.raises(RejectedError, match="no request of ours"):
        books.connector.complete({"state": "forged", "code": "x", "realmId": REALM})


@pytest.mark.parametrize(
    "info",
    [
        b'{"CompanyName": 7}',
        b'{"MetaData": {"CreateTime": ""}}',
        b'{"MetaData": {"CreateTime": "0001-01-01T00:00:00+14:00"}}',
    ],
)
def test_a_company_with_an_odd_record_of_its_own_connects_all_the_same(
    books: Books, quickbooks: Sandbox, info: bytes
) -> None:
    """The consent code is spent by then: giving up would lose the tokens."""
    import msgspec

    books.connector._company_info = lambda *_: msgspec.Raw(info)
    company = quickbooks.connect(books)
    assert (company.name, company.books_since) == (f"Company {REALM}", None)


def test_a_company_whose_tokens_somebody_removed_asks_to_be_connected(books: Books, company: Company) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM quickbooks.tokens"))
    (status,) = books.statuses()
    assert "qbo connect" in status.next_action
    assert status.as_row()["access_token_expires_at"] is None


def test_a_state_is_good_once(books: Books, quickbooks: Sandbox) -> None:
    from urllib.parse import parse_qsl, urlsplit

    import requests

    location = requests.get(f"{books.connector.begin()}&auto=1", allow_redirects=False, timeout=30).headers["Location"]
    answer = dict(parse_qsl(urlsplit(location).query))
    books.connector.complete(answer)
    with pytest.raises(RejectedError, match="no request of ours"):
        books.connector.complete(answer)


def test_a_state_is_good_for_ten_minutes(books: Books, quickbooks: Sandbox) -> None:
    now = [0.0]
    books.connector._monotonic = lambda: now[0]
    address = books.connector.begin()
    state = dict(part.split("=") for part in address.split("?")[1].split("&"))["state"]
    now[0] = 601
    with pytest.raises(RejectedError, match="older than ten minutes"):
        books.connector.complete({"state": state, "code": "x", "realmId": REALM})


def test_a_person_may_refuse(books: Books, quickbooks: Sandbox) -> None:
    address = books.connector.begin()
    state = dict(part.split("=") for part in address.split("?")[1].split("&"))["state"]
    with pytest.raises(RejectedError, match="Consent was refused"):
        books.connector.complete({"state": state, "error": "access_denied"})
    assert books.connected() == []


def test_a_wrong_client_secret_says_so(books: Books, quickbooks: Sandbox) -> None:
    import msgspec

    settings = msgspec.structs.replace(books.settings, client_id="sandbox-client", client_secret="wrong")
    with pytest.raises(RejectedError, match=r"(?i)client id|client_id|QBO_CLIENT"):
        quickbooks.connect(Books(settings))


def test_companies_of_another_environment_are_not_shown(books: Books, company: Company, database_url: str) -> None:
    other = Books(Settings(database_url=database_url, environment="production"))
    assert other.connected() == []
    with pytest.raises(UsageError):
        other.company(company.partition_key)
    other.database.dispose()
