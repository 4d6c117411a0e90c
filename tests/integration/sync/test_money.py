"""Money is what it was, digit by digit: sums of every numeric column against the source, summed here in Decimal.

The source is a whole generated company plus a record of every entity with an awkward amount in each of its numeric
fields: amounts that a float, a ``numeric(38, 9)`` or a rounding to cents would change, and whose sum would show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, localcontext
from itertools import cycle
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, Entity, entity_named, tables
from qbo_pipeline.catalog.columns import Column
from qbo_pipeline.catalog.lines import DETAIL_OF
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.warehouse.companies import Company
from tests.support.payloads import inner_record, raw
from tests.support.quickbooks import REALM, Sandbox
from tests.support.scripted import ScriptedReader, invoice

#: 0.1 + 0.2 is not 0.3 in floats; the others lose a cent or their last digits there, or behind the ninth decimal.
AWKWARD = tuple(
    Decimal(each)
    for each in (
        *("0.1", "0.2", "1000000000000000.01", "1234567890123456789", "-12345678901234567.89", "0.005", "-0.07"),
        *("9999999999999999999.99", "0.000000000001", "1.10", "-1E-7", "12E+3"),
    )
)


def awkward_record(entity: Entity, number: int) -> dict[str, Any]:
    """Return a record with one of the awkward amounts in each numeric field of it and its lines."""
    amounts = cycle(AWKWARD[number % len(AWKWARD) :] + AWKWARD[: number % len(AWKWARD)])
    record: dict[str, Any] = dict.fromkeys(entity.key_fields, f"990{number}")
    if "SourceCurrencyCode" in record:  # the generated company uses euros
        record = {"SourceCurrencyCode": "EUR", "TargetCurrencyCode": "USD", "AsOfDate": f"1999-01-{number + 1:02d}"}
    for column in numeric(entity.table.columns):
        _put(record, column.path, next(amounts))
    if entity.line_record is not None and entity.line_table is not None:
        line: dict[str, Any] = {}
        key = _detail_key(entity)
        for column in numeric(entity.line_table.columns):
            _put(line, ((key, *column.path) if _is_detail(entity, column) else column.path), next(amounts))
        record[entity.line_field] = [line | ({"DetailType": key} if key else {})]
        if key == "SalesItemLineDetail":
            inner = {"Amount": next(amounts), "DetailType": key, key: {"Qty": next(amounts)}}
            group = {"DetailType": "GroupLineDetail", "GroupLineDetail": {"Quantity": next(amounts), "Line": [inner]}}
            record[entity.line_field].append(group)
    return {"Invoice": record} if entity.wrapped else record


def numeric(columns: tuple[Column, ...]) -> list[Column]:
    return [column for column in columns if column.kind == "numeric"]


def source_numbers(entity: Entity, payload: dict[str, Any]) -> Iterator[tuple[str, str, Decimal]]:
    """Yield table, column and number for whatever number a payload has where a column takes it from."""
    record = inner_record(entity, payload)
    for column in numeric(entity.table.columns):
        yield from ((entity.table.name, column.name, each) for each in _at(record, column.path))
    if entity.line_table is not None:
        for line in _lines(record.get(entity.line_field) or []):
            for column in numeric(entity.line_table.columns):
                holders = (
                    [v for name, v in line.items() if name.endswith("Detail")] if _is_detail(entity, column) else [line]
                )
                for holder in holders:
                    yield from ((entity.line_table.name, column.name, each) for each in _at(holder, column.path))


def _lines(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield line
        yield from line.get("GroupLineDetail", {}).get("Line", [])


def _at(holder: Any, path: tuple[str, ...]) -> list[Decimal]:
    for name in path:
        holder = holder.get(name, {})
    return [Decimal(holder)] if isinstance(holder, int | Decimal) else []


def _put(record: dict[str, Any], path: tuple[str, ...], amount: Decimal) -> None:
    for name in path[:-1]:
        record = record.setdefault(name, {})
    record[path[-1]] = amount


def _is_detail(entity: Entity, column: Column) -> bool:
    detail = DETAIL_OF.get(entity.line_record) if entity.line_record else None
    return detail is not None and column.path[0] in detail.__struct_fields__


def _detail_key(entity: Entity) -> str:
    keys = (
        [name for name in entity.line_record.__struct_fields__ if name.endswith("LineDetail")]
        if entity.line_record
        else []
    )
    return next((key for key in ("SalesItemLineDetail", *keys) if key in keys), "")


@pytest.mark.slow
def test_sums_of_every_numeric_column_are_those_of_the_source(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    with_numbers = [entity for entity in ENTITIES if any(numeric(table.columns) for table in entity.tables)]
    awkward = {entity: [awkward_record(entity, number) for number in range(len(AWKWARD))] for entity in with_numbers}
    documents = b",".join(bytes(raw({entity.json_key: records})) for entity, records in awkward.items())
    answer = requests.post(f"{quickbooks.url}/_sandbox/books/{REALM}/load", data=b"[" + documents + b"]", timeout=60)
    assert answer.ok, answer.text
    truth = quickbooks.truth()
    assert books.sync(None, trigger="test").failed == []
    expected: dict[tuple[str, str], Decimal] = {}
    count: Counter[tuple[str, str]] = Counter()
    with localcontext(prec=200):
        for entity in ENTITIES:
            for payload in truth.get(entity.json_key, {}).values():
                for table, column, number in source_numbers(entity, payload):
                    expected[table, column] = expected.get((table, column), Decimal(0)) + number
                    count[table, column] += 1
    every = {(table.name, column.name) for table in tables() for column in numeric(table.columns)}
    assert expected.keys() == every, "no numeric column is left out"
    assert min(count.values()) >= len(AWKWARD)
    assert sum(count.values()) > len(every) * len(AWKWARD) + 1000, "the generated company's numbers are among them"
    with books.engine.connect() as connection:
        for table, column in sorted(every):
            text = f"SELECT sum({column}), count({column}) FROM quickbooks.{table} WHERE realm_id = '{REALM}'"
            assert tuple(connection.execute(sa.text(text)).one()) == (expected[table, column], count[table, column]), (
                f"{table}.{column}"
            )


@pytest.mark.slow
def test_no_column_anywhere_rounds(engine: sa.Engine) -> None:
    """Also where rows are staged: dlt would stage decimals with nine places."""
    book: dict[str, Any] = {"Invoice": [[invoice("1", 10)]], "Budget": [[{"Id": "1", "BudgetDetail": [{"Amount": 1}]}]]}
    entities = (entity_named("Invoice"), entity_named("Budget"))
    sync_company("9130", engine=engine, reader=ScriptedReader(book), entities=entities)
    sync_company("9130", engine=engine, reader=ScriptedReader())
    text = (
        "SELECT table_schema, table_name, column_name, data_type, numeric_precision, numeric_scale "
        "FROM information_schema.columns WHERE table_schema LIKE 'quickbooks%'"
    )
    with engine.connect() as connection:
        columns = connection.execute(sa.text(text)).all()
    assert {each.table_name for each in columns if each.table_schema == "quickbooks"} > {
        table.name for table in tables()
    }
    ours = [each for each in columns if each.table_name not in {"companies", "tokens"}]
    assert [each for each in ours if each.data_type in {"double precision", "real", "money"}] == []
    numerics = [each for each in ours if each.data_type == "numeric"]
    assert [each for each in numerics if (each.numeric_precision, each.numeric_scale) != (None, None)] == []
    wanted = {(table.name, column.name) for table in tables() for column in numeric(table.columns)}
    assert {(each.table_name, each.column_name) for each in numerics if each.table_schema == "quickbooks"} >= wanted
    staged = {
        (each.table_name, each.column_name) for each in numerics if each.table_schema == "quickbooks_staging_9130"
    }
    assert staged >= {("invoices", "total_amt"), ("invoice_lines", "amount"), ("budget_details", "amount")}
