"""Replies gone wrong: what each fault of a rule does to the wire.

Some replace the answer (a 503 page, a Fault at HTTP 200), some spoil it on the way (cut, corrupt, slow). Shapes follow
Intuit's error pages and what client libraries report in their issues.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import struct
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, get_args

from starlette.types import Send

from qbo_pipeline.sandbox.breakage import BOOKS_ONLY, Call, FaultKind, Rule
from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.faults import ApiError, forbidden, throttled, unauthorized
from qbo_pipeline.sandbox.values import decode, encode

_DRIP_PAUSE = 0.05


@dataclass
class Reply:
    """An answer held back whole, and how to let it go."""

    status: int
    headers: dict[str, str]
    body: bytes
    wait: float = 0.0
    cut_at: int | None = None  # close the connection after so many bytes
    drop: bool = False  # close the connection before any byte
    reset: bool = False  # tear it down instead of closing it, at ``cut_at``
    chunked: bool = False  # do not say how long the body is
    drip: float = 0.0  # spread the body over so many seconds
    also: dict[str, str] = field(default_factory=dict)

    async def send_through(self, send: Send) -> None:
        """Put the answer on the wire."""
        if self.wait:
            await asyncio.sleep(self.wait)
        if self.drop:
            await _close(send)
            return
        length = {} if self.chunked else {"content-length": str(len(self.body))}
        headers = self.headers | self.also | length
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        if self.cut_at is not None:
            await send({"type": "http.response.body", "body": self.body[: self.cut_at], "more_body": True})
            await _close(send, reset=self.reset)
            return
        if self.drip:
            await self._drip(send)
            return
        await send({"type": "http.response.body", "body": self.body})

    async def _drip(self, send: Send) -> None:
        steps = max(1, int(self.drip / _DRIP_PAUSE))
        size = max(1, -(-len(self.body) // steps))
        for start in range(0, len(self.body), size):
            await send({"type": "http.response.body", "body": self.body[start : start + size], "more_body": True})
            await asyncio.sleep(_DRIP_PAUSE)
        await send({"type": "http.response.body", "body": b""})


async def _close(send: Send, *, reset: bool = False) -> None:
    """Hang up. ASGI has no word for it, so this reaches for uvicorn's transport behind ``send``."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        if reset:  # without lingering the kernel says RST, not FIN
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await asyncio.sleep(_DRIP_PAUSE)  # let what was sent arrive first
        (transport.abort if reset else transport.close)()
        await asyncio.sleep(_DRIP_PAUSE)  # let uvicorn notice, or it would answer 500 in our place


def _json(status: int, body: bytes, **headers: str) -> Reply:
    return Reply(status, {"content-type": "application/json"} | headers, body)


def _html(status: int, title: str) -> Reply:
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body><h1>{status} {title}</h1></body>\r\n</html>"
    )
    return Reply(status, {"content-type": "text/html"}, page.encode())


def _fault(error: ApiError, clock: Clock, **headers: str) -> Reply:
    return _json(error.status, encode(error.body(clock)), **headers)


def _system_fault(status: int, code: str = "10000") -> ApiError:
    message = "An application error has occurred while processing your request"
    return ApiError(status, code, message, "System Failure Error: ordered by a fault rule", "SystemFault")


ON_THE_REAL_ONE = frozenset(
    {
        "reset",
        "truncate",
        "cut_chunk",
        "truncated_json",
        "corrupt_gzip",
        "slow",
        "drip",
        "short_page",
        "repeated_row",
        "repeated_page",
    }
)
INSTEAD = frozenset(get_args(FaultKind)) - ON_THE_REAL_ONE - BOOKS_ONLY  # faults that need no real answer
_TITLES = {
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
}


