"""Notifications as QuickBooks sends them, for tests that send them by themselves."""

from __future__ import annotations

import asyncio
import atexit
import base64
import hmac
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message

from qbo_pipeline.books import Books
from qbo_pipeline.web.app import create_app
from tests.support.quickbooks import REALM

TOKEN = "sandbox-verifier"  # what a local installation believes unless told otherwise
_numbers = itertools.count(1)


def sign(body: bytes, token: str = TOKEN) -> str:
    return base64.b64encode(hmac.digest(token.encode(), body, "sha256")).decode()


def cloud_event(
    entity: str = "Invoice",
    key: str = "1",
    operation: str = "updated",
    *,
    realm: str = REALM,
    at: datetime | None = None,
    number: object = None,
    **more: Any,
) -> dict[str, Any]:
    """Return an event in today's format; without ``number`` it is another one each time."""
    told = next(_numbers) if number is None else number
    return {
        "specversion": "1.0",
        "id": f"00000000-0000-4000-8000-{told}-{entity}-{key}",
        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
        "type": f"qbo.{entity.lower()}.{operation}.v1",
        "datacontenttype": "application/json",
        "time": (at or datetime.now(UTC)).isoformat().replace("+00:00", "Z"),
        "intuitentityid": key,
        "intuitaccountid": realm,
        "data": {},
        **more,
    }


def legacy(*changes: dict[str, Any], realm: str = REALM) -> dict[str, Any]:
    """Return a notification in the format of before."""
    return {"eventNotifications": [{"realmId": realm, "dataChangeEvent": {"entities": list(changes)}}]}


#: One loop for all of them, as an app has one all its life.
_runner = asyncio.Runner()
atexit.register(_runner.close)


@dataclass
class Answer:
    """What an app answered."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Letters:
    """Whoever delivers to an installation's web app, in this process: no server, and headers byte for byte."""

    def __init__(self, books: Books) -> None:
        self._app: ASGIApp = create_app(books)

    def tell(self, events: Sequence[dict[str, Any]] | dict[str, Any]) -> None:
        """Deliver events, signed; they must be taken."""
        answer = self.deliver(json.dumps(events).encode())
        assert answer.status == 200, answer

    def deliver(self, body: bytes, signature: str | None = None, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
        """Deliver a body as it is, signed unless another signature is given."""
        signed = (b"intuit-signature", (sign(body) if signature is None else signature).encode("latin-1"))
        return self.ask("POST", "/webhooks/quickbooks", [signed, *headers], body)

    def get(self, path: str, host: bytes = b"localhost") -> Answer:
        """Ask for a page."""
        return self.ask("GET", path, [(b"host", host)])

    def ask(self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], *parts: bytes) -> Answer:
        """Make a request; a body may come in several parts."""
        return _runner.run(self._ask(method, path, headers, parts or (b"",)))

    async def _ask(
        self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], parts: Sequence[bytes]
    ) -> Answer:
        waiting = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
        said: list[Message] = []

        async def receive() -> Message:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            said.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"version": "3.0"},
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": list(headers),
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8500),
        }
        await self._app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in said[1:])
        return Answer(said[0]["status"], said[0]["headers"], body)
