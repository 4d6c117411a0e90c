"""The API side under ``/v3/company/{realm}/``: who may ask, and which handler answers.

The gateway's checks come first, in its order: token, realm, rate, quota. ``minorversion`` is ignored (Intuit: minor
versions; everything answers as 75). Every handler returns the bytes of a JSON object without its closing ``time``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from qbo_pipeline.sandbox import batch, cdc, downloads, operations
from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.entities import Entity, find
from qbo_pipeline.sandbox.faults import (
    ApiError,
    forbidden,
    missing,
    not_found,
    throttled,
    unauthorized,
    unavailable,
    unsupported,
)
from qbo_pipeline.sandbox.grammar import parse
from qbo_pipeline.sandbox.operations import envelope
from qbo_pipeline.sandbox.validation import check_id
from qbo_pipeline.sandbox.values import NotJsonError, decode, encode
from qbo_pipeline.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that got past the gateway."""

    world: World
    books: Books
    method: str
    parts: tuple[str, ...]
    params: dict[str, str]
    body: bytes
    base: str  # the address this sandbox was asked at


async def company(request: Request) -> Response:
    """Answer any request about one company."""
    world: World = request.app.state.world
    try:
        books = _admitted(request, world)
        parts = tuple(part for part in request.path_params["rest"].split("/") if part)
        params = dict(request.query_params)
        asked = Asked(world, books, request.method, parts, params, await request.body(), str(request.base_url))
        if asked.method == "GET" and parts[:1] == ("download",):
            request.state.metered = True
            return PlainTextResponse(_download(asked))
        found = answer(asked)
    except ApiError as error:
        return refusal(error, request, world)
    request.state.metered = request.method == "GET" or parts[:1] == ("query",)
    tail = b'"time":"' + world.clock.stamp_now().encode() + b'"}'
    body = found[:-1] + (b"," if len(found) > 2 else b"") + tail
    return Response(body, media_type="application/json;charset=utf-8")


def _admitted(request: Request, world: World) -> Books:
    settings, realm = world.settings, request.path_params["realm"]
    gateway = settings.unauthorized_body == "gateway"
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or len(token) < 20:
        raise unauthorized("Malformed bearer token: too short or too long", gateway=gateway)
    grant = world.identity.grant_of(token)
    if grant is None:
        raise unauthorized(f"Token expired: {token[:8]}…", gateway=gateway)
    if grant.realm != realm or realm not in world.companies:
        raise forbidden()
    is_batch = request.path_params["rest"] == "batch"
    allowed = world.throttle.admits(realm, settings, batch=is_batch)
    if not allowed or not world.throttle.within_quota(world.month(), settings):
        raise throttled(settings.throttle_body, settings.retry_after)
    return world.companies[realm]


def refusal(error: ApiError, request: Request, world: World) -> Response:
    """Write a fault in the envelope and the format the reader gets."""
    headers = {"WWW-Authenticate": 'Bearer realm="Intuit", error="invalid_token"'} if error.status == 401 else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    accept = request.headers.get("accept", "")
    if error.html:
        page = f"<html><head><title>{error.status}</title></head><body><h1>{error.message}</h1></body></html>"
        return Response(page, error.status, headers, media_type="text/html")
    if "xml" in accept and "json" not in accept:
        return Response(error.xml(world.clock), error.status, headers, media_type="application/xml")
    return Response(encode(error.body(world.clock)), error.status, headers, media_type="application/json")


def answer(asked: Asked) -> bytes:
    """Choose the handler by path."""
    match (asked.method, *asked.parts):
        case ("GET" | "POST", "query"):
            return _query(asked)
        case ("GET", "cdc"):
            since, entities = asked.params.get("changedSince", ""), asked.params.get("entities", "")
            found = cdc.changes(asked.books, entities, since, asked.world.settings, asked.world.shuffle)
            return b'{"CDCResponse":' + found + b"}"
        case ("POST", "batch"):
            return batch.run(asked.books, _json(asked.body), asked.world)
        case ("GET", word) if (entity := find(word)) and entity.name in {"Preferences", "ExchangeRate"}:
            return _singleton(_offered(asked, entity), entity)
        case ("GET", word, *rest) if (entity := find(word)) and not entity.query and len(rest) != 1:
            return _listing(_offered(asked, entity), entity, rest)
        case ("GET", word, key) if entity := find(word):
            return _read(_offered(asked, entity), entity, key)
        case ("POST", word) if entity := find(word):
            return _write(_offered(asked, entity), entity)
    raise unsupported(f"Operation Could not find resource for relative : /v3/company/{'/'.join(asked.parts)}")


