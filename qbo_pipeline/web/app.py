"""The web app: ``/connect`` sends a person to QuickBooks, the callback stores the company, ``/`` shows all of them.

It listens on loopback; put a reverse proxy with TLS before it to let Intuit or colleagues reach it.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from qbo_pipeline.books import Books
from qbo_pipeline.errors import PipelineError

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>QuickBooks companies</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}
td,th{{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #ddd}}
a.button{{display:inline-block;padding:.5rem 1rem;background:#2ca01c;color:#fff;border-radius:4px;text-decoration:none}}
p.problem{{color:#b00020}}</style>
<h1>QuickBooks companies</h1>{message}{companies}
<p><a class="button" href="/connect">Connect a company</a></p></html>"""

_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


def create_app(books: Books) -> Starlette:
    """Return the app over one installation's books."""

    async def home(request: Request) -> Response:
        try:
            connected = await run_in_threadpool(books.connected)
        except PipelineError as error:
            return HTMLResponse(_PAGE.format(message=_problem(str(error)), companies=""), 503, _HEADERS)
        rows = "".join(
            f"<tr><td>{escape(each.name)}<td>{escape(each.realm_id)}<td>{escape(each.status)}" for each in connected
        )
        table = f"<table><tr><th>Company<th>Realm<th>Status{rows}</table>" if rows else "<p>None is connected yet.</p>"
        problem = request.query_params.get("problem")
        message = _problem(problem) if problem else ""
        return HTMLResponse(_PAGE.format(message=message, companies=table), headers=_HEADERS)

    async def connect(_: Request) -> Response:
        try:
            address = await run_in_threadpool(lambda: books.connector.begin())
        except PipelineError as error:
            return RedirectResponse(f"/?problem={quote(str(error))}", 302, _HEADERS)
        return RedirectResponse(address, 302, _HEADERS)

    async def callback(request: Request) -> Response:
        # Intuit asks that an endpoint receiving a code answers with a redirect, never with a page.
        answer = dict(request.query_params)
        try:
            await run_in_threadpool(lambda: books.connector.complete(answer))
        except PipelineError as error:
            return RedirectResponse(f"/?problem={quote(str(error))}", 302, _HEADERS)
        return RedirectResponse("/", 302, _HEADERS)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    path = urlsplit(books.settings.redirect_uri).path or "/callback"
    return Starlette(
        routes=[
            Route("/", home),
            Route("/connect", connect),
            Route(path, callback),
            Route("/healthz", health),
        ]
    )


def _problem(sentence: str) -> str:
    return f'<p class="problem">{escape(sentence[:500])}</p>'
