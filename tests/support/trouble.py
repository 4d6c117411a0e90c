"""What may go wrong between us and QuickBooks, drawn at random: faults on order, and knobs of its unverified ways."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

#: Faults that any call may meet, and that nothing may be lost by.
ANYWHERE = (
    *("http_429", "http_429_xml", "retry_after", "http_401", "http_403_xml", "fault_200", "text_200"),
    *("http_500", "http_500_xml", "http_502_html", "http_503", "http_503_html", "http_504_xml"),
    *("drop_connection", "reset", "truncate", "cut_chunk", "truncated_json", "corrupt_gzip"),
)
#: Answers to queries that look right and are not.
LIES = ("short_page", "empty_page", "repeated_row", "repeated_page")
CHANGES = ("edit", "insert", "delete", "void", "deactivate")
#: What ``knobs`` turns, as it is when nobody turned it.
CALM: dict[str, Any] = {
    "throttle": False,
    "cdc_cap": 1000,
    "cdc_cap_scope": "response",
    "cdc_inclusive": True,
    "cdc_unchanged": "empty_block",
    "cdc_too_old": "fault",
    "cdc_merge": "stub",
    "cdc_stubs_first": False,
    "cdc_duplicates": False,
    "cdc_false_stubs": [],
    "visible_after_seconds": 0,
    "visible_after_seed": None,
    "merge_touches_transactions": False,
    "default_order": "documented",
}


@dataclass(frozen=True)
class Ordered:
    """A rule for ``/_sandbox/faults``, which can say itself in words."""

    body: dict[str, Any]

    def __str__(self) -> str:
        match, body = self.body["match"], self.body
        where = " ".join(str(match[name]) for name in ("path", "entity") if name in match)
        if body["fault"] == "mutate_books":
            return f"books change after {body['times']} calls ({', '.join(body['kinds'])} x{body['per_call']})"
        often = f"x{body['times']}" if body.get("times") else f"p={body['probability']}"
        return f"{body['fault']} {often} after {body.get('after', 0)} on {where}"


def rules(chance: random.Random, realm: str, entities: list[str]) -> list[Ordered]:
    """Return one to three faults on order for a company."""
    return [_rule(chance, realm, entities) for _ in range(chance.randint(1, 3))]


def _rule(chance: random.Random, realm: str, entities: list[str]) -> Ordered:
    draw, match = chance.random(), {"realm": realm}
    if draw < 0.3:
        kinds = chance.sample(CHANGES, chance.randint(1, 3))
        per_call, times = chance.choice((1, 1, 2)), chance.choice((3, 10, 40))  # nobody edits for ever
        changing = {"fault": "mutate_books", "match": match, "kinds": kinds, "per_call": per_call, "times": times}
        return Ordered(changing | {"seed": chance.randrange(99)})
    if draw < 0.5:
        fault, match["path"] = chance.choice(LIES), "query"
    else:
        fault, match["path"] = chance.choice(ANYWHERE), chance.choice(("query", "query", "cdc"))
    if match["path"] == "query" and chance.random() < 0.5:
        match["entity"] = chance.choice(entities)
    rule: dict[str, Any] = {"fault": fault, "match": match, "at": chance.randint(0, 400), "retry_after": "3"}
    if chance.random() < 0.25:  # a storm
        return Ordered(rule | {"times": 0, "probability": chance.choice((0.1, 0.3)), "seed": chance.randrange(99)})
    return Ordered(rule | {"times": chance.choice((1, 1, 2, 8)), "after": chance.choice((0, 0, 1, 2, 5))})


def knobs(chance: random.Random, live: list[str]) -> dict[str, Any]:
    """Return one to three knobs, turned; ``live`` are records that may be shown as deleted although they are not."""
    cap = chance.randint(2, 12)
    possible: list[dict[str, Any]] = [
        {"cdc_cap": cap},
        {"cdc_cap": cap, "cdc_stubs_first": True},
        {"cdc_cap": cap, "cdc_cap_scope": "entity"},
        {"cdc_duplicates": True},
        {"cdc_stubs_first": True},
        {"cdc_inclusive": False},
        {"cdc_unchanged": "omit"},
        {"cdc_too_old": "serve"},
        {"cdc_merge": "inactive"},
        {"cdc_merge": "nothing"},
        {"merge_touches_transactions": True},
        {"default_order": "shuffled"},
        {"visible_after_seconds": chance.choice((1, 60, 500))},
        {"visible_after_seconds": 500, "visible_after_seed": chance.randrange(99)},
    ]
    if live:
        possible += [{"cdc_false_stubs": chance.sample(live, min(len(live), 2))}] * 2
    turned: dict[str, Any] = {}
    for each in chance.sample(possible, chance.randint(1, 3)):
        turned |= each
    return turned
