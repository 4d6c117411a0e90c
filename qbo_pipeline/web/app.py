"""The web app: ``/connect`` sends a person to QuickBooks, the callback stores the company, ``/`` shows all of them.

``/connect?company=KEY`` connects one again and refuses any other. ``/disconnect`` asks which one, and only a form that
this very process showed may answer. ``/webhooks/quickbooks`` is for QuickBooks (``webhooks.py``); ``/healthz``,
``/readyz`` and ``/metrics`` are for machines.

It listens on loopback; put a reverse proxy with TLS before it to let Intuit or colleagues reach it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy.exc import OperationalError, SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from qbo_pipeline.books import Books
from qbo_pipeline.errors import PipelineError, UsageError
from qbo_pipeline.status import CompanyStatus
from qbo_pipeline.web.metrics import CONTENT_TYPE, metrics
from qbo_pipeline.web.webhooks import PATH, Receiver

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>QuickBooks companies</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}
td,th{{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #ddd}}
a.button{{display:inline-block;padding:.5rem 1rem;background:#2ca01c;color:#fff;border-radius:4px;text-decoration:none}}
p.problem{{color:#b00020}}
form{{display:inline}}</style>
<h1>QuickBooks companies</h1>{message}{companies}
<p><a class="button" href="/connect">Connect a company</a></p></html>"""

_DISCONNECT = (
    '<form method="post" action="/disconnect"><input type="hidden" name="company" value="{key}">'
    '<input type="hidden" name="token" value="{token}"><button>Disconnect</button></form>'
)

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


#: So many sentences are kept for pages that are still to be fetched.
_MOST_PROBLEMS = 20


def create_app(books: Books) -> Starlette:
    """Return the app over one installation's books."""
    # A redirect carries only the key of a sentence: no link can make this page say what we did not.
    problems: dict[str, str] = {}
    # Only a form of ours knows it: no page elsewhere can make a browser disconnect a company.
    form_token = secrets.token_urlsafe(32)

    async def home(request: Request) -> Response:
        return await shown(request, "")

    async def shown(request: Request, action: str) -> Response:
        message = _problem(problems.get(request.query_params.get("problem", ""), ""))
        try:
            statuses = await run_in_threadpool(books.statuses)
        except (PipelineError, OperationalError) as error:
            return HTMLResponse(_PAGE.format(message=_problem(_sentence(error)), companies=""), 503, _HEADERS)
        rows = "".join(_row(each, action) for each in statuses)
        table = (
            f"<table><tr><th>Company<th>Realm<th>State<th>{rows}</table>" if rows else "<p>None is connected yet.</p>"
        )
        return HTMLResponse(_PAGE.format(message=message, companies=table), headers=_HEADERS)

    async def connect(request: Request) -> Response:
        word = request.query_params.get("company")
        try:
            address = await run_in_threadpool(lambda: books.connector.begin(books.company(word) if word else None))
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

    async def disconnect(request: Request) -> Response:
        # Intuit sends people here, too, once they have disconnected the app in QuickBooks ("Disconnect URL").
        if request.method != "POST":
            return await shown(request, _DISCONNECT.replace("{token}", form_token))
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if not secrets.compare_digest(form.get("token", "").encode(), form_token.encode()):
            return explained(UsageError("That form is from elsewhere, or from before a restart; try again."))
        try:
            await run_in_threadpool(lambda: books.disconnect(books.company(form.get("company", ""))))
        except (PipelineError, OperationalError) as error:
            return explained(error)
        return RedirectResponse("/", 303, _HEADERS)

    def explained(error: Exception) -> Response:
        while len(problems) >= _MOST_PROBLEMS:
            del problems[next(iter(problems))]
        key = secrets.token_urlsafe(8)
        problems[key] = _sentence(error)
        return RedirectResponse(f"/?problem={key}", 302, _HEADERS)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        """Can it do its work? Its process lives whether or not."""
        try:
            await run_in_threadpool(books.letterbox.states)
        except (PipelineError, SQLAlchemyError) as error:
            return JSONResponse({"status": "not ready", "problem": _sentence(error)}, 503)
        verified = "on" if books.settings.webhook_verifier_tokens else "off: QBO_WEBHOOK_VERIFIER_TOKEN is not set"
        return JSONResponse({"status": "ok", "webhooks": verified})

    async def measures(_: Request) -> Response:
        try:
            text = await run_in_threadpool(metrics, books)
        except (PipelineError, SQLAlchemyError) as error:
            return PlainTextResponse(f"# {_sentence(error)}\n", 503)
        return Response(text, media_type=CONTENT_TYPE)

    redirect = urlsplit(books.settings.redirect_uri)
    # Other names for this machine, as a hostile page may give it one (DNS rebinding), are not answered.
    hosts = ["localhost", "127.0.0.1", redirect.hostname or "localhost"]
    pages = Starlette(
        routes=[
            Route("/", home),
            Route("/connect", connect),
            Route("/disconnect", disconnect, methods=["GET", "POST"]),
            Route(redirect.path or "/callback", callback),
            Route("/healthz", health),
            Route("/readyz", ready),
            Route("/metrics", measures),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )
    # Notifications carry a signature, so the name under which they find us says nothing about them.
    receiver = Receiver(books)

    @asynccontextmanager
    async def alive(_: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=receiver.get_ready, name="inbox", daemon=True).start()
        yield

    return Starlette(routes=[Route(PATH, receiver.receive, methods=["POST"]), Mount("/", pages)], lifespan=alive)


def _row(status: CompanyStatus, action: str) -> str:
    company = status.company
    key = escape(company.partition_key, quote=True)
    again = f'<a href="/connect?company={key}">Reconnect</a> ' if status.connection_action else ""
    if status.state == "disconnected":
        action = ""
    said = escape(status.connection_action or "")
    return (
        f"<tr><td>{escape(company.name)}<td>{escape(company.realm_id)}<td>{escape(status.state)}"
        f"<td>{again}{action.replace('{key}', key)}{said}"
    )


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, PipelineError) else "Postgres does not answer; try again in a moment."


def _problem(sentence: str) -> str:
    return f'<p class="problem">{escape(sentence[:500])}</p>' if sentence else ""
