"""The door for QuickBooks: what it signed is stored and answered at once, anything else is not stored at all."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import NOTIFIED
from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.qbo.notifications import read_notification
from qbo_pipeline.secret import Secret
from qbo_pipeline.settings import Settings
from qbo_pipeline.web import webhooks
from tests.conftest import drop_database
from tests.support.quickbooks import REALM
from tests.support.webhooks import Letters, cloud_event, legacy, sign

OLD, NEW = "the-verifier-of-before", "the-verifier-of-today"


def installation(url: str, state_dir: Path, *, tokens: str | None = f"{NEW},{OLD}") -> Books:
    """Return an installation of which nothing but the database is needed."""
    verifier = None if tokens is None else Secret(tokens)
    return Books(
        Settings(
            database_url=url,
            environment="production",
            webhook_verifier_token=verifier,
            client_id="client",
            client_secret=Secret("client-secret"),
            state_dir=state_dir,
        )
    )


@pytest.fixture(scope="module")
def books(
    migrated_template: str, create_database: object, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Books]:
    assert callable(create_database)
    url = create_database(migrated_template)
    made = installation(url, tmp_path_factory.mktemp("web"))
    with made.database.begin() as connection:
        for realm, status in ((REALM, "active"), ("9140", "needs_reauth"), ("9150", "disconnected")):
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.connections (realm_id, environment, partition_key, status) "
                    "VALUES (:realm, 'production', :realm, :status)"
                ),
                {"realm": realm, "status": status},
            )
    yield made
    made.letterbox._engine.dispose()
    made.database.dispose()
    drop_database(server_url, url)


@pytest.fixture
def letters(books: Books) -> Letters:
    with books.database.begin() as connection:
        connection.execute(sa.text("TRUNCATE quickbooks.webhook_events"))
    return Letters(books)


def stored(books: Books) -> list[tuple[str, str | None]]:
    with books.database.connect() as connection:
        rows = connection.execute(sa.text("SELECT status, note FROM quickbooks.webhook_events ORDER BY seq"))
        return [(row.status, row.note) for row in rows]


def post(letters: Letters, document: object, token: str = NEW) -> int:
    body = json.dumps(document).encode()
    return letters.deliver(body, sign(body, token)).status


def test_what_is_signed_is_stored_whatever_its_content_type(letters: Letters, books: Books) -> None:
    for number, kind in enumerate((b"application/json", b"application/cloudevents+json", b"text/plain", b"nonsense")):
        body = json.dumps([cloud_event(number=number)]).encode()
        assert letters.deliver(body, sign(body, NEW), [(b"content-type", kind)]).status == 200
    assert stored(books) == [("waiting", None)] * 4


def test_both_tokens_hold_while_one_replaces_the_other(letters: Letters, books: Books) -> None:
    assert [post(letters, [cloud_event()], token) for token in (NEW, OLD, "another", "")] == [200, 200, 401, 401]
    assert len(stored(books)) == 2


@pytest.mark.parametrize("tokens", [None, " ", ","])
def test_without_a_token_nothing_is_believed(
    books: Books, letters: Letters, tmp_path: Path, tokens: str | None
) -> None:
    bare = Letters(installation(books.settings.database_url or "", tmp_path, tokens=tokens))
    assert [post(bare, [cloud_event()], token) for token in ("", "sandbox-verifier")] == [401, 401]
    assert stored(books) == []


def test_unsigned_twice_signed_or_changed_is_refused_alike(letters: Letters, books: Books) -> None:
    body = json.dumps([cloud_event()]).encode()
    signature = sign(body, NEW)
    header = (b"intuit-signature", signature.encode())
    refused = [
        letters.ask("POST", "/webhooks/quickbooks", [], body),
        letters.ask("POST", "/webhooks/quickbooks", [header, header], body),
        letters.deliver(body, ""),
        letters.deliver(body + b" ", signature),
        letters.deliver(body, signature.lower()),
    ]
    assert {(each.status, each.body, tuple(each.headers)) for each in refused} == {
        (401, b"", ((b"content-length", b"0"),))
    }
    assert stored(books) == []


def test_a_body_in_parts_is_one_body_and_a_giant_is_not_read(letters: Letters, books: Books) -> None:
    body = json.dumps([cloud_event()]).encode()
    header = [(b"intuit-signature", sign(body, NEW).encode())]
    assert letters.ask("POST", "/webhooks/quickbooks", header, body[:5], body[5:], b"").status == 200
    largest = json.dumps([cloud_event()]).encode().ljust(webhooks.LARGEST_BODY)
    assert letters.deliver(largest, sign(largest, NEW)).status == 200
    giant = largest + b" "
    parts = [giant[start : start + 65536] for start in range(0, len(giant), 65536)]
    signed = [(b"intuit-signature", sign(giant, NEW).encode())]
    assert letters.ask("POST", "/webhooks/quickbooks", signed, *parts).status == 413
    assert len(stored(books)) == 2


def test_only_posts_are_taken(letters: Letters) -> None:
    assert letters.get("/webhooks/quickbooks").status in (404, 405)


def test_the_name_under_which_it_is_reached_says_nothing(letters: Letters) -> None:
    """A proxy may call us as it likes; the pages for people answer to their own name only."""
    body = json.dumps([cloud_event()]).encode()
    assert letters.deliver(body, sign(body, NEW), [(b"host", b"hooks.example.com")]).status == 200
    assert letters.get("/healthz", b"hooks.example.com").status == 400


def test_companies_of_one_notification_are_told_apart(letters: Letters, books: Books) -> None:
    events = [cloud_event(realm=realm) for realm in (REALM, "9140", "9150", "9160")]
    assert post(letters, events) == 200
    dead = ("dead", "no company of that realm is connected")
    assert stored(books) == [("waiting", None), ("waiting", None), dead, dead]


def test_a_company_of_another_environment_is_not_ours(books: Books, letters: Letters) -> None:
    with books.database.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.connections (realm_id, environment, partition_key) "
                "VALUES ('9170', 'sandbox', '9170') ON CONFLICT DO NOTHING"
            )
        )
    assert post(letters, [cloud_event(realm="9170")]) == 200
    assert [status for status, _ in stored(books)] == ["dead"]


def test_every_delivery_of_an_event_is_the_same_one(letters: Letters, books: Books) -> None:
    event = cloud_event()
    change = {"name": "Invoice", "id": "1", "operation": "Update", "lastUpdated": "2026-11-23T10:00:00.000Z"}
    for _ in range(3):
        assert post(letters, [event, event]) == 200
        assert post(letters, legacy(change, change)) == 200
    assert len(stored(books)) == 2
    for changed in ({"id": "2"}, {"operation": "Void"}, {"lastUpdated": "2026-11-23T10:00:01.000Z"}, {"name": "Bill"}):
        assert post(letters, legacy(change | changed)) == 200
    assert len(stored(books)) == 6


def test_an_event_of_last_month_is_not_acted_on(letters: Letters, books: Books) -> None:
    now = datetime.now(UTC)
    assert post(letters, [cloud_event(at=now - timedelta(days=29)), cloud_event(at=now - timedelta(days=31))]) == 200
    assert stored(books) == [("waiting", None), ("ignored", None)]


UNREADABLE = [
    b"",
    b"\x00\xff",
    b"null",
    b"{}",
    b"[1]",
    b'{"eventNotifications":[{}]}',
    b'{"eventNotifications": {}}',
    b"[" * 100_000,
    json.dumps([cloud_event("Nonsense")]).encode(),
    json.dumps([cloud_event(operation="sneezed")]).encode(),
    json.dumps([cloud_event(type="qbo.invoice.updated.v2")]).encode(),
    json.dumps([cloud_event(type="com.example.thing")]).encode(),
    json.dumps([cloud_event(time="yesterday")]).encode(),
    json.dumps([cloud_event(time="0001-01-01T00:00:00+23:59")]).encode(),
    json.dumps([cloud_event(time="9999-12-31T23:59:59-23:59")]).encode(),
    json.dumps([cloud_event("Invoice", "1'; DROP")]).encode(),
    json.dumps([cloud_event(id="\x00" * 10, realm="\x00")]).encode(),
    json.dumps([cloud_event(id="x" * 5000, realm="9" * 5000)]).encode(),
    json.dumps([cloud_event("Customer", operation="merged", data={"deletedid": "\x00"})]).encode(),
    json.dumps(legacy({"name": "Invoice", "id": "1"})).encode(),
    b"[" + b",".join([b"1"] * 20_000) + b"]",
]


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cannot_be_read_is_kept_as_it_came(letters: Letters, books: Books, body: bytes) -> None:
    for _ in range(2):
        assert letters.deliver(body, sign(body, NEW)).status == 200
    (letter,) = books.inbox.dead_letters()
    assert letter.raw in body or b'"Invoice"' in letter.raw
    assert letter.note
    assert "\x00" not in letter.note
    assert books.inbox.due() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from(list(cloud_event()))
NEARLY = st.builds(lambda name, value: [cloud_event() | {name: value}], MEMBERS, JSON)
BODIES = st.one_of(
    st.binary(max_size=300),
    JSON.map(lambda value: json.dumps(value).encode()),
    NEARLY.map(lambda v: json.dumps(v).encode()),
)
NAMES = st.from_regex(rb"[a-z-]{1,20}", fullmatch=True).filter(lambda name: name != b"intuit-signature")
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=4)


@given(body=BODIES, headers=HEADERS, signature=st.none() | st.text("abc=/+\xff", max_size=60))
@example(body=b"", headers=[(b"content-length", b"-1")], signature="")
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_bytes_break_it_and_none_are_stored_unsigned(
    letters: Letters, books: Books, body: bytes, headers: list[tuple[bytes, bytes]], signature: str | None
) -> None:
    """Without a signature here, the body is signed."""
    before = len(stored(books))
    answer = letters.deliver(body, sign(body, NEW) if signature is None else signature, headers)
    assert answer.status == (200 if signature is None else 401)
    if signature is not None:
        assert len(stored(books)) == before


def test_a_database_that_is_away_makes_quickbooks_come_again(books: Books, tmp_path: Path) -> None:
    url = sa.make_url(books.settings.database_url or "").set(port=1).render_as_string(hide_password=False)
    away = Letters(installation(url, tmp_path))
    assert post(away, [cloud_event()]) == 503
    assert away.get("/readyz").status == 503
    assert away.get("/metrics").status == 503
    assert away.get("/healthz").status == 200


def test_a_database_that_cannot_be_started_makes_quickbooks_come_again(
    books: Books, letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Books) -> None:
        raise WarehouseError("It does not start.")

    monkeypatch.setattr(Books, "letterbox", property(refuse))
    assert post(letters, [cloud_event()]) == 503


def test_a_database_that_does_not_answer_in_time_makes_quickbooks_come_again(
    letters: Letters, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_STORE_SECONDS", 0.2)
    with books.database.begin() as connection:
        connection.execute(sa.text("LOCK TABLE quickbooks.webhook_events"))
        assert post(letters, [cloud_event()]) == 503


def test_postgres_ends_what_takes_too_long_by_itself(letters: Letters, books: Books) -> None:
    """Else every notification of a bad hour would leave a statement behind."""
    with books.letterbox._engine.connect() as connection:
        assert connection.execute(sa.text("SHOW statement_timeout")).scalar() == "2s"


def test_a_postgres_that_was_started_again_is_noticed_and_used(letters: Letters, books: Books) -> None:
    assert post(letters, [cloud_event()]) == 200
    with books.database.connect() as connection:
        ended = connection.execute(
            sa.text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'qbo webhooks' AND datname = current_database()"
            )
        ).scalar_one()
    assert ended >= 1
    assert post(letters, [cloud_event()]) == 200
    assert len(stored(books)) == 2


def test_events_are_stored_in_the_order_of_their_keys(books: Books) -> None:
    """Two notifications with the same events in different orders would each hold what the other waits for."""
    numbers = list(range(200))
    random.Random(1).shuffle(numbers)
    events = read_notification(
        json.dumps([cloud_event(key=f"in-order-{number}") for number in numbers]).encode(), NOTIFIED
    )
    assert books.letterbox.accept(events) == 200
    with books.engine.connect() as connection:
        keys = (
            "SELECT array_agg(event_key ORDER BY {}) FROM quickbooks.webhook_events WHERE record_id LIKE 'in-order-%'"
        )
        by_number, by_key = (
            connection.execute(sa.text(keys.format(order))).scalar_one() for order in ("seq", "event_key")
        )
    assert by_number == by_key


def test_it_says_whether_it_can_work(letters: Letters, books: Books, tmp_path: Path) -> None:
    assert json.loads(letters.get("/readyz").body) == {"status": "ok", "webhooks": "on"}
    bare = Letters(installation(books.settings.database_url or "", tmp_path, tokens=None))
    assert "QBO_WEBHOOK_VERIFIER_TOKEN is not set" in json.loads(bare.get("/readyz").body)["webhooks"]


def test_real_notifications_with_real_signatures_are_taken(books: Books, samples: Path, tmp_path: Path) -> None:
    files = sorted((samples / "webhook" / "signature").glob("*.json"))
    if not files:
        pytest.skip(f"NO REAL SIGNATURES in {samples / 'webhook' / 'signature'}")
    for file in files:
        vector = json.loads(file.read_bytes())
        given = installation(books.settings.database_url or "", tmp_path, tokens=vector["verifier_token"])
        status = Letters(given).deliver(vector["body"].encode(), vector["intuit_signature"]).status
        assert status == (200 if vector["matches_hmac_sha256_base64"] else 401)
        assert Letters(given).deliver(vector["body"].encode() + b"\n", vector["intuit_signature"]).status == 401
