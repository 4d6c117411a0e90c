"""``qbo connect`` with a scripted browser: a person who says yes, one who says no, and somebody who was never asked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import sqlalchemy as sa

from tests.integration.cli.conftest import Terminal
from tests.support.quickbooks import REALM

Browser = Callable[[str], object]


@pytest.fixture
def browse(monkeypatch: pytest.MonkeyPatch) -> Callable[[Browser], list[str]]:
    """Let ``visit`` be the browser that opens; returns what the pages it ended at said."""

    def install(visit: Browser) -> list[str]:
        opened: list[str] = []

        def open_window(address: str) -> bool:
            opened.append(address)
            threading.Thread(target=visit, args=(address,), daemon=True).start()
            return True

        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr("webbrowser.open", open_window)
        return opened

    return install


@pytest.fixture
def redirect(free: Callable[[], int]) -> str:
    return f"http://localhost:{free()}/callback"


def test_a_company_is_connected(
    terminal: Terminal, browse: Callable[[Browser], list[str]], redirect: str, engine: sa.Engine
) -> None:
    ended: list[str] = []

    def consent(address: str) -> None:
        ended.append(requests.get(f"{address}&auto=1&realm={REALM}", timeout=30).text)

    opened = browse(consent)
    result = terminal.type("connect", QBO_REDIRECT_URI=redirect)
    assert result.exit_code == 0, result.output
    assert opened[0] in result.stdout, "the address is printed too, for another browser"
    assert f"({REALM}). Load its books with: qbo sync" in result.stdout
    with engine.connect() as connection:
        stored = connection.execute(sa.text("SELECT realm_id, is_active FROM quickbooks.tokens")).one()
    assert tuple(stored) == (REALM, True)
    assert "You can close this window" in ended[0]


def test_consent_refused_connects_nothing(
    terminal: Terminal, browse: Callable[[Browser], list[str]], redirect: str, engine: sa.Engine
) -> None:
    browse(lambda address: requests.get(f"{address}&auto=deny", timeout=30))
    result = terminal.type("connect", QBO_REDIRECT_URI=redirect)
    assert result.exit_code == 1
    assert result.stderr == "Error: Consent was refused at QuickBooks, so nothing was connected.\n"
    assert _connections(engine) == 0


@pytest.mark.parametrize("state", ["forged", ""])
def test_an_answer_nobody_asked_for_is_refused(
    terminal: Terminal, browse: Callable[[Browser], list[str]], redirect: str, engine: sa.Engine, state: str
) -> None:
    browse(lambda _: requests.get(f"{redirect}?code=x&realmId={REALM}&state={state}", timeout=30))
    result = terminal.type("connect", QBO_REDIRECT_URI=redirect)
    assert result.exit_code == 1
    assert "belongs to no request of ours" in result.stderr
    assert _connections(engine) == 0


def test_a_wrong_client_secret_is_explained(
    terminal: Terminal, browse: Callable[[Browser], list[str]], redirect: str, engine: sa.Engine
) -> None:
    browse(lambda address: requests.get(f"{address}&auto=1", timeout=30))
    keys = {"QBO_CLIENT_ID": "sandbox-client", "QBO_CLIENT_SECRET": "s3cret-client"}
    result = terminal.type("connect", QBO_REDIRECT_URI=redirect, **keys)
    assert result.exit_code == 1
    assert "the client id or client secret is wrong" in result.stderr
    assert "Traceback" not in result.output
    assert _connections(engine) == 0


def test_other_addresses_of_the_callback_say_nothing(
    terminal: Terminal, browse: Callable[[Browser], list[str]], redirect: str
) -> None:
    """A browser asks for an icon, and that must not count as the answer."""
    codes: list[int] = []

    def stray(address: str) -> None:
        parts = urlsplit(dict(parse_qsl(urlsplit(address).query))["redirect_uri"])
        codes.append(requests.get(f"{parts.scheme}://{parts.netloc}/favicon.ico", timeout=30).status_code)
        requests.get(f"{address}&auto=1", timeout=30)

    browse(stray)
    assert terminal.type("connect", QBO_REDIRECT_URI=redirect).exit_code == 0
    assert codes == [404]


def test_without_a_screen_no_browser_is_started(
    terminal: Terminal, browse: Callable[[Browser], list[str]], redirect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser of the terminal (lynx, w3m) would take over the screen."""
    opened = browse(lambda _: None)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.modules["qbo_pipeline.cli.connect"], "_WAIT_SECONDS", 0)
    result = terminal.type("connect", QBO_REDIRECT_URI=redirect)
    assert result.exit_code == 1
    assert "Nobody answered" in result.stderr
    assert opened == []


def _connections(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM quickbooks.connections")).scalar_one())
