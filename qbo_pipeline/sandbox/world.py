"""Everything the sandbox remembers, in one place: clock, companies, tokens, knobs, rules and the call log."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.breakage import Breakage, Call
from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.downloads import Downloads
from qbo_pipeline.sandbox.generator import generate
from qbo_pipeline.sandbox.loading import LoadReport, load_books
from qbo_pipeline.sandbox.oauth import Identity
from qbo_pipeline.sandbox.query import Finder
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.throttle import Throttle
from qbo_pipeline.sandbox.webhooks import Webhooks

GENERATED_REALM, LOADED_REALM = "9130000000000001", "9130000000000002"
CALL_LOG_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class Start:
    """How the sandbox begins, and begins again after a reset."""

    seed: int = 1
    invoices: int = 200
    books: Path | None = None
    throttle: bool = True
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - there is nothing behind it
    realm: str = GENERATED_REALM
    books_realm: str = LOADED_REALM


class World:
    """The sandbox's whole state."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.load_report: LoadReport | None = None
        self._first: tuple[date, list[Books]] | None = None
        self.webhooks: Webhooks
        self.begin()

    def begin(self) -> None:
        """Start from nothing: the same seed gives the same companies."""
        self.settings = Settings(throttle=self.start.throttle)
        self.clock = Clock(self.settings.timezone)
        self.identity = Identity(self.clock, self.start.client_id, self.start.client_secret)
        self.downloads = Downloads(self.clock)
        self.breakage = Breakage(self.start.seed)
        self.throttle = Throttle()
        self.finder = Finder()
        self.shuffle = random.Random(self.start.seed)
        self.calls: deque[Call] = deque(maxlen=CALL_LOG_LENGTH)
        self.calls_made = 0
        if hasattr(self, "webhooks"):
            self.webhooks.stop()
        self.webhooks = Webhooks(self.clock, self._is_connected)
        self.companies: dict[str, Books] = {}
        for books in self._opening_books():
            self.add(books.twin(self.clock))

    def _opening_books(self) -> list[Books]:
        """Return the companies to begin with, made once a day: that is how often they would come out differently."""
        today = self.clock.today()
        if self._first is None or self._first[0] != today:
            self._first = today, self._made()
        return self._first[1]

    def _made(self) -> list[Books]:
        start, self.load_report = self.start, None
        made = [generate(start.realm, self.clock, seed=start.seed, invoices=start.invoices)]
        if start.books is not None:
            books = Books(start.books_realm, "Loaded Books", self.clock)
            self.load_report = load_books(start.books, books)
            made.append(books)
        return made

    def add(self, books: Books) -> Books:
        books.settle()  # a company comes with a past, it is not written the moment it is added
        books.hearer = self.webhooks.heard
        self.companies[books.realm] = books
        return books

    def _is_connected(self, realm: str) -> bool:
        return any(not grant.revoked for grant in self.identity.grants(realm))

    def log(self, call: Call) -> None:
        self.calls_made += 1
        call.number = self.calls_made
        self.calls.append(call)

    def month(self) -> str:
        return self.clock.today().isoformat()[:7]
