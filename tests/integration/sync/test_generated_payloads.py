"""Whatever QuickBooks may send comes back from Postgres as it was: made-up payloads of every entity, and huge ones.

The unit tests hold this for the rows alone, with a fake of Postgres; here the rows are written to CSV, copied, merged
and read again. Many payloads go through one load, so that a load's cost is paid once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from qbo_pipeline.catalog import ENTITIES, Entity, entity_named, tables
from qbo_pipeline.sync.company import sync_company
from qbo_pipeline.sync.render import comparable, render
from qbo_pipeline.sync.window import Window
from qbo_pipeline.warehouse.entity_rows import stored_record
from tests.support.generated import cleaned, made_up, numbered
from tests.support.payloads import raw
from tests.support.scripted import AT_NOON, ScriptedPage, ScriptedReader

INVOICE, JOURNAL = entity_named("Invoice"), entity_named("JournalEntry")
REALM = "9130"
#: Made-up payloads of each entity.
EACH = 20


def same(entity: Entity, shown: dict[str, Any], payload: dict[str, Any]) -> bool:
    """Say whether two payloads are equal to the last digit; by default, numbers are compared to 28 of them."""
    with localcontext(prec=2000):
        return comparable(entity, shown) == comparable(entity, payload)


def shown(engine: sa.Engine, entity: Entity, key: str) -> dict[str, Any] | None:
    found = stored_record(engine, entity, REALM, key)
    return None if found is None else render(entity, *found)


@pytest.mark.slow
def test_anything_quickbooks_may_send_comes_back_as_it_was(engine: sa.Engine) -> None:
    sent = {
        entity: [numbered(entity, payload, number) for number, payload in enumerate([{}, *made_up(entity, EACH)])]
        for entity in ENTITIES
    }
    reader = ScriptedReader(
        {
            entity.name: [[payload for _, payload in each[:EACH]], [payload for _, payload in each[EACH:]]]
            for entity, each in sent.items()
        }
    )
    outcome = sync_company(REALM, engine=engine, reader=reader)
    assert outcome.failed == []
    assert [name for name, _ in reader.asked] == [entity.name for entity in ENTITIES], "nothing had to be read again"
    different = []
    for entity, each in sent.items():
        for key, payload in each:
            back = shown(engine, entity, key)
            if back is None or not same(entity, back, cleaned(payload)):
                different.append(f"{entity.name} {raw(payload)!r}")
    assert min(different, key=len, default="") == "", f"the shortest of {len(different)}"
    assert min(map(len, sent.values())) > EACH / 2, "hypothesis made enough of them"
    assert filled(engine) > 0.85, "of all columns of all tables; payloads that leave them empty would prove little"


def filled(engine: sa.Engine) -> float:
    """Return the share of the catalogue's columns that hold anything in any row."""
    held: list[bool] = []
    with engine.connect() as connection:
        for table in tables():
            counts = ", ".join(f'count("{name}")' for name in table.column_names)
            held += [
                count > 0
                for count in connection.execute(sa.text(f"SELECT {counts} FROM quickbooks.{table.name}")).one()
            ]
    return sum(held) / len(held)


