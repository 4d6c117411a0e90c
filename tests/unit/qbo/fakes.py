"""Stand-ins for what a client is handed: time that moves only when told, a QuickBooks behind a requests adapter."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from qbo_pipeline.qbo.client import Call, Patience, QboClient
from qbo_pipeline.qbo.environments import SANDBOX
from qbo_pipeline.qbo.throttle import Throttle

REALM = "9130350000000001"
TOKEN = "eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0..canaryACCESSTOKEN0123456789"


class FakeTime:
    """A clock that moves only by sleeping."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Answer:
    """One scripted answer; an exception instead of one is raised."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    takes: float = 0.0


Scripted = Answer | Exception
Script = Callable[[requests.PreparedRequest], Scripted]


class FakeQuickBooks(HTTPAdapter):
    """Answers from a script (the last answer repeats) and keeps every request it saw."""

    def __init__(self, script: Iterable[Scripted] | Script, time: FakeTime | None = None) -> None:
        super().__init__()
        self.seen: list[requests.PreparedRequest] = []
        self.sent_with: list[dict[str, Any]] = []
        self._time = time or FakeTime()
        if callable(script):
            self._script = script
        else:
            left = list(script)
            self._script = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.seen.append(request)
        self.sent_with.append(kwargs)
        answer = self._script(request)
        if isinstance(answer, Exception):
            raise answer
        self._time.now += answer.takes
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(answer.body), headers=dict(answer.headers), status=answer.status, preload_content=False
        )
        return self.build_response(request, raw)

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", self)
        session.mount("http://", self)
        return session

    def parameters(self, index: int = -1) -> dict[str, str]:
        """The query parameters of one request seen."""
        url = self.seen[index].url
        assert url is not None
        return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass
class Tokens:
    """Hands out numbered tokens, a new one whenever the last was refused."""

    asked: list[str | None] = field(default_factory=list)

    def __call__(self, refused: str | None) -> str:
        self.asked.append(refused)
        return f"{TOKEN}.{sum(each is not None for each in self.asked)}"


@dataclass
class Bench:
    """A client, and everything around it a test may look at."""

    client: QboClient
    quickbooks: FakeQuickBooks
    time: FakeTime
    tokens: Tokens
    calls: list[Call]
    throttle: Throttle


def bench(script: Iterable[Scripted] | Script, *, patience: Patience | None = None) -> Bench:
    time = FakeTime()
    quickbooks = FakeQuickBooks(script, time)
    tokens = Tokens()
    calls: list[Call] = []
    throttle = Throttle(clock=time.clock, sleep=time.sleep)
    client = QboClient(
        SANDBOX,
        REALM,
        access_token=tokens,
        session=quickbooks.session(),
        throttle=throttle,
        on_call=calls.append,
        sleep=time.sleep,
        clock=time.clock,
        jitter=lambda: 1.0,
        patience=patience,
    )
    return Bench(client, quickbooks, time, tokens, calls, throttle)
