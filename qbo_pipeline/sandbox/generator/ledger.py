"""What the generator plans with: names, documents, and the books they end up in.

Money is whole cents until it is written. Documents are planned light, sorted by time so that Ids grow with time, and
only then written out, so that an invoice can name the payment that came months later.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.values import Payload

YEARS = 3
DAY = 86_400


@dataclass(slots=True)
class Named:
    """A list entry other records refer to."""

    id: str
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    open_cents: int = 0
    moved_at: int = 0

    @property
    def ref(self) -> dict[str, str]:
        return {"value": self.id, "name": self.name}


@dataclass(slots=True)
class Doc:
    """A planned transaction."""

    entity: str
    when: int
    party: Named | None = None
    lines: list[tuple[Any, ...]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    total: int = 0
    tax: int = 0
    open: int = 0
    links: list[tuple[Doc, int]] = field(default_factory=list)  # what it is linked with, and for how much
    id: str = ""

    @property
    def touched_at(self) -> int:
        """When it or its balance last changed."""
        return max([self.when, *(other.when for other, _ in self.links)])


class Ledger:
    """A company in the making."""

    def __init__(self, books: Books, seed: int) -> None:
        self.books = books
        self.rng = random.Random(seed)
        today = books.clock.today()
        self.end = int(datetime.combine(today, datetime.min.time(), books.clock.zone).timestamp())
        self.start = self.end - YEARS * 365 * DAY
        self.names: dict[str, dict[str, Named]] = {}
        self._choices: dict[str, list[Named]] = {}
        self.docs: list[Doc] = []

    def add_name(
        self, entity: str, name: str, payload: Payload, facts: dict[str, Any] | None = None, when: int | None = None
    ) -> Named:
        """Write a list entry at once, and remember it for references."""
        key = self.books.next_id(entity)
        written = self.start - self.rng.randrange(30, 200) * DAY + self.rng.randrange(DAY) if when is None else when
        self.books.keep(entity, self.stamped(key, payload, written, written))
        named = Named(key, name, facts or {}, moved_at=written)
        self.names.setdefault(entity, {})[name] = named
        return named

    def stamped(self, key: str, payload: Payload, created: int, updated: int, sync_token: int = 0) -> Payload:
        clock = self.books.clock
        return {
            "domain": "QBO",
            "sparse": False,
            "Id": key,
            "SyncToken": str(sync_token),
            "MetaData": {"CreateTime": clock.stamp(created), "LastUpdatedTime": clock.stamp(updated)},
        } | payload

    def named(self, entity: str, name: str) -> Named:
        return self.names[entity][name]

    def any(self, entity: str) -> Named:
        """Draw a list entry; to be called once the list is complete."""
        if entity not in self._choices:
            self._choices[entity] = list(self.names[entity].values())
        return self.rng.choice(self._choices[entity])

    def account(self, name: str) -> dict[str, str]:
        return self.names["Account"][name].ref

    def plan(self, doc: Doc) -> Doc:
        self.docs.append(doc)
        return doc

    def some_day(self, earliest: int | None = None) -> int:
        """Return a working moment of the last years, later ones likelier: the company grows."""
        low = self.start if earliest is None else earliest
        share = self.rng.random() ** 0.8
        return min(int(low + (self.end - low) * share) // DAY * DAY + self.rng.randrange(8, 25) * 3600, self.end - 60)

    def later(self, when: int, days: int) -> int:
        """Return a moment up to ``days`` later; it may lie in the future, and then it has not happened."""
        return when + self.rng.randrange(1, days + 1) * DAY + self.rng.randrange(3600)

    def day_of(self, when: int) -> date:
        return datetime.fromtimestamp(when, self.books.clock.zone).date()


def dollars(cents: int) -> Decimal:
    """Write cents as money with two decimals."""
    return Decimal(cents).scaleb(-2)


def plus_days(day: date, days: int) -> str:
    return (day + timedelta(days=days)).isoformat()


def linked(doc: Doc) -> list[dict[str, str]]:
    return [{"TxnId": other.id, "TxnType": _type_of(other)} for other, _ in doc.links]


def _type_of(doc: Doc) -> str:
    return f"BillPayment{doc.facts['type']}" if doc.entity == "BillPayment" else doc.entity


def party_ref(party: Named | None) -> dict[str, str]:
    return party.ref if party is not None else {"value": "0"}
