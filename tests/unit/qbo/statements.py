"""QuickBooks' query language read back, from its documentation and without a look at ``qbo_pipeline.qbo.query``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:\\.|[^'\\])*')|(?P<word>[A-Za-z][\w.]*)|(?P<number>[0-9]+)|(?P<sign><=|>=|[=<>(),*]))",
    re.DOTALL,
)


@dataclass
class Parsed:
    entity: str
    conditions: list[tuple[str, str, Any]]
    order_by: str | None = None
    start: int = 1
    limit: int = 100
    counting: bool = False


def parse(text: str) -> Parsed:
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None, f"does not parse at {position}: {text!r}"
        assert match.lastgroup is not None
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()

    def take(wanted: str | None = None) -> tuple[str, str]:
        kind, token = tokens.pop(0)
        if wanted is not None:
            assert token.lower() == wanted, f"{wanted} expected, {token} found in {text!r}"
        return kind, token

    def value() -> Any:
        kind, token = take()
        if kind == "string":
            return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
        assert token in {"true", "false"}, f"{token} is no literal in {text!r}"
        return token == "true"

    take("select")
    kind, first = take()
    if first != "*":
        assert first == "count"
        take("(")
        take("*")
        take(")")
    take("from")
    found = Parsed(take()[1], [], counting=first != "*")
    while tokens:
        kind, word = take()
        assert kind == "word"
        match word.lower():
            case "where" | "and":
                name, operator = take()[1], take()[1].lower()
                if operator == "in":
                    take("(")
                    values = [value()]
                    while take()[1] == ",":
                        values.append(value())
                    found.conditions.append((name, "in", values))
                else:
                    found.conditions.append((name, operator, value()))
            case "orderby":
                found.order_by = take()[1]
            case "startposition":
                found.start = int(take()[1])
            case "maxresults":
                found.limit = int(take()[1])
            case _:
                raise AssertionError(f"{word} is unknown in {text!r}")
    return found
