"""``POST /webhooks/quickbooks``: verify, store, answer. What it means is found out later, by somebody else.

Intuit waits three seconds, delivers again what was not answered with 200, and may hold back everything that comes
after it until then. So whatever it signed is answered with 200 once it is stored, also what we cannot read; only a
database that is away is 503, for Intuit to come again. Whatever it did not sign is 401, and nothing is stored of it.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import sqlalchemy as sa
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import NOTIFIED
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.installation import LETTERBOX_CONNECTIONS
from qbo_pipeline.qbo.notifications import Event, read_notification
from qbo_pipeline.qbo.webhook_signature import verify_signature

PATH = "/webhooks/quickbooks"
LARGEST_BODY = 1_000_000
#: Together less than the three seconds that Intuit waits.
_READ_SECONDS, _STORE_SECONDS = 10.0, 2.5
_SIGNATURE = "intuit-signature"

_log = logging.getLogger(__name__)


class Receiver:
    """Takes notifications of one installation."""

    def __init__(self, books: Books) -> None:
        self._books = books
        # Threads of its own: people who look at the web app must not keep QuickBooks waiting.
        self._threads = anyio.CapacityLimiter(LETTERBOX_CONNECTIONS)

    def get_ready(self) -> None:
        """Open the connections: far from its Postgres, making one takes longer than QuickBooks waits."""
        with ThreadPoolExecutor(LETTERBOX_CONNECTIONS) as crowd:
            for opened in [crowd.submit(self._look) for _ in range(LETTERBOX_CONNECTIONS)]:
                opened.result()

    def _look(self) -> None:
        try:
            self._books.letterbox.states()
        except (PipelineError, sa.exc.SQLAlchemyError) as error:
            _log.warning(
                "The inbox cannot be reached yet (%s); notifications are answered with 503.", type(error).__name__
            )

    async def receive(self, request: Request) -> Response:
        """Answer one notification."""
        signatures = request.headers.getlist(_SIGNATURE)
        if len(signatures) != 1:
            return Response(status_code=401)
        try:
            with anyio.fail_after(_READ_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return Response(status_code=408)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        if body is None:
            return Response(status_code=413)
        if not verify_signature(body, signatures[0], self._books.settings.webhook_verifier_tokens):
            return Response(status_code=401)
        try:
            with anyio.fail_after(_STORE_SECONDS):
                await anyio.to_thread.run_sync(
                    self._store, read_notification(body, NOTIFIED), limiter=self._threads, abandon_on_cancel=True
                )
        except (TimeoutError, PipelineError, sa.exc.SQLAlchemyError) as error:
            # Stored twice is stored once, so what was stored too late to say so may come again.
            _log.warning(
                "A notification could not be stored (%s); QuickBooks will send it again.", type(error).__name__
            )
            return Response(status_code=503, headers={"Retry-After": "10"})
        return Response(status_code=200)

    def _store(self, events: list[Event]) -> None:
        try:
            self._books.letterbox.accept(events)
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # Postgres was started again since: its connections are gone, and now the pool knows.
            self._books.letterbox.accept(events)


async def _body(request: Request) -> bytes | None:
    """Return the body, None when it is larger than any notification; it is not read to its end then."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)
