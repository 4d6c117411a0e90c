"""Answering a statement of the query language.

Filterable and sortable properties are those of the entity's page; name lists hide inactive records unless the statement
mentions Active; times compare as instants at one second (Intuit: data queries; recorded and live-sandbox answers).
"""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Any

from qbo_pipeline.sandbox.books import Books, Record, Table, inner, times_of
from qbo_pipeline.sandbox.entities import BY_NAME, TIMES, Entity, canonical, canonical_sort, find
from qbo_pipeline.sandbox.faults import poisoned_fault, query_fault, unavailable
from qbo_pipeline.sandbox.grammar import Condition, Literal, Sort, Statement
from qbo_pipeline.sandbox.properties import known_properties
from qbo_pipeline.sandbox.settings import Settings
from qbo_pipeline.sandbox.values import Payload, Scalar, amount, encode
from qbo_pipeline.sandbox.visibility import seen

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
Test = Callable[[Record], bool]
_by_id = attrgetter("rank")


@dataclass(frozen=True, slots=True)
class Page:
    """What a statement found: a count, or some records."""

    entity: str
    records: tuple[bytes, ...] = ()
    start: int = 1
    total: int | None = None

    def body(self) -> bytes:
        """Write the ``QueryResponse`` object; a page without records is ``{}`` (recorded)."""
        if self.total is not None:
            return encode({"totalCount": self.total})
        if not self.records:
            return b"{}"
        rows = b",".join(self.records)
        counters = f'],"startPosition":{self.start},"maxResults":{len(self.records)}}}'.encode()
        return b"{" + encode(self.entity) + b":[" + rows + counters


class Finder:
    """Runs statements against books, and remembers recent results so that the next page is a slice."""

    def __init__(self) -> None:
        self._recent: OrderedDict[tuple[object, ...], list[Record]] = OrderedDict()

    def run(self, statement: Statement, books: Books, settings: Settings) -> Page:
        entity = _entity(statement.entity)
        if settings.lacks(books.realm, entity.name):
            raise unavailable(settings.unavailable_fault, entity.name)
        if entity.needs and entity.needs.lower() not in {each.property.lower() for each in statement.where}:
            raise query_fault(f"property '{entity.needs}' is required in the WHERE clause of {entity.name}")
        start, limit = _window(statement, settings)
        _check_projection(statement, entity)
        found = self._found(statement, seen(books.table(entity.name), settings), books, settings)
        if statement.count:
            return Page(entity.name, total=len(found))
        page = found[start - 1 : start - 1 + limit]
        held = page if settings.poisoned_scope == "page" else found
        is_read = settings.poisoned_projection or not statement.projection
        if is_read and settings.is_poisoned(entity.name, (record.key for record in held)):
            raise poisoned_fault(settings.poisoned_code)
        return Page(entity.name, tuple(_shown(record, statement) for record in page), start)

    def _found(self, statement: Statement, table: Table, books: Books, settings: Settings) -> list[Record]:
        key = (
            table.number,
            table.version,
            statement.where,
            statement.order,
            settings.default_order,
            books.clock.today(),
        )
        found = self._recent.get(key)
        if found is None:
            found = _sorted(statement, table, _matching(statement, table, books), settings)
            self._recent[key] = found
            if len(self._recent) > 16:
                self._recent.popitem(last=False)
        return found


def _entity(word: str) -> Entity:
    entity = find(word)
    if entity is None or not entity.query:
        raise query_fault(f"invalid context declaration: {word}")
    return entity


def _window(statement: Statement, settings: Settings) -> tuple[int, int]:
    start = 1 if statement.start is None else statement.start
    limit = DEFAULT_PAGE if statement.limit is None else statement.limit
    if start == 0 and settings.start_position_zero == "one":
        start = 1
    for value in (start, limit):
        if value < 1:
            raise query_fault(f"value {value} is too small. Min allowed value is 1")
    if limit > LARGEST_PAGE and settings.max_results_over == "fault":
        raise query_fault(f"value {limit} is too large. Max allowed value is {LARGEST_PAGE}")
    return start, min(limit, LARGEST_PAGE)


def _check_projection(statement: Statement, entity: Entity) -> None:
    for name in statement.projection:
        if name not in TIMES and name not in known_properties(entity.name):
            raise query_fault(f"Property {name} not found for Entity {entity.name}")


def _shown(record: Record, statement: Statement) -> bytes:
    if not statement.projection:
        return record.body
    payload = record.payload()
    whole = inner(payload)
    row: Payload = {}
    for name in statement.projection:
        if name in TIMES:  # the only properties of properties that can be named
            member = name.partition(".")[2]
            if member in times_of(whole):
                row.setdefault("MetaData", {})[member] = times_of(whole)[member]
        elif name in whole:
            row[name] = whole[name]
    row["sparse"] = True
    return encode(row if whole is payload else {next(iter(payload)): row})


def _matching(statement: Statement, table: Table, books: Books) -> Iterable[Record]:
    tests = [_test(condition, table, books) for condition in statement.where]
    mentions_active = any(condition.property.lower() == "active" for condition in statement.where)
    if table.entity.has_active and not mentions_active:
        tests.append(lambda record: record.active)
    return (record for record in table.records.values() if all(test(record) for test in tests))


