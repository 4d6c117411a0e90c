"""Discovery, consent page, token endpoint, revocation and user info, on Intuit's own paths.

Bodies and statuses follow Intuit: OAuth 2.0 and OpenID discovery document, and the errors clients report for them.
"""

from __future__ import annotations

import base64
import binascii
import html
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from qbo_pipeline.sandbox import idtoken
from qbo_pipeline.sandbox.oauth import ACCOUNTING, SCOPES, Identity, TokenRefusedError
from qbo_pipeline.sandbox.values import NotJsonError, decode, encode
from qbo_pipeline.sandbox.world import World

PERSON = {
    "sub": "5f9a6c1e-0000-4000-8000-000000000001",
    "email": "owner@sandbox.example",
    "emailVerified": True,
    "givenName": "Robin",
    "familyName": "Sandberg",
    "phoneNumber": "+1 5550100",
    "phoneNumberVerified": False,
    "address": {"streetAddress": "1 Quarry Lane", "locality": "Alder Falls", "region": "OR", "country": "USA"},
}


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


async def discovery(request: Request) -> Response:
    base = f"{request.url.scheme}://{request.url.netloc}"
    return _json(
        {
            "issuer": f"{base}/op/v1",
            "authorization_endpoint": f"{base}/connect/oauth2",
            "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
            "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
            "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
            "jwks_uri": f"{base}/op/v1/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "address", "phone"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
        }
    )


async def authorize(request: Request) -> Response:
    """Ask a person for consent, or take it for granted with ``auto=1`` (``auto=deny`` refuses)."""
    world: World = request.app.state.world
    asked = dict(request.query_params)
    target, state, scopes = asked.get("redirect_uri", ""), asked.get("state", ""), tuple(asked.get("scope", "").split())
    problem = _problem(asked, world.identity)
    if problem is not None:
        return HTMLResponse(f"<h1>Sorry, but this app cannot connect</h1><p>{html.escape(problem)}</p>", 400)
    if not scopes or not set(scopes) <= SCOPES:
        return _back(target, {"error": "invalid_scope", "state": state})
    decision = asked.get("auto", "")
    if decision == "deny":
        return _back(target, {"error": "access_denied", "state": state})
    realm = asked.get("realm") or next(iter(world.companies))
    if realm not in world.companies:
        return HTMLResponse(f"<h1>There is no company {html.escape(realm)} here</h1>", 400)
    if decision:
        code = world.identity.consent(realm, scopes, target)
        company = {"realmId": world.identity.policy.callback_realm or realm} if ACCOUNTING in scopes else {}
        return _back(target, {"code": code, "state": state} | company)
    return HTMLResponse(_consent_page(asked, world))


def _problem(asked: dict[str, str], identity: Identity) -> str | None:
    if asked.get("client_id") != identity.client_id:
        return "The client_id is not one this sandbox knows."
    if asked.get("response_type", "code") != "code":
        return "The response_type must be code."
    if not asked.get("redirect_uri", "").startswith(("http://", "https://")):
        return "The redirect_uri query parameter value is invalid."
    return None if asked.get("state") else "The state query parameter is missing."


def _back(target: str, params: dict[str, str]) -> Response:
    joiner = "&" if "?" in target else "?"
    return RedirectResponse(f"{target}{joiner}{urlencode(params)}", 302)


def _consent_page(asked: dict[str, str], world: World) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name, quote=True)}" value="{html.escape(value, quote=True)}">'
        for name, value in asked.items()
        if name not in {"auto", "realm"}
    )
    choices = "".join(
        f'<option value="{html.escape(books.realm, quote=True)}">{html.escape(books.name)}</option>'
        for books in world.companies.values()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Connect your company</title></head><body>'
        "<h1>Connect an app to QuickBooks</h1><p>This is a local sandbox; no real company is involved.</p>"
        f'<form method="get" action="/connect/oauth2">{hidden}<label>Company <select name="realm">{choices}</select>'
        '</label> <button name="auto" value="1">Connect</button> <button name="auto" value="deny">Deny</button></form>'
        "</body></html>"
    )


async def token(request: Request) -> Response:
    """Exchange a code or refresh a token."""
    world: World = request.app.state.world
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
    hard = request.headers.get("x-include-refresh-token-hard-expires-in", "").lower() == "true"
    try:
        _check_client(request, form, world.identity)
        answer = _tokens(world.identity, form, hard=hard)
    except TokenRefusedError as refused:
        described = {"error_description": refused.description} if refused.description else {}
        return _json({"error": refused.error} | described, refused.status)
    grant = world.identity.grant_of(answer["access_token"])
    if grant is not None and "openid" in grant.scopes:
        base = f"{request.url.scheme}://{request.url.netloc}"
        claims = {
            "sub": PERSON["sub"],
            "aud": [world.identity.client_id],
            "iss": f"{base}/op/v1",
            "realmid": grant.realm,
        }
        answer["id_token"] = idtoken.signed(claims, now=int(world.clock.now()))
    return _json(answer)


def _tokens(identity: Identity, form: dict[str, str], *, hard: bool) -> dict[str, Any]:
    match form.get("grant_type"):
        case "authorization_code":
            return identity.exchange(form.get("code", ""), form.get("redirect_uri", ""), hard=hard)
        case "refresh_token":
            return identity.refresh(form.get("refresh_token", ""), hard=hard)
        case None:
            raise TokenRefusedError("invalid_request")
    raise TokenRefusedError("unsupported_grant_type")


def _check_client(request: Request, form: dict[str, str], identity: Identity) -> None:
    client_id, secret = _basic(request)
    if client_id is None and identity.policy.client_auth == "basic_or_body":
        client_id, secret = form.get("client_id"), form.get("client_secret")
    if (client_id, secret) != (identity.client_id, identity.client_secret):
        raise TokenRefusedError("invalid_client", status=401)


def _basic(request: Request) -> tuple[str | None, str | None]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


async def revoke(request: Request) -> Response:
    """Kill a grant by its refresh or access token."""
    identity: Identity = request.app.state.world.identity
    body = await request.body()
    try:
        _check_client(request, {}, identity)
        asked = decode(body)
    except TokenRefusedError:
        return _json({"error": "invalid_client"}, 401)
    except NotJsonError:
        asked = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    token_text = asked.get("token") if isinstance(asked, dict) else None
    if not isinstance(token_text, str) or not identity.revoke(token_text):
        return _json({"error": "invalid_request"}, 400)
    return Response(status_code=200)


async def userinfo(request: Request) -> Response:
    """Say who consented."""
    world: World = request.app.state.world
    grant = world.identity.grant_of(request.headers.get("authorization", "").removeprefix("Bearer "))
    if grant is None:
        return _json({"error": "invalid_token"}, 401)
    return _json(PERSON)


async def jwks(_request: Request) -> Response:
    return _json({"keys": [idtoken.public_key()]})


_DISCOVERY = ("openid_configuration", "openid_sandbox_configuration", "openid-sandbox-configuration")
ROUTES = [
    *[Route(f"/.well-known/{name}{slash}", discovery) for name in _DISCOVERY for slash in ("", "/")],
    Route("/connect/oauth2", authorize),
    Route("/oauth2/v1/tokens/bearer", token, methods=["POST"]),
    Route("/v2/oauth2/tokens/revoke", revoke, methods=["POST"]),
    Route("/v1/openid_connect/userinfo", userinfo),
    Route("/op/v1/jwks", jwks),
]
