"""The pages a person sees: who is connected, the way to QuickBooks and back, the way out."""

from __future__ import annotations

import secrets
from html import escape
from urllib.parse import parse_qsl

from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from qbo_pipeline.books import Books
from qbo_pipeline.errors import PipelineError, UsageError
from qbo_pipeline.status import CompanyStatus
from qbo_pipeline.web.sentences import sentence

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


class Pages:
    """The pages of one installation, as long as one process serves them."""

    def __init__(self, books: Books) -> None:
        """Forms that another process showed are not answered by this one."""
        self._books = books
        # A redirect carries only the key of a sentence: no link can make this page say what we did not.
        self._problems: dict[str, str] = {}
        # Only a form of ours knows it: no page elsewhere can make a browser disconnect a company.
        self._form_token = secrets.token_urlsafe(32)

    async def home(self, request: Request) -> Response:
        """Show every company and its state."""
        return await self._shown(request, "")

    async def _shown(self, request: Request, action: str) -> Response:
        message = _problem(self._problems.get(request.query_params.get("problem", ""), ""))
        try:
            statuses = await run_in_threadpool(self._books.statuses)
        except (PipelineError, OperationalError) as error:
            return HTMLResponse(_PAGE.format(message=_problem(sentence(error)), companies=""), 503, _HEADERS)
        rows = "".join(_row(each, action) for each in statuses)
        table = (
            f"<table><tr><th>Company<th>Realm<th>State<th>{rows}</table>" if rows else "<p>None is connected yet.</p>"
        )
        return HTMLResponse(_PAGE.format(message=message, companies=table), headers=_HEADERS)

    async def connect(self, request: Request) -> Response:
        """Send a person to QuickBooks; with ``company``, to connect that one again."""
        word = request.query_params.get("company")
        try:
            address = await run_in_threadpool(
                lambda: self._books.connector.begin(self._books.company(word) if word else None)
            )
        except (PipelineError, OperationalError) as error:
            return self._explained(error)
        return RedirectResponse(address, 302, _HEADERS)

    async def callback(self, request: Request) -> Response:
        """Store the company that a person comes back with."""
        # Intuit asks that an endpoint receiving a code answers with a redirect, never with a page.
        answer = dict(request.query_params)
        try:
            await run_in_threadpool(lambda: self._books.connector.complete(answer))
        except (PipelineError, OperationalError) as error:
            return self._explained(error)
        return RedirectResponse("/", 302, _HEADERS)

    async def disconnect(self, request: Request) -> Response:
        """Ask which company to disconnect; do it when our own form says so."""
        # Intuit sends people here, too, once they have disconnected the app in QuickBooks ("Disconnect URL").
        if request.method != "POST":
            return await self._shown(request, _DISCONNECT.replace("{token}", self._form_token))
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if not secrets.compare_digest(form.get("token", "").encode(), self._form_token.encode()):
            return self._explained(UsageError("That form is from elsewhere, or from before a restart; try again."))
        try:
            await run_in_threadpool(lambda: self._books.disconnect(self._books.company(form.get("company", ""))))
        except (PipelineError, OperationalError) as error:
            return self._explained(error)
        return RedirectResponse("/", 303, _HEADERS)

    def _explained(self, error: Exception) -> Response:
        while len(self._problems) >= _MOST_PROBLEMS:
            del self._problems[next(iter(self._problems))]
        key = secrets.token_urlsafe(8)
        self._problems[key] = sentence(error)
        return RedirectResponse(f"/?problem={key}", 302, _HEADERS)


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


def _problem(sentence: str) -> str:
    return f'<p class="problem">{escape(sentence[:500])}</p>' if sentence else ""
