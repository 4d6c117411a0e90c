"""``qbo connect``: let QuickBooks ask a person for consent, and catch the answer here. ``qbo disconnect``: the end."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import click

from qbo_pipeline.cli.local import check_answers
from qbo_pipeline.cli.processes import check_port
from qbo_pipeline.cli.terminal import company_option, json_option, print_json
from qbo_pipeline.errors import BusyError, PipelineError, SettingsError

if TYPE_CHECKING:
    from qbo_pipeline.settings import Settings

_WAIT_SECONDS = 600
_SHOWN_SECONDS = 3


@click.command()
@click.option("--company", metavar="KEY", help="Connect this one again, and refuse any other that is chosen.")
@click.option("--no-browser", is_flag=True, help="Only print the address; open it yourself.")
def connect(company: str | None, no_browser: bool) -> None:
    """Connect a company: opens QuickBooks' consent page and waits for the answer."""
    from qbo_pipeline.books import Books

    books = Books()
    again = books.company(company) if company else None
    _ = books.oauth  # keys that are missing are missed before anybody is asked for consent
    check_answers(books.settings)
    with _Callback(books.settings) as callback:
        address = books.connector.begin(again)
        click.echo(f"Open this address to connect a company:\n\n  {address}\n")
        if not no_browser and _has_browser():
            webbrowser.open(address)
        connected = books.connector.complete(callback.answer())
    click.echo(f"Connected {connected.name} ({connected.realm_id}). Load its books with: qbo sync")


@click.command()
@company_option
@json_option
def disconnect(company: str | None, as_json: bool) -> None:
    """Revoke a company's consent at QuickBooks, then wipe its tokens here; its books stay."""
    from qbo_pipeline.books import Books

    books = Books()
    found = books.company(company)
    _ = books.oauth
    check_answers(books.settings)
    revoked = books.disconnect(found)
    if as_json:
        print_json({"company": found.partition_key, "revoked": revoked})
        return
    how = "QuickBooks has revoked the consent" if revoked else "QuickBooks knew of no consent any more"
    click.echo(f"Disconnected {found.name} ({found.realm_id}): {how}, and its tokens are wiped. Its books stay.")


def _has_browser() -> bool:
    """Tell whether a window can open; a browser of the terminal would take over the screen."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(n) for n in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    )


class _Callback:
    """Listens at the redirect address, on loopback, for the one answer."""

    def __init__(self, settings: Settings) -> None:
        if not settings.redirects_here:
            raise SettingsError(
                f"QBO_REDIRECT_URI is {settings.redirect_uri}, which is not on this machine. Use a http://localhost "
                "address for 'qbo connect', or connect through the web app at that address."
            )
        parts = urlsplit(settings.redirect_uri)
        self._path = parts.path or "/"
        self._answered, self._shown = threading.Event(), threading.Event()
        self._query: dict[str, str] = {}
        advice = f"if the web app runs there, connect at {parts.scheme}://{parts.netloc}/connect instead"
        check_port(settings.web_port, "of QBO_REDIRECT_URI", advice)
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", settings.web_port), self._handler())
        except OSError:
            raise BusyError(f"Port {settings.web_port} of QBO_REDIRECT_URI is taken: {advice}.") from None

    def __enter__(self) -> _Callback:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._answered.is_set():
            self._shown.wait(_SHOWN_SECONDS)  # the browser is on its way to the page that says so
        self._server.shutdown()
        self._server.server_close()

    def answer(self) -> dict[str, str]:
        """Wait for the answer; raise PipelineError when nobody answers."""
        if not self._answered.wait(_WAIT_SECONDS):
            raise PipelineError("Nobody answered QuickBooks' question within ten minutes; run 'qbo connect' again.")
        return self._query

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        callback = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/done":
                    self._say(200, "QuickBooks has answered. You can close this window and go back to the terminal.")
                    callback._shown.set()
                elif parts.path != callback._path:
                    self._say(404, "Nothing here.")
                else:
                    callback._query = dict(parse_qsl(parts.query))
                    # Intuit requires that an endpoint receiving a code answers with a redirect, not with a page.
                    self.send_response(302)
                    self.send_header("Location", "/done")
                    self.end_headers()
                    callback._answered.set()

            def _say(self, status: int, sentence: str) -> None:
                body = sentence.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing: the address holds the code."""

        return Handler
