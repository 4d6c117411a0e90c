"""A QuickBooks that answers at once: one entity with invoices without end, and every other entity empty.

Its answers are those of the query endpoint and of change data capture as far as the cases ask, and not further: it
refuses what it does not understand. How many invoices there are, how long an answer takes and whether it is packed is
set through ``/control``. It runs as a process of its own, whose CPU is nobody's.

    POST /control {"invoices": 100000, "latency_ms": 0, "gzip": false, "touched": 0}
    GET  /control                      the calls made since then
"""

from __future__ import annotations

import asyncio
import gzip
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.payloads import BEGINNING, invoice

REALM = "9130000000000099"
_QUERY = re.compile(
    r"select (?P<what>\*|count\(\*\)) from (?P<entity>\w+)(?: where (?P<where>.*?))?(?: orderby (?P<order>\S+))?"
    r"(?: startposition (?P<start>\d+))?(?: maxresults (?P<most>\d+))?",
    re.IGNORECASE,
)
_BOUND = re.compile(r"MetaData\.(?:LastUpdatedTime|CreateTime) (>=|<) '([^']+)'")


@dataclass
class _World:
    invoices: int = 0
    latency_ms: float = 0
    gzip: bool = False
    #: The last so many invoices were edited at ``at``.
    touched: int = 0
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    calls: int = 0

    def time(self, number: int) -> datetime:
        if number > self.invoices - self.touched:
            return self.at + timedelta(seconds=(number - self.invoices) / 2)
        return BEGINNING + timedelta(seconds=number)

    def numbers(self, where: str) -> range:
        """Return the numbers of the invoices between the bounds of a condition; times grow with them."""
        first, last = 1, self.invoices
        for operator, text in _BOUND.findall(where):
            bound = datetime.fromisoformat(text)
            place = self._first_at(bound)
            first, last = (max(first, place), last) if operator == ">=" else (first, min(last, place - 1))
        return range(first, last + 1)

    def _first_at(self, bound: datetime) -> int:
        low, high = 1, self.invoices + 1
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.time(middle) < bound else (low, middle)
        return low

    def record(self, number: int) -> bytes:
        return invoice(number, touched=self.time(number) if number > self.invoices - self.touched else None)


_world = _World()


async def _query(request: Request) -> Response:
    asked = _QUERY.fullmatch(request.query_params.get("query") or (await request.body()).decode())
    if asked is None:
        return JSONResponse({"Fault": {"Error": [{"code": "4000", "Message": "not understood"}]}}, 400)
    numbers = _world.numbers(asked["where"] or "") if asked["entity"] == "Invoice" else range(0)
    if asked["what"] != "*":
        return await _answer(b'{"QueryResponse":{"totalCount":%d},"time":"%b"}' % (len(numbers), _now()))
    start = int(asked["start"] or 1) - 1
    numbers = numbers[start : start + int(asked["most"] or 100)]
    return await _answer(
        b'{"QueryResponse":{"%b":[%b],"startPosition":%d,"maxResults":%d},"time":"%b"}'
        % (asked["entity"].encode(), b",".join(map(_world.record, numbers)), start + 1, len(numbers), _now())
    )


async def _cdc(request: Request) -> Response:
    numbers = _world.numbers(f"MetaData.LastUpdatedTime >= '{request.query_params['changedSince']}'")
    block = b'{"Invoice":[%b]}' % b",".join(map(_world.record, numbers[:1000])) if numbers else b"{}"
    return await _answer(b'{"CDCResponse":[{"QueryResponse":[%b]}],"time":"%b"}' % (block, _now()))


async def _list(_: Request) -> Response:
    return await _answer(b'{"QueryResponse":{},"time":"%b"}' % _now())


async def _company_info(_: Request) -> Response:
    made = BEGINNING.isoformat()
    return JSONResponse(
        {"CompanyInfo": {"Id": "1", "CompanyName": "Fast Books", "MetaData": {"CreateTime": made}}, "time": made}
    )


async def _tokens(_: Request) -> Response:
    # No secrets: this QuickBooks opens to anybody.
    return JSONResponse(
        {
            "token_type": "bearer",
            "access_token": "access",
            "refresh_token": "refresh",
            "expires_in": 36000,
            "x_refresh_token_expires_in": 8640000,
        }
    )


async def _control(request: Request) -> Response:
    global _world
    calls = _world.calls
    if request.method == "POST":
        _world = _World(**await request.json())
        _page.cache_clear()
    return JSONResponse({"calls": calls})


async def _answer(body: bytes) -> Response:
    _world.calls += 1
    if _world.latency_ms:
        await asyncio.sleep(_world.latency_ms / 1000)
    if _world.gzip:
        return Response(_page(body), media_type="application/json", headers={"Content-Encoding": "gzip"})
    return Response(body, media_type="application/json")


@lru_cache(maxsize=256)
def _page(body: bytes) -> bytes:
    return gzip.compress(body, 1)


def _now() -> bytes:
    return datetime.now(UTC).isoformat(timespec="milliseconds").encode()


app = Starlette(
    routes=[
        Route("/v3/company/{realm}/query", _query, methods=["GET", "POST"]),
        Route("/v3/company/{realm}/cdc", _cdc),
        Route("/v3/company/{realm}/taxclassification", _list),
        Route("/v3/company/{realm}/companyinfo/{_}", _company_info),
        Route("/oauth2/v1/tokens/bearer", _tokens, methods=["POST"]),
        Route("/control", _control, methods=["GET", "POST"]),
    ]
)


@dataclass(frozen=True)
class Fake:
    """The fake, running; ``url`` is its address."""

    url: str

    def set(self, **world: object) -> None:
        """Begin anew with ``invoices``, ``latency_ms``, ``gzip`` and ``touched``; what is left out is 0."""
        requests.post(f"{self.url}/control", json=world, timeout=30).raise_for_status()

    def calls(self) -> int:
        """Return how many calls of the API were made since it began."""
        answer = requests.get(f"{self.url}/control", timeout=30)
        return int(answer.json()["calls"])


@contextmanager
def running_fake() -> Iterator[Fake]:
    """Start the fake on a free port of this machine, and stop it afterwards."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.fake"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the fake QuickBooks did not start; see what it said above")
        watchdog.cancel()
        yield Fake(url)
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(20)
        process.stdout.close()


def _serve() -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    _serve()
