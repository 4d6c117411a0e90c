"""The web app: ``/connect`` sends a person to QuickBooks, the callback stores the company, ``/`` shows all of them.

``/connect?company=KEY`` connects one again and refuses any other. ``/disconnect`` asks which one, and only a form that
this very process showed may answer. ``/webhooks/quickbooks`` is for QuickBooks (``webhooks.py``); ``/healthz``,
``/readyz`` and ``/metrics`` are for machines.

It listens on loopback; put a reverse proxy with TLS before it to let Intuit or colleagues reach it.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount, Route

from qbo_pipeline.books import Books
from qbo_pipeline.web.pages import Pages
from qbo_pipeline.web.probes import Probes
from qbo_pipeline.web.webhooks import PATH, Receiver


def create_app(books: Books) -> Starlette:
    """Return the app over one installation's books."""
    redirect = urlsplit(books.settings.redirect_uri)
    # Other names for this machine, as a hostile page may give it one (DNS rebinding), are not answered.
    hosts = ["localhost", "127.0.0.1", redirect.hostname or "localhost"]
    pages, probes = Pages(books), Probes(books)
    site = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/connect", pages.connect),
            Route("/disconnect", pages.disconnect, methods=["GET", "POST"]),
            Route(redirect.path or "/callback", pages.callback),
            Route("/healthz", probes.health),
            Route("/readyz", probes.ready),
            Route("/metrics", probes.metrics),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )
    # Notifications carry a signature, so the name under which they find us says nothing about them.
    receiver = Receiver(books)

    @asynccontextmanager
    async def alive(_: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=receiver.get_ready, name="inbox", daemon=True).start()
        yield

    return Starlette(routes=[Route(PATH, receiver.receive, methods=["POST"]), Mount("/", site)], lifespan=alive)
