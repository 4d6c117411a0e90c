"""The client against the local QuickBooks, over HTTP: two pieces of code that share no line agree, or one is wrong."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from qbo_pipeline.qbo.client import Call, Patience, QboClient
from qbo_pipeline.qbo.environments import Environment, local
from qbo_pipeline.qbo.oauth import Grant, OAuthClient
from qbo_pipeline.qbo.throttle import Throttle
from qbo_pipeline.qbo.transport import Limits, new_session

CALLBACK = "http://localhost:8000/callback"


@dataclass
class Sandbox:
    """The local QuickBooks and its remote control."""

    url: str

    def tell(self, path: str, body: Any = None, method: str | None = None) -> Any:
        answer = requests.request(
            method or ("GET" if body is None else "POST"), f"{self.url}/_sandbox{path}", json=body, timeout=60
        )
        assert answer.ok, answer.text
        return answer.json()

    def consent(self, oauth: OAuthClient, state: str = "s-1") -> dict[str, str]:
        """Be the person who clicks Connect, and return what the callback would receive."""
        page = oauth.authorize_url(state, CALLBACK)
        answer = requests.get(f"{page}&auto=1", allow_redirects=False, timeout=60)
        assert answer.status_code == 302, answer.text
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}

    def edit(self, realm: str, *operations: dict[str, Any]) -> list[dict[str, Any]]:
        applied: list[dict[str, Any]] = self.tell(f"/books/{realm}", list(operations))["applied"]
        return applied

    def break_calls(self, fault: str, **rule: Any) -> None:
        self.tell("/faults", {"fault": fault, **rule})


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """Start the sandbox once for the session."""
    process = subprocess.Popen(
        [sys.executable, "-m", "qbo_pipeline.sandbox", "--port", "0", "--seed", "1", "--invoices", "200"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
        found = [word for word in line.split() if word.startswith("http://127.0.0.1:")]
        assert found, f"the sandbox did not start; it said {line!r}"
        watchdog.cancel()
        yield found[0]
    finally:
        watchdog.cancel()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.stdout.close()
        process.wait()


@pytest.fixture
def sandbox(sandbox_url: str) -> Sandbox:
    """The sandbox as it was when it started."""
    started = Sandbox(sandbox_url)
    started.tell("/faults", method="DELETE")
    started.tell("/reset", {})
    started.tell("/settings", {"throttle": False})
    return started


@pytest.fixture
def environment(sandbox_url: str) -> Environment:
    return local(sandbox_url)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with new_session() as opened:
        yield opened


@pytest.fixture
def oauth(environment: Environment, session: requests.Session) -> OAuthClient:
    return OAuthClient(environment, client_id="sandbox-client", client_secret="sandbox-secret", session=session)


@dataclass
class Connection:
    """A connected company: a client, its tokens, and every call it made."""

    client: QboClient
    realm: str
    grant: Grant
    oauth: OAuthClient
    calls: list[Call] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    refreshes: int = 0

    def access_token(self, refused: str | None) -> str:
        if refused is not None:
            self.grant = self.oauth.refresh(self.grant.refresh_token)
            self.refreshes += 1
        return self.grant.access_token


@pytest.fixture
def company(sandbox: Sandbox, environment: Environment, oauth: OAuthClient, session: requests.Session) -> Connection:
    """The first company, connected; waiting is noted, not done."""
    callback = sandbox.consent(oauth)
    grant = oauth.exchange(callback["code"], CALLBACK)
    held: list[Connection] = []
    calls: list[Call] = []
    waits: list[float] = []
    client = QboClient(
        environment,
        callback["realmId"],
        access_token=lambda refused: held[0].access_token(refused),
        session=session,
        throttle=Throttle(per_second=1000, per_minute=100_000, sleep=waits.append, clock=lambda: sum(waits)),
        on_call=calls.append,
        sleep=waits.append,
        limits=Limits(read=2.0, total=3.0),
        patience=Patience(),
    )
    held.append(Connection(client, callback["realmId"], grant, oauth, calls, waits))
    return held[0]
