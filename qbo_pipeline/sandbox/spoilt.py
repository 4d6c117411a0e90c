"""Replies gone wrong: what each fault of a rule does to the wire.

Some replace the answer (a 503 page, a Fault at HTTP 200), some spoil it on the way (cut, corrupt, slow). Shapes follow
Intuit's error pages and what client libraries report in their issues.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field

from starlette.types import Send

from qbo_pipeline.sandbox.breakage import Rule
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
    drip: float = 0.0  # spread the body over so many seconds
    also: dict[str, str] = field(default_factory=dict)

    async def send_through(self, send: Send) -> None:
        """Put the answer on the wire."""
        if self.wait:
            await asyncio.sleep(self.wait)
        if self.drop:
            await _close(send)
            return
        headers = self.headers | self.also | {"content-length": str(len(self.body))}
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        if self.cut_at is not None:
            await send({"type": "http.response.body", "body": self.body[: self.cut_at], "more_body": True})
            await _close(send)
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


async def _close(send: Send) -> None:
    """Hang up. ASGI has no word for it, so this reaches for uvicorn's transport behind ``send``."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.close()
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


def _xml(status: int, clock: Clock) -> Reply:
    return Reply(status, {"content-type": "application/xml"}, _system_fault(status).xml(clock).encode())


INSTEAD = frozenset(
    {
        "http_500",
        "http_500_xml",
        "http_502_html",
        "http_503",
        "http_503_html",
        "http_504_html",
        "http_429",
        "http_429_html",
        "retry_after",
        "http_401",
        "http_403",
        "fault_200",
        "text_200",
        "invalid_grant",
        "invalid_client",
        "empty_page",
        "timeout",
        "drop_connection",
    }
)  # faults that need no real answer


def _in_its_place(rule: Rule, clock: Clock) -> Reply:
    match rule.fault:
        case "http_500":
            return _fault(_system_fault(500), clock)
        case "http_500_xml":
            return _xml(500, clock)
        case "http_502_html":
            return _html(502, "Bad Gateway")
        case "http_503":
            return _fault(_system_fault(503), clock)
        case "http_503_html":
            return _html(503, "Service Unavailable")
        case "http_504_html":
            return _html(504, "Gateway Time-out")
        case "http_429":
            return _fault(throttled("gateway", None), clock)
        case "http_429_html":
            return _html(429, "Too Many Requests")
        case "retry_after":
            return _fault(throttled("gateway", None), clock, **{"retry-after": rule.retry_after})
        case "http_401":
            return _fault(unauthorized("Token expired: ordered by a fault rule", gateway=True), clock)
        case "http_403":
            return _fault(forbidden(), clock)
        case "fault_200":
            return _fault(_system_fault(200, rule.code), clock)
        case "text_200":
            return Reply(200, {"content-type": "text/plain"}, b"Your subscription has ended.")
        case "invalid_grant":
            return _json(400, b'{"error":"invalid_grant"}')
        case "invalid_client":
            return _json(401, b'{"error":"invalid_client"}')
        case "empty_page":
            return _json(200, encode({"QueryResponse": {}, "time": clock.stamp_now()}))
        case "timeout":
            return _after(rule.seconds, _html(504, "Gateway Time-out"))
        case "drop_connection":
            return Reply(0, {}, b"", drop=True)
    raise AssertionError(rule.fault)


def _after(seconds: float, reply: Reply) -> Reply:
    reply.wait = seconds
    return reply


def instead(rule: Rule, clock: Clock, intuit_tid: str) -> Reply:
    """Return the answer a rule puts in place of the real one."""
    reply = _in_its_place(rule, clock)
    reply.headers["intuit_tid"] = intuit_tid
    return reply


def reshape(reply: Reply, rule: Rule) -> Reply:
    """Return the real answer with other rows than it should have: a short page, or a row twice."""
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
        case "truncate":
            reply.cut_at = min(rule.at, len(reply.body) // 2)
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