class RawReader(ScriptedReader):
    """Sends invoices byte by byte, for what no Python value can be turned into."""

    def __init__(self, *records: bytes) -> None:
        super().__init__()
        self._records = [msgspec.Raw(record) for record in records]

    def pages(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[ScriptedPage]:
        self.asked.append((entity.name, since))
        yield ScriptedPage(self._records, AT_NOON)


#: Places a text may stand in: a column, an object kept whole, an unknown field, a line, its detail, a field's name.
PLACES = (
    b'"PrivateNote": "%s"',
    b'"BillAddr": {"Line1": "%s", "New": ["%s"]}',
    b'"New": {"Deep": [{"Deeper": "%s"}]}',
    b'"Line": [{"Description": "%s", "New": "%s"}]',
    b'"Line": [{"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"name": "%s"}, "New": "%s"}}]',
    b'"CustomField": [{"%s": 1}]',
    b'"%s": 1',
)


@pytest.mark.parametrize("bad", [rb"a\u0000b", rb"a\ud800b", rb"\udc00\ud83d", rb"\u0000\ude00\u0000"])
def test_what_postgres_cannot_store_is_replaced_wherever_it_stands(engine: sa.Engine, bad: bytes) -> None:
    records = [
        b'{"Id": "%d", "TotalAmt": 1.10, %s}' % (number, place.replace(b"%s", bad))
        for number, place in enumerate(PLACES)
    ]
    outcome = sync_company(REALM, engine=engine, reader=RawReader(*records), entities=(INVOICE,))
    assert outcome.failed == []
    for number, record in enumerate(records):
        expected = cleaned(json.loads(record, parse_float=Decimal))
        assert "\ufffd" in str(expected)
        assert shown(engine, INVOICE, str(number)) == expected


def test_pairs_of_surrogates_are_one_character_however_they_are_written(engine: sa.Engine) -> None:
    records = [
        b'{"Id": "%d", %s}' % (number, place.replace(b"%s", rb"\ud83e\uddfe \u20ac \\u0000"))
        for number, place in enumerate(PLACES)
    ]
    outcome = sync_company(REALM, engine=engine, reader=RawReader(*records), entities=(INVOICE,))
    assert outcome.failed == []
    for number, record in enumerate(records):
        assert "🧾 € \\\\u0000" in str(back := shown(engine, INVOICE, str(number)))
        assert back == json.loads(record)


def invoice_line(number: int) -> dict[str, Any]:
    """Return line ``number``; every hundredth is a bundle with two lines of its own."""
    detail = {"Qty": number, "UnitPrice": Decimal("0.01"), "ItemRef": {"value": str(number), "name": f"Ä {number}"}}
    plain = {"Id": str(number), "Amount": Decimal(number).scaleb(-2), "DetailType": "SalesItemLineDetail"}
    if number % 100:
        return plain | {"SalesItemLineDetail": detail}
    inner = [{"Amount": Decimal("0.5"), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}] * 2
    return plain | {"DetailType": "GroupLineDetail", "GroupLineDetail": {"Quantity": 2, "Line": inner}}


def journal_line(number: int) -> dict[str, Any]:
    side = "Credit" if number % 2 else "Debit"
    detail = {"PostingType": side, "AccountRef": {"value": str(number % 7), "name": "Bank"}, "New": number}
    amount = Decimal(number // 2 + 1) / 8
    return {
        "LineNum": number,
        "Amount": amount,
        "DetailType": "JournalEntryLineDetail",
        "JournalEntryLineDetail": detail,
    }


@pytest.mark.parametrize("unusual", [{}, {"New": 1}], ids=["ordinary", "with an unknown field"])
@pytest.mark.parametrize(("entity", "line"), [(INVOICE, invoice_line), (JOURNAL, journal_line)])
def test_ten_thousand_lines_come_back_in_their_order(
    engine: sa.Engine, entity: Entity, line: Any, unusual: dict[str, Any]
) -> None:
    lines = [line(number) for number in range(10_000)]
    payload = {"Id": "1", "TotalAmt": sum(each["Amount"] for each in lines), "Line": lines, **unusual}
    outcome = sync_company(REALM, engine=engine, reader=ScriptedReader({entity.name: [[payload]]}), entities=(entity,))
    assert outcome.failed == []
    back = shown(engine, entity, "1")
    assert back is not None
    assert same(entity, back, payload)
    assert entity.line_table is not None
    with engine.connect() as connection:
        text = f"SELECT sum(amount) FROM quickbooks.{entity.line_table.name} WHERE group_position IS NULL"
        assert connection.execute(sa.text(text)).scalar_one() == payload["TotalAmt"]
