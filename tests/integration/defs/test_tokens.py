"""The tokens asset: evidence without secrets, checks for what a person has to do, and the alert."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg
import msgspec
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.definitions import defs
from qbo_pipeline.defs.sensors import alert
from qbo_pipeline.secret import Secret
from qbo_pipeline.warehouse.companies import Company
from tests.support.quickbooks import REALM, Sandbox


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def age(books: Books, by: str = "51 minutes") -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE quickbooks.tokens SET expires_at = expires_at - interval '{by}'"))


def run(books: Books, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("refresh_tokens").execute_in_process(
        instance=instance, resources={"books": books}, raise_on_error=False
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def evidence(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (materialization,) = result.asset_materializations_for_node("quickbooks__tokens")
    (record,) = materialization.metadata["companies"].value.records  # type: ignore[union-attr]
    return dict(record.data)


def test_the_run_keeps_the_evidence(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    age(books)
    result = run(books, instance)
    assert result.success
    row = evidence(result)
    calls = [call for call in quickbooks.calls() if call["path"].endswith("/tokens/bearer")]
    assert (row["outcome"], row["generation"], row["intuit_tid"]) == ("renewed", "2", calls[-1]["intuit_tid"])
    assert row["expires_at"].endswith("UTC")
    assert {name: each.passed for name, each in checks(result).items()} == {
        "access_is_fresh": True,
        "rolling_expiry": True,
        "hard_expiry": True,
        "encrypted_at_rest": True,
    }


def test_a_refusal_fails_the_run_and_the_checks_are_judged_all_the_same(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qbo_pipeline.tokens._SECOND_LOOK", 0)
    age(books, "2 hours")
    quickbooks.tell("/tokens/revoke", {})
    result = run(books, instance)
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert "connect it again now with 'qbo connect'" in str(data.description)
    assert "intuit_tid" in str(data.description)
    assert not checks(result)["access_is_fresh"].passed


@pytest.mark.parametrize(
    ("column", "left", "check", "severity"),
    [
        ("refresh_token_expires_at", "13 days", "rolling_expiry", dg.AssetCheckSeverity.WARN),
        ("refresh_hard_expires_at", "89 days", "hard_expiry", dg.AssetCheckSeverity.WARN),
        ("refresh_hard_expires_at", "29 days", "hard_expiry", dg.AssetCheckSeverity.WARN),
        ("refresh_hard_expires_at", "6 days", "hard_expiry", dg.AssetCheckSeverity.ERROR),
    ],
)
def test_an_end_in_sight_is_told_with_the_button_to_press(
    books: Books,
    company: Company,
    instance: dg.DagsterInstance,
    column: str,
    left: str,
    check: str,
    severity: dg.AssetCheckSeverity,
) -> None:
    table = "tokens" if column.startswith("refresh_token") else "connections"
    with books.engine.begin() as connection:
        connection.execute(
            sa.text(f"UPDATE quickbooks.{table} SET {column} = (now() AT TIME ZONE 'UTC') + interval '{left}'")
        )
    result = run(books, instance)
    found = checks(result)[check]
    assert result.success
    assert (found.passed, found.severity) == (False, severity)
    assert f"qbo connect --company {company.partition_key}" in str(found.description)
    assert [name for name, each in checks(result).items() if not each.passed] == [check]


def test_a_token_that_lies_open_is_told(books: Books, company: Company, instance: dg.DagsterInstance) -> None:
    with books.engine.begin() as connection:
        connection.execute(sa.text("UPDATE quickbooks.tokens SET refresh_token = 'RT1-open'"))
    assert not checks(run(books, instance))["encrypted_at_rest"].passed


def test_one_company_that_fails_does_not_keep_the_others_waiting(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance
) -> None:
    quickbooks.tell("/companies", {"realm": "9130000000000009", "seed": 2, "invoices": 1})
    quickbooks.connect(books, "9130000000000009")
    age(books)
    quickbooks.tell("/faults", {"fault": "drop_connection", "match": {"path": "tokens/bearer"}})
    assert not run(books, instance).success
    states = {status.company.realm_id: status.state for status in books.statuses()}
    assert sorted(states.values()) == ["active", "unknown"]
    assert books.due_for_refresh() == [], "the one waits for its next attempt, the other is done"


# --- the alert ------------------------------------------------------------------------------------------------------


class Listener:
    """A chat's incoming webhook."""

    def __init__(self, status: int = 200) -> None:
        told = self.told = []  # type: list[Any]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = Secret(f"http://127.0.0.1:{self._server.server_port}/services/T0/B0/canary-of-the-webhook")
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def chat() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.stop()


def alerted(books: Books, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> Any:
    event = next(event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="alert",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        resources={"books": books},
    ).for_run_failure()
    return alert(context)


def test_a_failed_run_is_told_with_what_to_do_and_without_secrets(
    books: Books, quickbooks: Sandbox, company: Company, instance: dg.DagsterInstance, chat: Listener
) -> None:
    age(books)
    token = books.token_store.read(REALM).access_token.reveal()  # type: ignore[attr-defined]
    quickbooks.tell("/tokens/revoke", {})
    result = run(books, instance)
    told = Books(msgspec.structs.replace(books.settings, alert_webhook_url=chat.url))
    assert alerted(told, instance, result) is None
    (message,) = chat.told
    assert set(message) == {"text"}
    assert "job refresh_tokens failed" in message["text"]
    assert f"qbo connect --company {company.partition_key}" in message["text"]
    assert token not in message["text"]
    told.database.dispose()


@pytest.mark.parametrize("status", [500, 302])
def test_a_chat_that_does_not_listen_fails_nothing(
    books: Books, company: Company, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(status)
    books_told = Books(msgspec.structs.replace(books.settings, alert_webhook_url=listener.url))
    assert books_told.alert("sync", "0" * 36) is False
    listener.stop()
    assert books_told.alert("sync", "0" * 36) is False
    assert "canary-of-the-webhook" not in caplog.text
    assert len(listener.told) == 1, "a redirect is not followed"
    assert books.alert("sync", "0" * 36) is False, "without an address nobody is told"
    books_told.database.dispose()