def _query(asked: Asked) -> bytes:
    text = asked.params.get("query", "")
    if asked.method == "POST" and not text:
        text = asked.body.decode("utf-8", "replace")
    if not text.strip():
        raise missing("query")
    page = asked.world.finder.run(parse(text), asked.books, asked.world.settings)
    if page.entity == downloads.ENTITY:
        page = replace(page, records=tuple(_with_address(asked, record) for record in page.records))
    return b'{"QueryResponse":' + page.body() + b"}"


def _offered(asked: Asked, entity: Entity) -> Asked:
    """Refuse what is about an entity this company does not have."""
    if asked.world.settings.lacks(asked.books.realm, entity.name):
        raise unavailable(asked.world.settings.unavailable_fault, entity.name)
    return asked


def _with_address(asked: Asked, record: bytes) -> bytes:
    return asked.world.downloads.with_address(record, asked.books.realm, asked.base)


def _download(asked: Asked) -> str:
    """Return the address a file can be fetched from for fifteen minutes (Intuit: attachable)."""
    record = asked.books.get(downloads.ENTITY, asked.parts[1]) if len(asked.parts) == 2 else None
    if record is None or not record.payload().get("FileName"):
        raise not_found()
    return asked.world.downloads.address(asked.base, asked.books.realm, record.key, record.payload()["FileName"])


def _listing(asked: Asked, entity: Entity, rest: list[str]) -> bytes:
    """Answer for an entity that is listed, not queried: all, one level, or the children of one."""
    table = asked.books.table(entity.name)
    wanted: tuple[str, str] | None = None
    if len(rest) == 2 and rest[1] == "children":
        wanted = "ParentRef", rest[0]
    elif rest:
        raise unsupported(f"Operation Could not find resource for relative : /v3/company/{'/'.join(asked.parts)}")
    elif "level" in asked.params:
        wanted = "level", asked.params["level"]
    found = [each for each in table.records.values() if wanted is None or wanted[1] in table.values(each, wanted[0])]
    rows = b",".join(record.body for record in found)
    return b'{"QueryResponse":{' + (encode(entity.name) + b":[" + rows + b"]" if found else b"") + b"}}"


def _read(asked: Asked, entity: Entity, key: str) -> bytes:
    if entity.name == "CompanyInfo":
        key = next(iter(asked.books.table("CompanyInfo").records), "1")
    else:
        check_id(key)
    found = envelope(entity, record := asked.books.get(entity.name, key))
    if entity.name == downloads.ENTITY and record is not None:
        return b"{" + encode(entity.name) + b":" + _with_address(asked, record.body) + b"}"
    return found


def _singleton(asked: Asked, entity: Entity) -> bytes:
    records = asked.books.table(entity.name).records
    if entity.name == "Preferences":
        return envelope(entity, next(iter(records.values()), None))
    wanted = {name.lower(): value for name, value in asked.params.items()}
    day = wanted.get("asofdate", asked.books.clock.today().isoformat())
    currency = wanted.get("sourcecurrencycode", "").upper()
    rates = [record for key, record in records.items() if key.startswith(f"{currency}/") and key[-10:] <= day]
    return envelope(entity, max(rates, key=lambda record: record.key[-10:], default=None))


def _write(asked: Asked, entity: Entity) -> bytes:
    record = _json(asked.body)
    if not isinstance(record, dict):
        raise unsupported("Operation needs a JSON object.")
    operation = asked.params.get("operation", "update" if "Id" in record else "create")
    if asked.params.get("include") == "void" and operation == "update":
        operation = "void"
    return operations.carry_out(asked.books, entity, operation, record, asked.world.settings)


def _json(body: bytes) -> Any:
    try:
        return decode(body)
    except NotJsonError as error:
        detail = f"Property Name:{error} specified is unsupported or invalid"
        raise ApiError(400, "2010", "Request has invalid or unsupported property", detail, element=None) from None
