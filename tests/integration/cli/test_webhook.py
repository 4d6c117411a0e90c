"""``qbo webhook …``: a notification followed on its way, and the dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from qbo_pipeline.books import Books
from tests.integration.cli.conftest import Terminal
from tests.support.quickbooks import REALM
from tests.support.webhooks import Letters, cloud_event

pytestmark = pytest.mark.slow


@pytest.fixture
def web(loaded: Books, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The web app in this process at whatever address is written to; ``acting`` in the list acts on it at once."""
    letters, then = Letters(loaded), ["acting"]

    def post(url: str, *, data: bytes, headers: dict[str, str], **_: Any) -> Any:
        status = letters.deliver(data, headers["intuit-signature"]).status
        if then == ["acting"]:
            loaded.act_on_webhooks(None)
        return SimpleNamespace(status_code=status)

    monkeypatch.setattr(requests, "post", post)
    return then


def test_a_notification_is_followed_until_it_was_acted_on(terminal: Terminal, loaded: Books, web: list[str]) -> None:
    found = terminal.json("webhook", "test", "--json")
    assert (found["status"], found["note"]) == ("done", None)
    said = terminal.type("webhook", "test", "--url", "https://books.example.com/webhooks/quickbooks")
    assert said.exit_code == 0, said.output
    assert "Accepted by https://books.example.com/webhooks/quickbooks" in said.stderr
    assert said.stdout.startswith("Acted on after ")


def test_what_is_in_its_way_is_said(terminal: Terminal, loaded: Books, web: list[str]) -> None:
    web[:] = ["nobody acts"]
    said = terminal.type("webhook", "test", "--wait", "0")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "is Dagster running ('qbo up')" in said.stderr.splitlines()[-1]
    wrong = terminal.refused("webhook", "test", QBO_WEBHOOK_VERIFIER_TOKEN="another-token")
    assert "QBO_WEBHOOK_VERIFIER_TOKEN is another there" in wrong
    (row,) = terminal.json("status", "--json")["companies"]
    assert (row["webhook_events_waiting"], row["webhook_dead_letters"]) == (1, 0)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (requests.exceptions.SSLError("s3cret-password"), "has no certificate that is trusted"),
        (requests.ConnectionError("s3cret-password"), "does not answer: is 'qbo up' running"),
        (404, "answered HTTP 404: only /webhooks/quickbooks takes notifications"),
        (503, "its database does not answer"),
        (200, "the address leads to another installation"),
    ],
)
def test_an_address_that_is_not_ours_is_explained(
    terminal: Terminal, loaded: Books, monkeypatch: pytest.MonkeyPatch, failure: Any, sentence: str
) -> None:
    def post(*_: object, **__: object) -> Any:
        if isinstance(failure, Exception):
            raise failure
        return SimpleNamespace(status_code=failure)

    monkeypatch.setattr(requests, "post", post)
    said = terminal.type("webhook", "test", "--url", "https://elsewhere.example.com/")
    assert said.exit_code == 1
    assert sentence in said.stderr.splitlines()[-1]


def test_dead_letters_are_listed_and_tried_again(terminal: Terminal, loaded: Books) -> None:
    letters = Letters(loaded)
    assert terminal.type("webhook", "dead").stdout == "There are no dead letters.\n"
    stranger = cloud_event(realm="9140")
    letters.tell([stranger, cloud_event("Nonsense")])
    listed = terminal.json("webhook", "dead", "--json")["dead"]
    assert sorted(each["why"] for each in listed) == [
        "no company of that realm is connected",
        "nothing called 'nonsense' is synced",
    ]
    assert json.loads(next(each for each in listed if each["event"] == stranger["id"])["raw"]) == stranger
    assert "'nonsense'" in terminal.type("webhook", "dead").stdout
    status = terminal.json("status", "--json")
    assert (status["webhook_dead_letters"], status["companies"][0]["webhook_dead_letters"]) == (2, 1)
    assert "qbo webhook dead" in status["companies"][0]["next_action"]

    assert terminal.json("webhook", "retry", "--json") == {"retried": 0, "still_dead": 2}
    with loaded.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE quickbooks.connections SET realm_id = '9140' WHERE realm_id = :r"), {"r": REALM}
        )
    assert terminal.json("webhook", "retry", stranger["id"], "--json") == {"retried": 1, "still_dead": 0}
    assert [each.realm_id for each in loaded.inbox.due()] == ["9140"]
    assert "There is no dead letter" in terminal.refused("webhook", "retry", stranger["id"])


def test_without_a_token_it_says_where_to_find_one(
    terminal: Terminal, loaded: Books, change_environment: Callable[[str], None]
) -> None:
    change_environment("production")
    said = terminal.refused("webhook", "test", QBO_ENVIRONMENT="production", QBO_CLIENT_ID="a", QBO_CLIENT_SECRET="b")
    assert "copy the verifier token from your app's page" in said


@pytest.fixture
def change_environment(loaded: Books) -> Callable[[str], None]:
    def change(environment: str) -> None:
        with loaded.engine.begin() as connection:
            connection.execute(sa.text("UPDATE quickbooks.connections SET environment = :e"), {"e": environment})

    return change
