"""The outermost layer: every call gets an ``intuit_tid``, a line in the call log, gzip, and the fault it was due.

An ASGI application around the others. It reads the request whole and holds the answer whole, so that a fault rule can
look at the statement and cut the reply anywhere. Its ``Date`` is the sandbox's clock. The remote control passes through
untouched.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import secrets
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qbo_pipeline.sandbox import owner, spoilt
from qbo_pipeline.sandbox.breakage import BOOKS_ONLY, Call, Rule
from qbo_pipeline.sandbox.entities import find
from qbo_pipeline.sandbox.faults import ApiError
from qbo_pipeline.sandbox.mutations import mutate
from qbo_pipeline.sandbox.world import World

SMALLEST_GZIP = 1024
_COMPANY = re.compile(r"/v3/company/([^/]+)/([^/]*)")
_FROM = re.compile(r"\bfrom\s+(\w+)", re.IGNORECASE)


class Front:
    """Wraps the API side."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app = app
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self.app(scope, receive, send)
            return
        if scope["path"].endswith("/tokens/bearer"):
            with self.world.identity.counted():
                await self._answer(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole(receive)
        call = _call(scope, body, self.world)
        self.world.log(call)
        due = self.world.breakage.due(call)
        breaking = next((rule for rule in due if rule.fault not in BOOKS_ONLY), None)
        struck = [self._edited(rule, call) if rule.fault == "edit_books" else rule.fault for rule in due]
        call.fault = " + ".join(struck) or None
        reply = await self._reply(scope, body, breaking, call)
        for rule in due:
            if rule.fault == "mutate_books":
                self._mutate(rule, call)
        call.status = reply.status
        reply.headers["date"] = formatdate(self.world.clock.now(), usegmt=True)
        await reply.send_through(send)

    def _edited(self, rule: Rule, call: Call) -> str:
        """Change the company's books before it answers; what could not be done shows in the call log."""
        books = self.world.companies.get(call.realm or "")
        if books is None:
            return "edit_books: the call was about no company"
        try:
            owner.check_operations(books, rule.operations)
            owner.apply(books, rule.operations, self.world.settings)
        except (owner.UnknownInputError, ApiError) as error:
            return f"edit_books: {error}"
        return "edit_books"

    def _mutate(self, rule: Rule, call: Call) -> None:
        """Change what the call was about once it is answered, and count what was done."""
        books, chance = self.world.companies.get(call.realm or ""), self.world.breakage.random_of(rule)
        for _ in range(rule.per_call):
            try:
                done = mutate(books, call.entities, rule.kinds, chance, self.world.settings) if books else None
            except ApiError:
                done = None  # real books can hold what a copy of it may not
            kind = done[0] if done else "nothing"
            rule.changes[kind] = rule.changes.get(kind, 0) + 1

    async def _reply(self, scope: Scope, body: bytes, rule: Rule | None, call: Call) -> spoilt.Reply:
        if rule is not None and rule.fault in spoilt.INSTEAD and not rule.processed:
            return spoilt.instead(rule, self.world.clock, call)
        reply = await self._processed(scope, body)
        call.metered = bool(scope.get("state", {}).get("metered")) and reply.status == 200
        if call.metered:
            self.world.throttle.reads[self.world.month()] += 1
        reply.headers["intuit_tid"] = call.intuit_tid
        if rule is not None and rule.fault in spoilt.INSTEAD:
            return spoilt.instead(rule, self.world.clock, call)
        if rule is not None:
            reply = spoilt.reshape(reply, rule, self.world.breakage.earlier(call))
        else:
            self.world.breakage.remember(call, reply.body)
        if _accepts_gzip(scope) and len(reply.body) >= SMALLEST_GZIP:
            reply.body = await asyncio.to_thread(gzip.compress, reply.body, 1)
            reply.headers["content-encoding"] = "gzip"
        return spoilt.spoil(reply, rule) if rule is not None else reply

    async def _processed(self, scope: Scope, body: bytes) -> spoilt.Reply:
        sent: list[Message] = []
        scope.setdefault("state", {})

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, keep)
        start = next(message for message in sent if message["type"] == "http.response.start")
        content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        headers.pop("content-length", None)
        return spoilt.Reply(start["status"], headers, content)


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _call(scope: Scope, body: bytes, world: World) -> Call:
    params = parse_qs(scope["query_string"].decode("latin-1"))
    company = _COMPANY.match(scope["path"])
    statement = params.get("query", [""])[0]
    if not statement and (scope["path"].endswith(("/query", "/bearer", "/batch"))):
        statement = _statement_in(scope["path"], body)
    named = [company[2]] if company else []
    named += _FROM.findall(statement) + params.get("entities", [""])[0].split(",")
    entities = [entity.name for word in named if (entity := find(word.strip()))]
    return Call(
        at=world.clock.stamp_now(),
        method=scope["method"],
        path=scope["path"],
        realm=company[1] if company else None,
        entity=",".join(entities) or None,
        statement=statement,
        intuit_tid=f"1-{secrets.token_hex(4)}-{secrets.token_hex(12)}",
        entities=frozenset(name.lower() for name in entities),
    )


def _statement_in(path: str, body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    if path.endswith("/bearer"):  # the kind of grant, never its secrets
        return ",".join(parse_qs(text).get("grant_type", []))
    return text[:20_000]


def _accepts_gzip(scope: Scope) -> bool:
    headers: dict[bytes, Any] = dict(scope["headers"])
    return b"gzip" in headers.get(b"accept-encoding", b"")
