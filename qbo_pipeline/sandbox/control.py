"""The remote control under ``/_sandbox/``: how tests see and change what Intuit would not let them.

JSON in and out, documented in docs/sandbox.md. Calls run one at a time in the server's single thread, so each takes
effect at once and as a whole. What they do not understand they answer with 400 and one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qbo_pipeline.sandbox import owner
from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.breakage import Rule
from qbo_pipeline.sandbox.faults import ApiError
from qbo_pipeline.sandbox.generator import generate
from qbo_pipeline.sandbox.loading import LoadReport, absorb
from qbo_pipeline.sandbox.owner import UnknownInputError, only
from qbo_pipeline.sandbox.settings import POLICIES, KnobError, changed
from qbo_pipeline.sandbox.values import NotJsonError, decode, encode
from qbo_pipeline.sandbox.webhooks import Subscription
from qbo_pipeline.sandbox.world import World

Handler = Callable[[World, Request, Any], Any]
_LOOPBACK = re.compile(r"http://(127(\.[0-9]{1,3}){3}|localhost|\[::1\])(:[0-9]{1,5})?/")
EARLIEST, LATEST = 631_152_000, 7_258_118_400  # 1990 and 2200: where every zone and library can follow


def _control(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Turn a plain function of (world, request, body) into an endpoint."""

    @wraps(handler)
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            found = handler(request.app.state.world, request, decode(raw) if raw.strip() else {})
        except (UnknownInputError, KnobError, msgspec.ValidationError) as error:
            return _json({"error": str(error)}, 400)
        except NotJsonError as error:
            return _json({"error": f"The body is not JSON: {error}."}, 400)
        except ApiError as error:
            return _json({"error": f"{error.message}: {error.detail}"}, 400)
        return found if isinstance(found, Response) else _json(found)

    return endpoint


def _json(value: Any, status: int = 200) -> Response:
    return Response(value if isinstance(value, bytes) else encode(value), status, media_type="application/json")


def _books(world: World, request: Request) -> Books:
    realm = request.path_params["realm"]
    if realm not in world.companies:
        raise UnknownInputError(f"There is no company {realm} here.")
    return world.companies[realm]


def _company(books: Books) -> dict[str, Any]:
    counts = {name: len(table.records) for name, table in books.tables.items() if table.records}
    return {"realm": books.realm, "name": books.name, "counts": counts}


def health(world: World, _request: Request, _body: Any) -> Any:
    report = msgspec.to_builtins(world.load_report) if world.load_report else None
    return {"status": "ok", "companies": list(world.companies), "time": world.clock.stamp_now(), "loaded": report}


def reset(world: World, _request: Request, _body: Any) -> Any:
    world.begin()
    return {"companies": list(world.companies)}


def clock(world: World, request: Request, body: Any) -> Any:
    if request.method == "POST":
        asked = only(body, ("advance_seconds", "at", "freeze"))
        if not isinstance(asked.get("freeze", False), bool):
            raise UnknownInputError("freeze is true or false.")
        instant = world.clock.now()
        if "at" in asked:
            found = world.clock.instant(str(asked["at"]))
            if found is None:
                raise UnknownInputError(f"'{asked['at']}' is not an ISO date or date-time.")
            instant = found
        instant += _number(asked.get("advance_seconds", 0), "advance_seconds")
        if not EARLIEST <= instant <= LATEST:
            raise UnknownInputError("The clock goes from 1990 to 2200.")
        if asked.keys() & {"at", "advance_seconds"}:
            world.clock.set(instant)
        if "freeze" in asked:
            (world.clock.freeze if asked["freeze"] else world.clock.thaw)()
    return {"time": world.clock.stamp_now(), "epoch": int(world.clock.now()), "frozen": world.clock.is_frozen}


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UnknownInputError(f"{name} must be a number.") from None


def companies(world: World, request: Request, body: Any) -> Any:
    if request.method == "GET":
        return {"companies": [_company(books) for books in world.companies.values()]}
    asked = only(body, ("realm", "name", "seed", "invoices"))
    realm = str(asked.get("realm") or int(max(world.companies, key=int)) + 1)
    if not realm.isdecimal():
        raise UnknownInputError("A realm is a string of digits.")
    if realm in world.companies:
        raise UnknownInputError(f"There is a company {realm} already.")
    name = str(asked.get("name") or f"Company {realm[-4:]}")
    if "invoices" not in asked and "seed" not in asked:
        return _company(world.add(Books(realm, name, world.clock)))
    seed, invoices = (
        int(_number(asked.get(what, default), what)) for what, default in (("seed", 1), ("invoices", 200))
    )
    return _company(world.add(generate(realm, world.clock, seed=seed, invoices=invoices, name=asked.get("name"))))


def books(world: World, request: Request, body: Any) -> Any:
    held = _books(world, request)
    if request.method == "GET":
        return held.truth()
    operations = body.get("operations") if isinstance(body, dict) else body
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise UnknownInputError("The body must be a list of operations.")
    owner.check_operations(held, operations)
    return {"applied": owner.apply(held, operations, world.settings)}


