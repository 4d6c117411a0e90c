"""Putting the sandbox together: one ASGI application with the API side, the identity side and the remote control."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qbo_pipeline.sandbox import api, control, downloads, identity_routes
from qbo_pipeline.sandbox.front import Front
from qbo_pipeline.sandbox.values import encode
from qbo_pipeline.sandbox.world import GENERATED_REALM, LOADED_REALM, Start, World

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(
    *,
    seed: int = 1,
    invoices: int = 200,
    books: Path | None = None,
    throttle: bool = True,
    client_id: str = "sandbox-client",
    client_secret: str = "sandbox-secret",  # noqa: S107 - there is nothing behind it
    realm: str = GENERATED_REALM,
    books_realm: str = LOADED_REALM,
) -> Front:
    """Return the sandbox, ready to be served; its whole state is ``.world``."""
    start = Start(seed, invoices, books, throttle, client_id, client_secret, realm, books_realm)
    world = World(start)
    company = Route("/v3/company/{realm}/{rest:path}", api.company, methods=METHODS)
    lost = Route("/_sandbox/{rest:path}", no_such_control, methods=METHODS)
    app = Starlette(routes=[company, *identity_routes.ROUTES, *downloads.ROUTES, *control.ROUTES, lost])
    app.state.world = world
    return Front(app, world)


async def no_such_control(request: Request) -> Response:
    sentence = f"The remote control has no {request.method} {request.url.path}."
    return Response(encode({"error": sentence}), 400, media_type="application/json")