def _refusal(entity: Entity, name: str) -> Exception:
    if name.split(".")[0] in known_properties(entity.name):
        return query_fault(f"property '{name}' is not queryable")
    return query_fault(f"Property {name} not found for Entity {entity.name}")


def _test(condition: Condition, table: Table, books: Books) -> Test:
    name = canonical(table.entity, condition.property)
    if name is None:
        raise _refusal(table.entity, condition.property)
    if name.startswith("MetaData."):
        return _time_test(name, condition, books)
    if name == "Id" and condition.operator not in {"=", "IN"}:
        raise query_fault(f"Operator {condition.operator} is not supported for property 'Id'")
    if name == "Id":
        wanted = {value.text for value in condition.values}
        return lambda record: record.key in wanted
    if name == "Active":
        allowed = {value.text.lower() == "true" for value in condition.values}
        return lambda record: record.active in allowed
    if condition.operator == "LIKE":
        pattern = _like(condition.values[0].text)
        return lambda record: any(pattern.fullmatch(str(value)) for value in table.values(record, name))
    literals = [_dated(value, books) for value in condition.values]
    return lambda record: any(_holds(table.values(record, name), condition.operator, each) for each in literals)


def _time_test(name: str, condition: Condition, books: Books) -> Test:
    moments = [books.clock.instant(_dated(value, books).text) for value in condition.values]
    if condition.operator == "LIKE" or None in moments:
        raise query_fault(f"value {condition.values[0].text} is not a date time for property '{name}'")
    asked = [moment for moment in moments if moment is not None]
    operator, which = condition.operator, attrgetter("updated" if name == "MetaData.LastUpdatedTime" else "created")
    if len(asked) == 1:
        moment = asked[0]
        return lambda record: _compare(which(record), operator, moment)
    return lambda record: any(_compare(which(record), operator, moment) for moment in asked)


def _dated(literal: Literal, books: Books) -> Literal:
    return Literal("string", books.clock.today().isoformat()) if literal.kind == "date" else literal


def _like(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("%")), re.IGNORECASE | re.DOTALL)


def _holds(stored: tuple[Scalar, ...], operator: str, literal: Literal) -> bool:
    if literal.kind == "string" and not literal.text.strip():  # Intuit: ' ' stands for null
        return (not stored or all(value == "" for value in stored)) and operator in {"=", "IN"}
    return any(_compares(value, operator, literal) for value in stored)


def _compares(value: Scalar, operator: str, literal: Literal) -> bool:
    if isinstance(value, bool):
        return _compare(str(value).lower(), operator, literal.text.lower())
    if isinstance(value, int | Decimal):
        try:
            return _compare(amount(value), operator, Decimal(literal.text))
        except InvalidOperation:
            return False
    text = literal.text[:10] if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else literal.text
    return _compare(value.casefold(), operator, text.casefold())


def _compare(left: object, operator: str, right: object) -> bool:
    match operator:
        case "<":
            return left < right  # type: ignore[operator, no-any-return]
        case ">":
            return left > right  # type: ignore[operator, no-any-return]
        case "<=":
            return left <= right  # type: ignore[operator, no-any-return]
        case ">=":
            return left >= right  # type: ignore[operator, no-any-return]
        case _:
            return left == right


def _sorted(statement: Statement, table: Table, records: Iterable[Record], settings: Settings) -> list[Record]:
    if not statement.order:
        return _in_default_order(table, list(records), settings)
    found = sorted(records, key=_by_id)
    for sort in reversed(statement.order):
        found.sort(key=_sort_key(sort, table), reverse=sort.descending)
    return found


def _in_default_order(table: Table, records: list[Record], settings: Settings) -> list[Record]:
    """Order as observed: names by display name with children after parents, transactions newest first."""
    if settings.default_order == "shuffled":
        random.Random(table.version).shuffle(records)
        return records
    records.sort(key=_by_id)
    if settings.default_order == "id":
        return records
    if table.entity.kind == "transaction":
        records.sort(key=attrgetter("updated"), reverse=True)
    elif table.entity.name_field:
        records.sort(key=lambda record: _full_name(table, record))
    return records


def _full_name(table: Table, record: Record) -> list[str]:
    names = table.values(record, "FullyQualifiedName") or table.values(record, table.entity.name_field)
    return str(names[0]).casefold().split(":") if names else []


def _sort_key(sort: Sort, table: Table) -> Callable[[Record], Any]:
    name = canonical_sort(table.entity, sort.property)
    if name is None:
        raise _refusal(table.entity, sort.property) if sort.property not in BY_NAME else query_fault(sort.property)
    if name == "MetaData.LastUpdatedTime":
        return attrgetter("updated")
    if name == "MetaData.CreateTime":
        return attrgetter("created")
    if name == "Id":
        return _by_id
    return lambda record: _ranked(table.values(record, name))


def _ranked(values: tuple[Scalar, ...]) -> tuple[object, ...]:
    if not values:
        return (0,)
    value = values[0]
    if isinstance(value, str):
        return (2, value.casefold())
    return (1, amount(int(value) if isinstance(value, bool) else value))
