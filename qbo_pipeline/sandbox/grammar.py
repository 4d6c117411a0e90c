"""QuickBooks' query language: text to a statement and back.

    SELECT ( * | COUNT(*) | prop, … ) FROM Entity [WHERE cond AND …]
        [ORDERBY prop ASC, …] [STARTPOSITION n] [MAXRESULTS n]

No OR, NOT, parentheses, functions or joins; ``ORDER BY`` also written in two words; the last three clauses in any
order; strings in single quotes with a backslash before a quote (Intuit: data queries). Anything else is error 4000.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal as Choice

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, VisitError

from qbo_pipeline.sandbox.faults import ApiError, parse_fault

Operator = Choice["=", "<", ">", "<=", ">=", "LIKE", "IN"]


@dataclass(frozen=True, slots=True)
class Literal:
    """A value in a condition. ``date`` is the keyword CURRENT_DATE."""

    kind: Choice["string", "number", "boolean", "date"]
    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    property: str
    operator: Operator
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    property: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    entity: str
    projection: tuple[str, ...] = ()  # empty means *
    count: bool = False
    where: tuple[Condition, ...] = ()
    order: tuple[Sort, ...] = ()
    start: int | None = None
    limit: int | None = None


_GRAMMAR = r"""
start: SELECT what FROM NAME [where] tail*
what: STAR -> everything | COUNT -> count | names
names: NAME ("," NAME)*
where: WHERE condition (AND condition)*
condition: NAME OPERATOR value -> comparison
         | NAME LIKE STRING -> like
         | NAME IN "(" value ("," value)* ")" -> membership
value: STRING -> string | NUMBER -> number | BOOLEAN -> boolean | TODAY -> today
tail: ORDERBY sort ("," sort)* -> order
    | STARTPOSITION NUMBER -> startposition
    | MAXRESULTS NUMBER -> maxresults
sort: NAME [DIRECTION]

