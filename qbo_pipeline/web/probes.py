"""What machines ask: does the process live, can it work, and how is everything doing."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from qbo_pipeline.books import Books
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.web.metrics import CONTENT_TYPE, metrics
from qbo_pipeline.web.sentences import sentence


class Probes:
    """``/healthz``, ``/readyz`` and ``/metrics`` of one installation."""

    def __init__(self, books: Books) -> None:
        """Nothing is asked before somebody asks."""
        self._books = books

    async def health(self, _: Request) -> Response:
        """Say that the process lives."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """Say whether it can do its work."""
        try:
            await run_in_threadpool(self._books.letterbox.states)
        except (PipelineError, SQLAlchemyError) as error:
            return JSONResponse({"status": "not ready", "problem": sentence(error)}, 503)
        verified = (
            "on" if self._books.settings.webhook_verifier_tokens else "off: QBO_WEBHOOK_VERIFIER_TOKEN is not set"
        )
        return JSONResponse({"status": "ok", "webhooks": verified})

    async def metrics(self, _: Request) -> Response:
        """Return every measure in Prometheus' text format."""
        try:
            text = await run_in_threadpool(metrics, self._books)
        except (PipelineError, SQLAlchemyError) as error:
            return PlainTextResponse(f"# {sentence(error)}\n", 503)
        return Response(text, media_type=CONTENT_TYPE)