def load(world: World, request: Request, body: Any) -> Any:
    documents = body.get("documents") if isinstance(body, dict) and "documents" in body else body
    if not isinstance(documents, list):
        raise UnknownInputError("The body must be a list of payload documents.")
    report = LoadReport()
    held = _books(world, request)
    hearer, held.hearer = held.hearer, None  # payloads bring a past along, nothing that happens now
    try:
        absorb(held, [(f"document {number}", each) for number, each in enumerate(documents, 1)], report)
    finally:
        held.hearer = hearer
    return msgspec.to_builtins(report)


def faults(world: World, request: Request, body: Any) -> Any:
    if request.method == "DELETE":
        return {"removed": world.breakage.clear()}
    if request.method == "POST":
        asked = body.get("rules", body) if isinstance(body, dict) else body
        rules = [msgspec.convert(each, Rule) for each in (asked if isinstance(asked, list) else [asked])]
        for rule in rules:
            world.breakage.add(rule)
    return {"rules": msgspec.to_builtins(world.breakage.rules), "ledger": dict(world.breakage.ledger)}


def policy(world: World, request: Request, body: Any) -> Any:
    if request.method == "POST":
        asked = _settings_object(body)
        if "name" in asked:
            if asked["name"] not in POLICIES:
                raise UnknownInputError(f"There is no policy '{asked['name']}'; there are {', '.join(POLICIES)}.")
            asked = POLICIES[asked["name"]] | {key: value for key, value in asked.items() if key != "name"}
        world.identity.policy = changed(world.identity.policy, asked)
    return msgspec.to_builtins(world.identity.policy)


def settings(world: World, request: Request, body: Any) -> Any:
    if request.method == "POST":
        turned = changed(world.settings, _settings_object(body))
        world.clock.use_zone(turned.timezone)
        world.settings = turned
    return msgspec.to_builtins(world.settings)


def _settings_object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise UnknownInputError("The body must be a JSON object of knobs.")
    return body


def expire_tokens(world: World, _request: Request, body: Any) -> Any:
    return {"expired": world.identity.expire_access_tokens(only(body, ("realm",)).get("realm"))}


def forget_rotation(world: World, _request: Request, body: Any) -> Any:
    return {"forgotten": world.identity.forget_rotation(only(body, ("realm",)).get("realm"))}


def revoke_tokens(world: World, _request: Request, body: Any) -> Any:
    return {"revoked": world.identity.revoke_grants(only(body, ("realm",)).get("realm"))}


def tokens(world: World, _request: Request, _body: Any) -> Any:
    held = [
        {
            "realm": grant.realm,
            "revoked": grant.revoked,
            "refresh_token": grant.refresh_token,
            "dead_refresh_tokens": len(grant.previous),
            "access_tokens": sum(until > world.clock.now() for until in grant.access_tokens.values()),
        }
        for grant in world.identity.grants()
    ]
    return {
        "grants": held,
        "refreshes": world.identity.refreshes,
        "reuses": world.identity.reuses,
        "most_at_once": world.identity.most_asking,
    }


def calls(world: World, request: Request, _body: Any) -> Any:
    if request.method == "DELETE":
        removed = len(world.calls)
        world.calls.clear()
        return {"removed": removed}
    realm, since = request.query_params.get("realm"), int(_number(request.query_params.get("since", 0), "since"))
    seen = [msgspec.to_builtins(call) for call in world.calls if call.number > since and realm in {None, call.realm}]
    for call in seen:
        call.pop("entities")
    return {"calls": seen, "last": world.calls_made, "metered": dict(world.throttle.reads)}


def webhooks(world: World, request: Request, body: Any) -> Any:
    if request.method == "DELETE":
        world.webhooks.subscribe(Subscription())
    if request.method == "POST":
        asked = changed(world.webhooks.subscription, {"on": True} | _settings_object(body))
        if asked.url is not None and not _LOOPBACK.match(asked.url):
            raise KnobError("url must be an address on this machine, like http://127.0.0.1:8500/webhooks/quickbooks")
        world.webhooks.subscribe(asked)
    return world.webhooks.report()


def take_webhooks(world: World, _request: Request, body: Any) -> Any:
    only(body, ())
    return {"notifications": world.webhooks.take()}


def _route(path: str, handler: Handler, *methods: str) -> Route:
    return Route(f"/_sandbox{path}", _control(handler), methods=list(methods))


ROUTES = [
    _route("/health", health, "GET"),
    _route("/reset", reset, "POST"),
    _route("/clock", clock, "GET", "POST"),
    _route("/companies", companies, "GET", "POST"),
    _route("/books/{realm}", books, "GET", "POST"),
    _route("/books/{realm}/load", load, "POST"),
    _route("/faults", faults, "GET", "POST", "DELETE"),
    _route("/tokens", tokens, "GET"),
    _route("/tokens/policy", policy, "GET", "POST"),
    _route("/tokens/expire", expire_tokens, "POST"),
    _route("/tokens/revoke", revoke_tokens, "POST"),
    _route("/tokens/forget", forget_rotation, "POST"),
    _route("/calls", calls, "GET", "DELETE"),
    _route("/settings", settings, "GET", "POST"),
    _route("/webhooks", webhooks, "GET", "POST", "DELETE"),
    _route("/webhooks/take", take_webhooks, "POST"),
]
