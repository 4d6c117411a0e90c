"""The web app: ``/connect`` sends a person to QuickBooks, the callback stores the company, ``/`` shows all of them.

It listens on loopback; put a reverse proxy with TLS before it to let Intuit or colleagues reach it.
"""

from __future__ import annotations

import secrets
from html import escape
from urllib.parse import urlsplit

from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
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


#: So many sentences are kept for pages that are still to be fetched.
_MOST_PROBLEMS = 20


def create_app(books: Books) -> Starlette:
    """Return the app over one installation's books."""
    # A redirect carries only the key of a sentence: no link can make this page say what we did not.
    problems: dict[str, str] = {}

    async def home(request: Request) -> Response:
        message = _problem(problems.get(request.query_params.get("problem", ""), ""))
        try:
            connected = await run_in_threadpool(books.connected)
        except (PipelineError, OperationalError) as error:
            return HTMLResponse(_PAGE.format(message=_problem(_sentence(error)), companies=""), 503, _HEADERS)
        rows = "".join(
            f"<tr><td>{escape(each.name)}<td>{escape(each.realm_id)}<td>{escape(each.status)}" for each in connected
        )
        table = f"<table><tr><th>Company<th>Realm<th>Status{rows}</table>" if rows else "<p>None is connected yet.</p>"
        return HTMLResponse(_PAGE.format(message=message, companies=table), headers=_HEADERS)

    async def connect(_: Request) -> Response:
        try:
            address = await run_in_threadpool(lambda: books.connector.begin())
        except (PipelineError, OperationalError) as error:
            return explained(error)
        return RedirectResponse(address, 302, _HEADERS)

    async def callback(request: Request) -> Response:
        # Intuit asks that an endpoint receiving a code answers with a redirect, never with a page.
        answer = dict(request.query_params)
        try:
            await run_in_threadpool(lambda: books.connector.complete(answer))
        except (PipelineError, OperationalError) as error:
            return explained(error)
        return RedirectResponse("/", 302, _HEADERS)

    def explained(error: Exception) -> Response:
        while len(problems) >= _MOST_PROBLEMS:
            del problems[next(iter(problems))]
        key = secrets.token_urlsafe(8)
        problems[key] = _sentence(error)
        return RedirectResponse(f"/?problem={key}", 302, _HEADERS)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    redirect = urlsplit(books.settings.redirect_uri)
    # Other names for this machine, as a hostile page may give it one (DNS rebinding), are not answered.
    hosts = ["localhost", "127.0.0.1", redirect.hostname or "localhost"]
    return Starlette(
        routes=[
            Route("/", home),
            Route("/connect", connect),
            Route(redirect.path or "/callback", callback),
            Route("/healthz", health),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, PipelineError) else "Postgres does not answer; try again in a moment."


def _problem(sentence: str) -> str:
    return f'<p class="problem">{escape(sentence[:500])}</p>' if sentence else ""
