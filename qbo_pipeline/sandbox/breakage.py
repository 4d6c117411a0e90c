"""Faults on order: rules that break matching calls, and a ledger of what was broken.

A rule says which calls it means, how many of them to let pass first, how many to break, and how. Rules are tried in the
order they were added; the first that applies wins. ``processed`` lets the server do its work before the reply is
spoilt, which is how a rotated refresh token gets lost.
"""

from __future__ import annotations

import random
from typing import Any, Literal

import msgspec

FaultKind = Literal[
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
    "timeout",
    "drop_connection",
    "truncate",
    "truncated_json",
    "corrupt_gzip",
    "slow",
    "drip",
    "empty_page",
    "short_page",
    "repeated_row",
    "edit_books",
]


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
    times: int = 1  # 0 means always
    after: int = 0  # matching calls to let pass first
    probability: float = 1.0  # drawn from the sandbox's seed
    processed: bool = False  # do the work, then spoil the reply
    seconds: float = 5.0  # of timeout, slow and drip
    retry_after: str = "1"  # header value: seconds or an HTTP date
    at: int = 200  # bytes to send before truncate cuts
    code: str = "10000"  # of the Fault in fault_200
    operations: tuple[dict[str, Any], ...] = ()  # of edit_books: what changes before the call is answered
    id: int = 0
    matched: int = 0
    broken: int = 0


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


class Breakage:
    """Holds the rules and decides, call by call, whether to break it."""

    def __init__(self, seed: int) -> None:
        self.rules: list[Rule] = []
        self._random = random.Random(seed)
        self._last_id = 0

    def add(self, rule: Rule) -> Rule:
        self._last_id += 1
        rule.id = self._last_id
        self.rules.append(rule)
        return rule

    def clear(self) -> int:
        count, self.rules = len(self.rules), []
        return count

    def pick(self, call: Call) -> Rule | None:
        """Return the rule that breaks this call, and count it there."""
        for rule in self.rules:
            if not rule.match.means(call):
                continue
            rule.matched += 1
            spent = rule.times and rule.broken >= rule.times
            if spent or rule.matched <= rule.after or self._random.random() >= rule.probability:
                continue
            rule.broken += 1
            return rule
        return None
