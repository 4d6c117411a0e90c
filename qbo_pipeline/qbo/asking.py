"""What a client asks, how patiently, and what it reports of every call.

Flows in    nothing: plain values, and one gate
Flows out   ``Ask`` before the call, ``Call`` after it; ``Patience`` for all of them
Refuses     (``check_read_only``) any request that could change somebody's books
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qbo_pipeline.errors import RejectedError

Kind = Literal["query", "count", "read", "list", "cdc", "download"]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call, for the ledger. ``status`` is None when no answer came; ``counted`` calls are the metered ones."""

    kind: Kind
    status: int | None
    entity: str
    intuit_tid: str | None
    seconds: float
    counted: bool


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and for how many seconds in all, one request is tried."""

    attempts: int = 5
    seconds: float = 600.0
    first_wait: float = 1.0
    longest_wait: float = 60.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request before it has a token: what to send, and the words for what it attempts.

    ``whole``: it is about an entity's records as such, not one of them; ``plain``: the answer is text, not JSON.
    """

    kind: Kind
    entity: str
    attempt: str
    path: str
    parameters: Mapping[str, str]
    statement: bytes | None = None
    plain: bool = False

    @property
    def whole(self) -> bool:
        return self.kind in {"query", "count", "list"}

    @property
    def method(self) -> str:
        return "GET" if self.statement is None else "POST"


def check_read_only(method: str, path: str) -> None:
    """Raise unless this request can only read. Every request passes here, whoever wrote the code that makes it."""
    if method != "GET" and (method, path) != ("POST", "query"):
        raise RejectedError(
            f"{method} to {path[:40]!r} could change the books; this client only reads: nothing was sent"
        )
