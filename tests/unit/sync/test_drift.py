"""The report of what QuickBooks sends beyond the catalogue: fields, values and choices, with counts."""

from __future__ import annotations

from typing import Any

import pytest

from qbo_pipeline.catalog import ENTITIES, entity_named
from qbo_pipeline.sync.drift import Drift
from qbo_pipeline.sync.rows import RowMaker
from tests.support.payloads import raw

NOW = "2026-11-23T12:00:00+00:00"


def drift_of(entity: str, *records: dict[str, Any], careful: bool = False) -> list[tuple[str, str, int]]:
    drift = Drift()
    maker = RowMaker(entity_named(entity), "1", drift=drift, always_careful=careful)
    for record in records:
        maker.rows(raw(record), NOW)
    return list(drift.report())


def test_a_record_of_the_catalogue_is_no_drift() -> None:
    known = {"Id": "1", "EmailStatus": "NotSet", "Line": [{"DetailType": "DescriptionOnly", "Description": "hi"}]}
    assert drift_of("Invoice", known) == []


def test_unknown_fields_are_counted_by_where_they_are() -> None:
    line = {"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}, "Mood": 1}
    record = {"Id": "1", "NewThing": {"A": 1}, "CurrencyRef": {"value": "USD", "flag": "us"}, "Line": [line, line]}
    assert drift_of("Invoice", record, record) == [
        ("unknown field", "CurrencyRef.flag", 2),
        ("unknown field", "Line.Mood", 4),
        ("unknown field", "NewThing", 2),
    ]


def test_values_of_another_type_are_counted() -> None:
    assert drift_of("Invoice", {"Id": "1", "TotalAmt": "12.50", "DueDate": {"year": 2026}}) == [
        ("unusual value", "DueDate", 1),
        ("unusual value", "TotalAmt", 1),
    ]


@pytest.mark.parametrize("careful", [False, True], ids=["fast path", "careful path"])
def test_choices_nobody_told_us_of_are_counted_on_both_paths(careful: bool) -> None:
    lines = [
        {"DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": {"PostingType": kind}}
        for kind in ("Debit", "Credit", "Sideways", "Sideways")
    ]
    record = {"Id": "1", "GlobalTaxCalculation": "TaxMaybe", "Line": lines}
    assert drift_of("JournalEntry", record, careful=careful) == [
        ("unknown choice", "GlobalTaxCalculation = TaxMaybe", 1),
        ("unknown choice", "Line.PostingType = Sideways", 2),
    ]


def test_a_long_value_is_cut_short() -> None:
    ((_, what, _),) = drift_of("Item", {"Id": "1", "Type": "x" * 500})
    assert len(what) < 60


def test_every_entity_with_a_list_of_choices_watches_it() -> None:
    for entity in ENTITIES:
        for column in entity.table.columns:
            if column.values and len(column.path) == 1 and not entity.wrapped:
                record = {**dict.fromkeys(entity.key_fields, "2026-01-01"), column.path[0]: "Something new"}
                assert ("unknown choice", f"{column.path[0]} = Something new", 1) in drift_of(entity.name, record)
