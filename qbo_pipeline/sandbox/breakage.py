"""Faults on order: rules that break matching calls, and a ledger of what was broken.

A rule says which calls it means, how many of them to let pass first, how many to break, and how. Rules are tried in the
order they were added; the first that applies breaks the reply, while those that change books strike beside it.
``processed`` lets the server do its work before the reply is spoilt, which is how a rotated refresh token gets lost.
Chance has a seed: the same rule strikes the same calls again.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Annotated, Any, Literal

import msgspec

from qbo_pipeline.sandbox.entities import find

FaultKind = Literal[
    "http_401",
    "http_401_xml",
    "http_403",
    "http_403_xml",
    "http_429",
    "http_429_html",
    "http_429_xml",
    "retry_after",
    "http_500",
    "http_500_html",
    "http_500_xml",
    "http_502",
    "http_502_html",
    "http_502_xml",
    "http_503",
    "http_503_html",
    "http_503_xml",
    "http_504",
    "http_504_html",
    "http_504_xml",
    "fault_200",
    "text_200",
    "invalid_grant",
    "invalid_client",
    "timeout",
    "drop_connection",
    "reset",
    "truncate",
    "cut_chunk",
    "truncated_json",
    "corrupt_gzip",
    "slow",
    "drip",
    "empty_page",
    "short_page",
    "repeated_row",
    "repeated_page",
    "edit_books",
    "mutate_books",
]
BOOKS_ONLY = frozenset({"edit_books", "mutate_books"})  # they change the company and leave the reply alone
Mutation = Literal["edit", "insert", "delete", "void", "deactivate"]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls a rule means; what is not given matches everything."""

    path: str | None = None  # a part of the path: "query", "cdc", "tokens/bearer", "/invoice/"
    entity: str | None = None
    realm: str | None = None
    method: str | None = None
    statement: str | None = None  # a part of the query statement or of the token request's grant type

    def means(self, call: Call) -> bool:
        return (
            (self.path is None or self.path in call.path)
            and (self.entity is None or self.entity.lower() in call.entities)
            and (self.realm is None or self.realm == call.realm)
            and (self.method is None or self.method.upper() == call.method)
            and (self.statement is None or self.statement.lower() in call.statement.lower())
        )


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """One order: break these calls like this."""

    fault: FaultKind
    match: Match = Match()
    times: Count | None = None  # 0 means always; what is not said means once, of mutate_books always
    after: Count = 0  # matching calls to let pass first
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    seed: int | None = None  # of the chance, and of what mutate_books does; without it the sandbox's own
    processed: bool = False  # do the work, then spoil the reply
    seconds: float = 5.0  # of timeout, slow and drip
    retry_after: Annotated[str, msgspec.Meta(pattern=r"\A[ -~]*\Z")] = "1"  # seconds, a date, or "date+30", "date-30"
    at: Count = 200  # bytes to send before reset, truncate and cut_chunk cut
    code: str = "10000"  # of the Fault in fault_200
    operations: tuple[dict[str, Any], ...] = ()  # of edit_books: what changes before the call is answered
    kinds: tuple[Mutation, ...] = ("edit", "insert", "delete")  # of mutate_books: what may change after each answer
    per_call: Annotated[int, msgspec.Meta(ge=1)] = 1
    id: int = 0
    matched: int = 0
    broken: int = 0
    changes: dict[str, int] = {}  # what mutate_books did, by kind


class Call(msgspec.Struct):
    """One call to the API side, as the call log shows it."""

    at: str
    method: str
    path: str
    realm: str | None
    entity: str | None
    statement: str
    intuit_tid: str
    entities: frozenset[str] = frozenset()
    status: int = 0
    metered: bool = False
    fault: str | None = None
    number: int = 0

    def reads_books(self) -> bool:
        """Is this a query, a count or change data capture, of an entity there is?"""
        return self.path.endswith(("/query", "/cdc", "/batch")) and bool(self.entities)

    def series(self) -> tuple[str | None, str] | None:
        """Return what the pages of one entity have in common, if this asks for such a page."""
        head, is_query, rest = self.statement.lower().partition(" from ")
        entity = find(rest.split(maxsplit=1)[0]) if rest.strip() else None
        if not is_query or not self.path.endswith("/query") or entity is None or "(" in head:
            return None
        return self.realm, f"{' '.join(head.split())} {entity.name}"


class Breakage:
    """Holds the rules and decides, call by call, whether to break it."""

    def __init__(self, seed: int) -> None:
        self.rules: list[Rule] = []
        self.ledger: Counter[str] = Counter()  # strikes by fault since the last reset, also of rules withdrawn
        self._seed = seed
        self._chance: dict[int, random.Random] = {}
        self._pages: dict[tuple[str | None, str], bytes] = {}
        self._last_id = 0

    def add(self, rule: Rule) -> Rule:
        self._last_id += 1
        rule.id = self._last_id
        if rule.times is None:
            rule.times = 0 if rule.fault == "mutate_books" else 1
        # One generator for each rule: what other rules and calls do must not change what this one does.
        self._chance[rule.id] = random.Random(f"{self._seed}/{rule.id}" if rule.seed is None else rule.seed)
        self.rules.append(rule)
        return rule

    def clear(self) -> int:
        count, self.rules = len(self.rules), []
        self._pages.clear()
        return count

    def due(self, call: Call) -> list[Rule]:
        """Return and count the rules that strike this call: any that change books, and one that breaks the reply."""
        struck: list[Rule] = []
        is_whole = True
        for rule in self.rules:
            beside = rule.fault in BOOKS_ONLY
            if (is_whole or beside) and self._means(rule, call) and self._strikes(rule):
                struck.append(rule)
                is_whole = is_whole and beside
        return struck

    def _means(self, rule: Rule, call: Call) -> bool:
        if rule.fault == "mutate_books" and not call.reads_books():
            return False
        if rule.fault == "repeated_page" and call.series() not in self._pages:
            return False
        return rule.match.means(call)

    def _strikes(self, rule: Rule) -> bool:
        rule.matched += 1
        spent = rule.times and rule.broken >= rule.times
        if spent or rule.matched <= rule.after or self.random_of(rule).random() >= rule.probability:
            return False
        rule.broken += 1
        self.ledger[rule.fault] += 1
        return True

    def random_of(self, rule: Rule) -> random.Random:
        return self._chance[rule.id]

    def remember(self, call: Call, body: bytes) -> None:
        """Keep a page for rules that give it again in place of the next."""
        series = call.series()
        is_page = series is not None and body.startswith(b'{"QueryResponse":{"')
        if series is not None and is_page and any(rule.fault == "repeated_page" for rule in self.rules):
            self._pages[series] = body

    def earlier(self, call: Call) -> bytes | None:
        series = call.series()
        return self._pages.get(series) if series else None
