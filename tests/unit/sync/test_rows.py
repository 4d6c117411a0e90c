"""``render(rows(payload)) == payload``: for every real record, and for anything hypothesis can think of."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbo_pipeline.catalog import ENTITIES, Entity, entity_named
from qbo_pipeline.errors import UnusableRecordError
from qbo_pipeline.sync.drift import Drift
from qbo_pipeline.sync.fast import is_usual_time
from qbo_pipeline.sync.lines import NO_LINES
from qbo_pipeline.sync.render import canonical, comparable, render
from qbo_pipeline.sync.rows import RowMaker, Rows
from tests.support.payloads import raw, sample_records
from tests.support.postgres_cells import stored
from tests.unit.sync.shapes import payloads

NOW = "2026-11-23T12:00:00+00:00"
INVOICE, TEMPLATE = entity_named("Invoice"), entity_named("RecurringTransaction")
ENTITY = pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)


def rendered(entity: Entity, rows: Rows) -> dict[str, Any]:
    lines = [stored(entity.line_table, line) for line in rows.lines if line[2] != NO_LINES] if entity.line_table else []
    return render(entity, stored(entity.table, rows.row), lines)


def stored_cells(entity: Entity, rows: Rows) -> dict[str, Any]:
    """Return the stored row with jsonb parsed, because Postgres does not care how it was spelt."""
    kinds = {column.name: column.kind for column in entity.table.columns}
    cells = stored(entity.table, rows.row)
    return {
        name: canonical(json.loads(cell, parse_float=Decimal)) if cell and kinds[name] == "jsonb" else cell
        for name, cell in cells.items()
    }


def there_and_back(entity: Entity, payload: dict[str, Any], *, careful: bool = False) -> dict[str, Any]:
    return rendered(entity, RowMaker(entity, "9130", always_careful=careful).rows(raw(payload), NOW))


@pytest.mark.parametrize("careful", [False, True], ids=["fast", "careful"])
@ENTITY
def test_every_real_record_comes_back_as_it_was(entity: Entity, careful: bool, samples: Path) -> None:
    records = [(record, file) for each, record, file in sample_records(samples) if each is entity]
    assert records, f"there is no sample of {entity.name}"
    for record, file in records:
        assert canonical(there_and_back(entity, record, careful=careful)) == canonical(record), file


def test_nearly_every_real_record_takes_the_fast_path(samples: Path) -> None:
    """The fast path is why a sync is cheap; a field missing from the catalogue would send records off it."""
    slow: Counter[bool] = Counter()
    for entity, record, _ in sample_records(samples):
        drift = Drift()
        RowMaker(entity, "9130", drift=drift).rows(raw(record), NOW)
        slow[bool(drift.unknown or drift.unusual)] += 1
    assert slow[True] <= 28, "more than the documentation's own slips: misspelt DetailTypes, times in words"


# --- anything at all ---------------------------------------------------------------------------------------------


@ENTITY
@settings(max_examples=40)
@given(data=st.data())
def test_any_payload_comes_back_as_it_was(entity: Entity, data: st.DataObject) -> None:
    payload = data.draw(payloads(entity))
    assert canonical(there_and_back(entity, payload)) == canonical(payload)


@ENTITY
@settings(max_examples=40)
@given(data=st.data())
def test_both_paths_make_the_same_rows(entity: Entity, data: st.DataObject) -> None:
    payload = data.draw(payloads(entity))
    fast = RowMaker(entity, "9130").rows(raw(payload), NOW)
    careful = RowMaker(entity, "9130", always_careful=True).rows(raw(payload), NOW)
    assert stored_cells(entity, fast) == stored_cells(entity, careful)
    assert [line[:3] for line in fast.lines] == [line[:3] for line in careful.lines]


# --- the details that matter ---------------------------------------------------------------------------------------


def test_an_invoice_line_shows_what_an_analyst_asks_for() -> None:
    line = {
        "Id": "1",
        "LineNum": 1,
        "Amount": Decimal("12.50"),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "ItemRef": {"value": "7", "name": "Gravel"},
            "Qty": Decimal("2.5"),
            "UnitPrice": 5,
            "TaxCodeRef": {"value": "TAX"},
        },
    }
    rows = RowMaker(INVOICE, "9130").rows(raw({"Id": "1", "Line": [line]}), NOW)
    assert INVOICE.line_table is not None
    cells = stored(INVOICE.line_table, rows.lines[0])
    assert cells["item_name"] == "Gravel"
    assert (cells["qty"], cells["unit_price"], cells["amount"]) == (Decimal("2.5"), Decimal(5), Decimal("12.50"))
    assert cells["tax_code_id"] == "TAX"
    assert '"Gravel"' in cells["detail"]


def test_lines_of_a_group_follow_it_and_point_back() -> None:
    inner = {"Amount": 3, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"Qty": 1}}
    group = {"Amount": 6, "DetailType": "GroupLineDetail", "GroupLineDetail": {"Quantity": 2, "Line": [inner, inner]}}
    last = {"Amount": 1, "DetailType": "SalesItemLineDetail"}
    payload = {"Id": "1", "Line": [group, last]}
    for careful in (False, True):
        rows = RowMaker(INVOICE, "9130", always_careful=careful).rows(raw(payload), NOW)
        assert [line[2:4] for line in rows.lines] == [("0", ""), ("1", "0"), ("2", "0"), ("3", "")]
        assert canonical(rendered(INVOICE, rows)) == canonical(payload)


def test_a_transaction_without_lines_leaves_a_mark_that_it_has_none() -> None:
    for payload in ({"Id": "1", "Line": []}, {"Id": "1"}, {"Id": "1", "Line": None}):
        (mark,) = RowMaker(INVOICE, "9130").rows(raw(payload), NOW).lines
        assert mark[:3] == ("9130", "1", NO_LINES)


def test_ids_of_nineteen_digits_keep_every_digit() -> None:
    assert there_and_back(INVOICE, {"Id": "5000000000000503624"})["Id"] == "5000000000000503624"


@pytest.mark.parametrize("given_", ["0.000000000001", "123456789012345678901234567890.12", "-0.1", "639.00"])
def test_money_keeps_every_digit(given_: str) -> None:
    rows = RowMaker(INVOICE, "9130").rows(raw({"Id": "1", "TotalAmt": Decimal(given_)}), NOW)
    assert stored(INVOICE.table, rows.row)["total_amt"] == Decimal(given_)


def test_a_number_written_as_text_is_a_number_and_keeps_its_spelling() -> None:
    rows = RowMaker(INVOICE, "9130").rows(raw({"Id": "1", "Balance": "12.50"}), NOW)
    assert stored(INVOICE.table, rows.row)["balance"] == Decimal("12.50")
    assert rendered(INVOICE, rows) == {"Id": "1", "Balance": "12.50"}


def test_a_date_with_an_offset_is_a_date_and_keeps_its_spelling() -> None:
    rows = RowMaker(INVOICE, "9130").rows(raw({"Id": "1", "DueDate": "2026-01-31-08:00"}), NOW)
    assert stored(INVOICE.table, rows.row)["due_date"] == datetime.date(2026, 1, 31)
    assert rendered(INVOICE, rows) == {"Id": "1", "DueDate": "2026-01-31-08:00"}


def test_a_value_no_column_can_hold_goes_to_extra_and_the_rest_stays_typed() -> None:
    payload = {"Id": "1", "TotalAmt": {"amount": 1}, "TxnDate": "yesterday", "Balance": 5}
    cells = stored(INVOICE.table, RowMaker(INVOICE, "9130").rows(raw(payload), NOW).row)
    assert (cells["total_amt"], cells["txn_date"], cells["balance"]) == (None, None, Decimal(5))
    assert there_and_back(INVOICE, payload) == payload


@pytest.mark.parametrize("written", [b'"LineNum":18446744073709551616', b'"Amount":' + b"7" * 1001])
def test_a_number_too_large_for_its_column_is_kept_in_extra(written: bytes) -> None:
    record = b'{"Id":"1","Line":[{"Description":"x",%s}]}' % written
    (line,) = RowMaker(INVOICE, "9130").rows(msgspec.Raw(record), NOW).lines
    assert INVOICE.line_table is not None
    cells = stored(INVOICE.line_table, line)
    assert (cells["line_num"], cells["amount"], cells["description"]) == (None, None, "x")
    assert written.split(b":")[1].decode() in cells["extra"]


@pytest.mark.parametrize("nothing", [{}, "", None])
def test_an_empty_object_is_no_value(nothing: object) -> None:
    rows = RowMaker(INVOICE, "9130").rows(raw({"Id": "1", "CustomField": nothing, "TxnTaxDetail": nothing}), NOW)
    cells = stored(INVOICE.table, rows.row)
    assert {name for name, cell in cells.items() if cell is not None} == {"realm_id", "id", "synced_at"}


def test_unknown_fields_are_kept_and_counted() -> None:
    drift = Drift()
    payload = {"Id": "1", "NewThing": 1, "CustomerRef": {"value": "3", "colour": "red"}, "Line": [{"Odd": True}]}
    rows = RowMaker(INVOICE, "9130", drift=drift).rows(raw(payload), NOW)
    assert rendered(INVOICE, rows) == payload
    assert drift.unknown == {"NewThing": 1, "CustomerRef.colour": 1, "Line.Odd": 1}


@pytest.mark.parametrize(
    "times", ["2026-01-05T10:00:00+11:00", "2026-01-05T10:00:00Z", "2026-01-05T10:00:00.123-08:00"]
)
def test_a_time_in_another_spelling_is_the_same_instant_and_comes_back_as_written(times: str) -> None:
    payload = {"Id": "1", "MetaData": {"CreateTime": times, "LastUpdatedTime": times}}
    cells = stored(INVOICE.table, RowMaker(INVOICE, "9130").rows(raw(payload), NOW).row)
    assert cells["created_at"] == datetime.datetime.fromisoformat(times)
    assert there_and_back(INVOICE, payload) == payload


def test_the_hour_that_happens_twice_keeps_its_offset() -> None:
    """When US Pacific leaves daylight saving time, 01:30 exists at -07:00 and again at -08:00."""
    for time in ("2026-11-01T01:30:00-07:00", "2026-11-01T01:30:00-08:00"):
        payload = {"Id": "1", "MetaData": {"LastUpdatedTime": time}}
        assert there_and_back(INVOICE, payload) == payload


@pytest.mark.parametrize(
    ("time", "usual"),
    [
        ("2026-11-20T08:00:00-08:00", True),
        ("2026-07-20T08:00:00-07:00", True),
        ("2026-07-20T08:00:00-08:00", False),
        ("2026-07-20 08:00:00-07:00", False),
        ("2026-13-20T08:00:00-07:00", False),
        ("2026-07-20T08:00:00Z", False),
    ],
)
def test_usual_times_are_seconds_in_us_pacific(time: str, usual: bool) -> None:
    assert is_usual_time(time) is usual


def test_characters_postgres_cannot_store_are_replaced_not_fatal() -> None:
    bad = b'{"Id": "1", "PrivateNote": "a\\u0000b", "DocNumber": "\\ud800x"}'
    cells = stored(INVOICE.table, RowMaker(INVOICE, "9130").rows(_raw_bytes(bad), NOW).row)
    assert cells["private_note"] == "a\ufffdb"
    assert cells["doc_number"] == "\ufffdx"


def test_a_record_without_an_id_is_refused_in_one_sentence() -> None:
    with pytest.raises(UnusableRecordError, match="Invoice without a usable Id;"):
        RowMaker(INVOICE, "9130").rows(raw({"TotalAmt": 1}), NOW)


@pytest.mark.parametrize("name", ["ExchangeRate", "RecurringTransaction", "TaxClassification", "Attachable"])
def test_the_odd_ones_take_the_fast_path_too(name: str, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("not the fast path")

    monkeypatch.setattr(RowMaker, "_careful", refuse)
    odd = entity_named(name)
    records = [record for entity, record, _ in sample_records(samples) if entity is odd]
    assert records
    for record in records:
        RowMaker(odd, "9130").rows(raw(record), NOW)


def test_a_template_shows_what_it_makes_and_when() -> None:
    info = {"Name": "Rent", "RecurType": "Automated", "Active": True, "ScheduleInfo": {"DayOfMonth": 1}}
    payload = {"Bill": {"Id": "20", "VendorRef": {"value": "3"}, "RecurringInfo": info, "Line": [{"Amount": 5}]}}
    for careful in (False, True):
        rows = RowMaker(TEMPLATE, "9130", always_careful=careful).rows(raw(payload), NOW)
        cells = stored(TEMPLATE.table, rows.row)
        assert (cells["id"], cells["txn_type"], cells["vendor_id"]) == ("20", "Bill", "3")
        assert (cells["recurring_info_name"], cells["recurring_info_active"]) == ("Rent", True)
        assert cells["extra"] is None
        assert rendered(TEMPLATE, rows) == payload


@pytest.mark.parametrize(
    "payload",
    [
        {"Invoice": {"Id": "4", "TxnType": "mine"}},
        {"Invoice": {"Id": "4", "LinkedTxn": [{"TxnId": "1", "TxnType": "Estimate"}]}},
        {"domain": "QBO", "Invoice": {"Id": "4"}, "status": "Odd"},
        {"TxnType": {"Id": "4"}},
        {"Invoice": {"Id": "4", "New": 1}, "Beside": {"deep": [1]}},
        {"NewKind": {"Id": "4"}},
    ],
)
def test_any_wrapper_comes_back_as_it_was(payload: dict[str, Any]) -> None:
    for careful in (False, True):
        assert canonical(there_and_back(TEMPLATE, payload, careful=careful)) == canonical(payload)


def test_what_stands_beside_a_template_is_counted_as_drift() -> None:
    drift = Drift()
    RowMaker(TEMPLATE, "9130", drift=drift).rows(raw({"Bill": {"Id": "1", "New": 1}, "Beside": 7}), NOW)
    assert drift.unknown == {"New": 1, "Beside": 1}


@pytest.mark.parametrize(
    ("name", "payload", "missing"),
    [
        ("ExchangeRate", {"SourceCurrencyCode": "EUR", "TargetCurrencyCode": "USD", "Rate": 1}, "AsOfDate"),
        ("ExchangeRate", {"SourceCurrencyCode": "EUR", "AsOfDate": "soon"}, "TargetCurrencyCode and AsOfDate"),
        ("TaxClassification", {"Id": "EUC-1", "name": "x"}, "id"),
        ("RecurringTransaction", {"Id": "1"}, "Id"),
        ("RecurringTransaction", {"Invoice": {"Id": ""}}, "Id"),
        ("RecurringTransaction", {}, "Id"),
        ("Invoice", {"Id": {"value": "1"}}, "Id"),
    ],
)
def test_a_record_nothing_can_be_told_by_is_refused(name: str, payload: dict[str, Any], missing: str) -> None:
    with pytest.raises(UnusableRecordError, match=f"{name} without a usable {missing};"):
        RowMaker(entity_named(name), "9130").rows(raw(payload), NOW)


def test_download_addresses_are_no_difference_between_two_readings() -> None:
    attachable = entity_named("Attachable")
    first, second = ({"Id": "1", "FileName": "a", "TempDownloadUri": f"https://x/{n}"} for n in (1, 2))
    assert comparable(attachable, first) == comparable(attachable, second)
    assert there_and_back(attachable, first) == first, "it is stored all the same"
    assert comparable(attachable, first) != comparable(attachable, {**first, "FileName": "b"})


def _raw_bytes(data: bytes) -> Any:
    import msgspec

    return msgspec.Raw(data)
