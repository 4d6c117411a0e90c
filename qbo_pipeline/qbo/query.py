"""Statements of QuickBooks' query language, built from values and never from text.

Flows in    entity and property names, Python values
Flows out   ``str(select)``: one statement QuickBooks parses back to exactly these conditions
Refuses     names that are not names, strings with control characters, times without a zone

The language (developer.intuit.com, "Data queries") has AND only, no OR, and filters Id by = and IN only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from qbo_pipeline.errors import UsageError

Scalar: TypeAlias = str | bool | int | Decimal | date | datetime
Operator: TypeAlias = Literal["=", "<", ">", "<=", ">=", "like", "in"]

# Intuit's ceiling for MAXRESULTS; what it does with more is undocumented.
MAX_RESULTS = 1000

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
_OPERATORS = frozenset({"=", "<", ">", "<=", ">=", "like", "in"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; all conditions of a statement must hold."""

    property: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        _check_name(self.property, "property")
        if self.operator not in _OPERATORS:
            raise UsageError(f"QuickBooks' query language has no operator {str(self.operator)[:20]!r}")
        if (self.operator == "in") != isinstance(self.value, tuple):
            raise UsageError(f"a condition on {self.property}: 'in' takes several values, every other operator one")
        if self.value == ():
            raise UsageError(f"a condition on {self.property}: 'in' needs at least one value")
        str(self)  # a value that cannot be written is refused here, where the traceback still names its author

    def __str__(self) -> str:
        if isinstance(self.value, tuple):
            return f"{self.property} in ({', '.join(_literal(value) for value in self.value)})"
        value = self.value
        if self.operator == "<" and isinstance(value, datetime) and value.microsecond:
            # QuickBooks stamps whole seconds: below 05.5 means below 06. Cutting the fraction off would lose a second.
            value += timedelta(seconds=1)
        return f"{self.property} {self.operator} {_literal(value)}"


@dataclass(frozen=True, slots=True)
class Select:
    """``select * from <entity>`` with conditions, an order and a page; or, with ``counting``, its ``count(*)``."""

    entity: str
    conditions: tuple[Condition, ...] = field(default=())
    order_by: str | None = None
    start_position: int | None = None
    max_results: int | None = None
    counting: bool = False

    def __post_init__(self) -> None:
        _check_name(self.entity, "entity")
        if self.order_by is not None:
            _check_name(self.order_by, "property")
        if self.start_position is not None and self.start_position < 1:
            raise UsageError(f"QuickBooks counts rows from 1; there is no position {self.start_position}")
        if self.max_results is not None and not 1 <= self.max_results <= MAX_RESULTS:
            raise UsageError(f"a page holds 1 to {MAX_RESULTS} records, not {self.max_results}")

    def where(self, name: str, operator: Operator, value: Scalar | Sequence[Scalar]) -> Select:
        """Return this statement with one more condition that must hold."""
        plain = value if isinstance(value, str | bool | int | Decimal | date) else tuple(value)
        return replace(self, conditions=(*self.conditions, Condition(name, operator, plain)))

    def ordered_by(self, name: str) -> Select:
        """Return this statement in ascending order of one property."""
        return replace(self, order_by=name)

    def page(self, start_position: int, max_results: int) -> Select:
        """Return this statement asking for one page; positions count from 1."""
        return replace(self, start_position=start_position, max_results=max_results)

    def __str__(self) -> str:
        parts = ["select", "count(*)" if self.counting else "*", "from", self.entity]
        if self.conditions:
            parts.append("where " + " and ".join(str(condition) for condition in self.conditions))
        if self.order_by is not None:
            parts.append(f"orderby {self.order_by}")
        if self.start_position is not None:
            parts.append(f"startposition {self.start_position}")
        if self.max_results is not None:
            parts.append(f"maxresults {self.max_results}")
        return " ".join(parts)


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:60]!r} is not the name of a QuickBooks {what}")


def _literal(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"'{timestamp(value)}'"
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise UsageError(f"{value} is not a number QuickBooks can compare with")
        return f"'{value:f}'"
    if isinstance(value, int):
        return f"'{value}'"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise UsageError("a value in a QuickBooks query may not hold control characters")
    # The backslash is the escape sign itself: left alone, a value ending in one would swallow the closing quote.
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def timestamp(moment: datetime) -> str:
    """Write an aware time as QuickBooks does: whole seconds (the rest cut off) and an offset."""
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("a time without a zone cannot be sent to QuickBooks")
    if offset % timedelta(minutes=1):  # local mean time of the 1880s; no API reads +00:19:32
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds")