def _refusal(fault: str, clock: Clock) -> Reply:
    """Answer ``http_<status>``, ``http_<status>_html`` or ``http_<status>_xml``."""
    status, shape = int(fault[5:8]), fault[9:]
    if shape == "html":
        return _html(status, _TITLES[status])
    match status:
        case 401:
            error = unauthorized("Token expired: ordered by a fault rule", gateway=True)
        case 403:
            error = forbidden()
        case 429:
            error = throttled("gateway", None)
        case _:
            error = _system_fault(status)
    if shape == "xml":
        return Reply(status, {"content-type": "application/xml"}, error.xml(clock).encode())
    return _fault(error, clock)


def _in_its_place(rule: Rule, clock: Clock, call: Call) -> Reply:
    match rule.fault:
        case "retry_after":
            return _fault(throttled("gateway", None), clock, **{"retry-after": _retry_after(rule.retry_after, clock)})
        case "fault_200":
            return _fault(_system_fault(200, rule.code), clock)
        case "text_200":
            return Reply(200, {"content-type": "text/plain"}, b"Your subscription has ended.")
        case "invalid_grant":
            return _json(400, b'{"error":"invalid_grant"}')
        case "invalid_client":
            return _json(401, b'{"error":"invalid_client"}')
        case "empty_page":
            nothing: Any = {"QueryResponse": {}}
            if call.path.endswith("/cdc"):
                nothing = {"CDCResponse": [{"QueryResponse": [{}]}]}
            return _json(200, encode(nothing | {"time": clock.stamp_now()}))
        case "timeout":
            return _after(rule.seconds, _html(504, "Gateway Time-out"))
        case "drop_connection":
            return Reply(0, {}, b"", drop=True)
    return _refusal(rule.fault, clock)


def _retry_after(wanted: str, clock: Clock) -> str:
    """Return the header as ordered; ``date+30`` is the HTTP date of half a minute from now."""
    ahead = re.fullmatch(r"date([+-]\d{1,9})", wanted)
    return formatdate(clock.now() + int(ahead[1]), usegmt=True) if ahead else wanted


def _after(seconds: float, reply: Reply) -> Reply:
    reply.wait = seconds
    return reply


def instead(rule: Rule, clock: Clock, call: Call) -> Reply:
    """Return the answer a rule puts in place of the real one."""
    reply = _in_its_place(rule, clock, call)
    reply.headers["intuit_tid"] = call.intuit_tid
    return reply


def reshape(reply: Reply, rule: Rule, earlier: bytes | None) -> Reply:
    """Return the real answer with other rows than it should have: half of them, one twice, or the page before's."""
    if rule.fault == "repeated_page" and earlier is not None and reply.status == 200:
        reply.body = earlier
    if rule.fault not in {"short_page", "repeated_row"} or not reply.body.startswith(b'{"QueryResponse":{"'):
        return reply
    answer = decode(reply.body)
    page = answer["QueryResponse"]
    rows = next((value for value in page.values() if isinstance(value, list)), None)
    if rows:
        rows[:] = rows[: (len(rows) + 1) // 2] if rule.fault == "short_page" else [*rows, rows[-1]]
        page["maxResults"] = len(rows)
        reply.body = encode(answer)
    return reply


def spoil(reply: Reply, rule: Rule) -> Reply:
    """Return the real answer, damaged as the rule says."""
    match rule.fault:
        case "truncate" | "reset" | "cut_chunk":
            reply.cut_at = min(rule.at, len(reply.body) // 2)
            reply.reset, reply.chunked = rule.fault == "reset", rule.fault == "cut_chunk"
        case "truncated_json":
            plain = gzip.decompress(reply.body) if reply.headers.pop("content-encoding", "") else reply.body
            reply.body = plain[: min(rule.at, len(plain) - 1)]
        case "corrupt_gzip":
            plain = reply.body if reply.headers.get("content-encoding") else gzip.compress(reply.body)
            reply.headers["content-encoding"] = "gzip"
            reply.body = plain[:10] + bytes(byte ^ 0xFF for byte in plain[10:30]) + plain[30:]
        case "slow":
            reply.wait = rule.seconds
        case "drip":
            reply.drip = rule.seconds
    return reply