SELECT.3: /select\b/i
FROM.3: /from\b/i
WHERE.3: /where\b/i
AND.3: /and\b/i
IN.3: /in\b/i
LIKE.3: /like\b/i
ORDERBY.3: /order\s*by\b/i
STARTPOSITION.3: /startposition\b/i
MAXRESULTS.3: /maxresults\b/i
DIRECTION.3: /(asc|desc)\b/i
BOOLEAN.3: /(true|false)\b/i
TODAY.3: /current_date\b/i
COUNT.3: /count\s*\(\s*\*\s*\)/i
STAR: "*"
OPERATOR: /<=|>=|=|<|>/
STRING: /'(?:[^'\\]|\\.)*'/s
NUMBER: /-?\d+(\.\d+)?/
NAME: /[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/
%ignore /\s+/
"""


class _Twice(Exception):  # noqa: N818 - never leaves this module
    """A clause was written twice; carries the token that starts the second one."""


@v_args(inline=True)
class _Builder(Transformer[Token, Statement]):
    def start(self, _select: Token, what: dict[str, object], _from: Token, entity: Token, *rest: object) -> Statement:
        parts: dict[str, object] = dict(what)
        for part in rest:
            if isinstance(part, tuple) and part:
                name, value, token = part
                if name in parts:
                    raise _Twice(token)
                parts[name] = value
        return Statement(str(entity), **parts)  # type: ignore[arg-type]

    def everything(self, _star: Token) -> dict[str, object]:
        return {}

    def count(self, _count: Token) -> dict[str, object]:
        return {"count": True}

    def what(self, names: tuple[str, ...]) -> dict[str, object]:
        return {"projection": names}

    def names(self, *names: Token) -> tuple[str, ...]:
        return tuple(map(str, names))

    def where(self, where: Token, *conditions: Condition | Token) -> tuple[str, object, Token]:
        return "where", tuple(each for each in conditions if isinstance(each, Condition)), where

    def comparison(self, name: Token, operator: Operator, value: Literal) -> Condition:
        return Condition(str(name), str(operator), (value,))  # type: ignore[arg-type]

    def like(self, name: Token, _like: Token, pattern: Token) -> Condition:
        return Condition(str(name), "LIKE", (Literal("string", _unquoted(pattern)),))

    def membership(self, name: Token, _in: Token, *values: Literal) -> Condition:
        return Condition(str(name), "IN", values)

    def string(self, text: Token) -> Literal:
        return Literal("string", _unquoted(text))

    def number(self, text: Token) -> Literal:
        return Literal("number", str(text))

    def boolean(self, text: Token) -> Literal:
        return Literal("boolean", text.lower())

    def today(self, _today: Token) -> Literal:
        return Literal("date", "CURRENT_DATE")

    def order(self, orderby: Token, *sorts: Sort) -> tuple[str, object, Token]:
        return "order", sorts, orderby

    def sort(self, name: Token, direction: Token | None) -> Sort:
        return Sort(str(name), direction is not None and direction.lower() == "desc")

    def startposition(self, word: Token, number: Token) -> tuple[str, object, Token]:
        return "start", int(number.split(".")[0][:18]), word

    def maxresults(self, word: Token, number: Token) -> tuple[str, object, Token]:
        return "limit", int(number.split(".")[0][:18]), word


_parser = Lark(_GRAMMAR, parser="lalr", maybe_placeholders=True)
_builder = _Builder()


@lru_cache(maxsize=2048)
def parse(text: str) -> Statement:
    """Read a statement, or raise Intuit's error 4000."""
    try:
        return _builder.transform(_parser.parse(text))
    except UnexpectedToken as error:
        raise _unexpected(error.token, error.line, error.column) from None
    except UnexpectedEOF:
        raise parse_fault('Encountered "<EOF>" at line 1, column 0.') from None
    except UnexpectedCharacters as error:
        seen = error.char if isinstance(error.char, str) else "<EOF>"
        place = f"line {error.line}, column {error.column}"
        raise parse_fault(f'Lexical error at {place}.  Encountered: "{seen}" ({ord(seen[0])}), after : ""') from None
    except VisitError as error:
        if isinstance(error.orig_exc, _Twice):
            token: Token = error.orig_exc.args[0]
            raise _unexpected(token, token.line or 1, token.column or 1) from None
        raise


def _unexpected(token: Token, line: int, column: int) -> ApiError:
    if token.type == "$END":
        return parse_fault(f'Encountered "<EOF>" at line {max(line, 1)}, column {max(column, 0)}.')
    kind = {"NAME": "<IDENTIFIER> ", "STRING": "<STRING> ", "NUMBER": "<INTEGER> "}.get(token.type, "")
    return parse_fault(f'Encountered " {kind}"{token} "" at line {line}, column {column}.')


def _unquoted(token: Token) -> str:
    text, out, escaped = token[1:-1], [], False
    for letter in text:
        if letter == "\\" and not escaped:
            escaped = True
            continue
        out.append(letter)
        escaped = False
    return "".join(out)


def render(statement: Statement) -> str:
    """Write a statement back as text; ``parse`` of it gives the same statement."""
    what = "COUNT(*)" if statement.count else ", ".join(statement.projection) or "*"
    words = ["SELECT", what, "FROM", statement.entity]
    if statement.where:
        words += ["WHERE", " AND ".join(map(_condition, statement.where))]
    if statement.order:
        words += ["ORDERBY", ", ".join(f"{each.property} {_direction(each)}" for each in statement.order)]
    if statement.start is not None:
        words += ["STARTPOSITION", str(statement.start)]
    if statement.limit is not None:
        words += ["MAXRESULTS", str(statement.limit)]
    return " ".join(words)


def _direction(sort: Sort) -> str:
    return "DESC" if sort.descending else "ASC"


def _condition(condition: Condition) -> str:
    values = [_literal(value) for value in condition.values]
    right = f"({', '.join(values)})" if condition.operator == "IN" else values[0]
    return f"{condition.property} {condition.operator} {right}"


def _literal(literal: Literal) -> str:
    if literal.kind != "string":
        return literal.text
    return "'" + literal.text.replace("\\", "\\\\").replace("'", "\\'") + "'"
