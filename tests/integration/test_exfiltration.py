"""Whoever may write a row of ``tokens``, or answer in QuickBooks' place, does not get a token sent anywhere else."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.errors import QboError, RejectedError
from qbo_pipeline.warehouse.companies import Company
from tests.support.quickbooks import REALM, Sandbox


class Trap:
    """A server of somebody else's: whatever arrives here was sent to the wrong place."""

    def __init__(self, redirect_to: str | None = None) -> None:
        caught = self.caught = []  # type: list[str]

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                caught.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
                self.send_response(307 if redirect_to else 200)
                if redirect_to:
                    self.send_header("Location", f"{redirect_to}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = _answer  # noqa: N815 - http.server calls them so

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    made = Trap()
    yield made
    made.stop()


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:{port}",
        "http://localhost:{port}/v3",
        "https://quickbooks.api.intuit.com@127.0.0.1:{port}",
        "http://2130706433:{port}",
        "//127.0.0.1:{port}",
        "http://127.0.0.1:{port}/#https://quickbooks.api.intuit.com",
    ],
)
def test_an_address_in_the_tokens_table_sends_nothing_anywhere(
    books: Books, quickbooks: Sandbox, company: Company, trap: Trap, base_url: str
) -> None:
    with books.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE quickbooks.tokens SET base_url = :url"), {"url": base_url.format(port=trap.port)}
        )
    token = books.keeper.access_token(REALM)
    assert books.keeper.access_token(REALM, refused=token) != token
    client = books.client_of(company, lambda _: None)
    assert client.company_info()
    assert trap.caught == []


def test_a_redirect_is_not_followed(books: Books, company: Company, trap: Trap) -> None:
    """Neither with the refresh token and the app's secret, nor with an access token."""
    elsewhere = Trap(redirect_to=trap.url)
    lured = Books(msgspec.structs.replace(books.settings, local_url=elsewhere.url))
    with pytest.raises(RejectedError, match="a redirect, which we never follow"):
        lured.keeper.refresh(REALM, refused=books.keeper.access_token(REALM))
    with pytest.raises(QboError):
        lured.client_of(company, lambda _: None).company_info()
    assert len(elsewhere.caught) >= 2
    assert trap.caught == []
    elsewhere.stop()
    lured.database.dispose()


def test_tokens_of_one_environment_are_not_sent_to_another(books: Books, company: Company, trap: Trap) -> None:
    """With QBO_ENVIRONMENT=production a company of the local QuickBooks is not even seen."""
    production = Books(msgspec.structs.replace(books.settings, environment="production", local_url=None))
    assert production.connected() == []
    assert production.due_for_refresh() == []
    production.database.dispose()
