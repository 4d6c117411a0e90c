"""A local QuickBooks for tests that go over HTTP: the sandbox as a process of its own, and its remote control."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES
from qbo_pipeline.warehouse.companies import Company
from tests.support.payloads import key_text

REALM = "9130000000000001"


@dataclass
class Sandbox:
    """A running sandbox."""

    url: str

    def tell(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Use the remote control; a body means POST."""
        answer = requests.request(
            method or ("GET" if body is None else "POST"), f"{self.url}/_sandbox{path}", json=body, timeout=60
        )
        assert answer.ok, answer.text
        return answer.json()

    def edit(self, *operations: dict[str, Any], realm: str = REALM) -> list[dict[str, Any]]:
        """Edit books without OAuth; returns what came of each operation."""
        applied: list[dict[str, Any]] = self.tell(f"/books/{realm}", list(operations))["applied"]
        return applied

    def truth(self, realm: str = REALM) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the books as they are: entity -> id (or natural key) -> payload, numbers exact."""
        import json
        from decimal import Decimal

        answer = requests.get(f"{self.url}/_sandbox/books/{realm}", timeout=60)
        entities = json.loads(answer.text, parse_float=Decimal)["entities"]
        known = {entity.json_key: entity for entity in ENTITIES}
        return {
            name: {key_text(known[name], record): record for record in records} for name, records in entities.items()
        }

    def calls(self) -> list[dict[str, Any]]:
        """Return the log of API calls since it was last cleared."""
        log: list[dict[str, Any]] = self.tell("/calls")["calls"]
        return log

    def connect(self, books: Books, realm: str = REALM) -> Company:
        """Connect a company through the consent flow, as a person who says yes."""
        address = f"{books.connector.begin()}&auto=1&realm={realm}"
        answer = requests.get(address, allow_redirects=False, timeout=60)
        return books.connector.complete(dict(parse_qsl(urlsplit(answer.headers["Location"]).query)))


@contextmanager
def running_sandbox(*arguments: str) -> Iterator[Sandbox]:
    """Start a sandbox on a free port and stop it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "qbo_pipeline.sandbox", "--port", "0", "--no-throttle", *arguments],
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
        yield Sandbox(found[0])
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(20)
        process.stdout.close()
