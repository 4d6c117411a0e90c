"""An answer is exactly what was asked for, or it is none (R31, R32)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.qbo.answers import (
    CdcAnswer,
    DeletedStub,
    FaultInsideError,
    NotAnAnswerError,
    QueryAnswer,
    cdc_answer,
    count_answer,
    members,
    moment,
    query_answer,
    record_answer,
)


def query(body: bytes | str, entity: str = "Invoice") -> QueryAnswer:
    return query_answer(body.encode() if isinstance(body, str) else body, entity)


def cdc(document: Any, entities: list[str]) -> CdcAnswer:
    return cdc_answer(members(json.dumps(document).encode()), entities)


def test_records_stay_the_bytes_they_were() -> None:
    """Money and 19-digit ids keep every digit: nothing is decoded here."""
    one, two = '{"Id":"1234567890123456789","TotalAmt":100.10}', '{ "Id" : "2", "TotalAmt" : 0.1000000000000000055 }'
    inner = f'{{"Invoice":[{one}, {two}],"startPosition":1,"maxResults":2}}'
    found = query(f'{{"QueryResponse":{inner},"time":"2026-11-23T01:02:03.004-08:00"}}')
    assert [bytes(record).decode() for record in found.records] == [one, two]
    assert found.time == datetime(2026, 11, 23, 9, 2, 3, 4000, tzinfo=UTC)
    assert found.total_count is None


@pytest.mark.parametrize(
    "body", ['{"QueryResponse":{}}', '{"QueryResponse":{},"time":null}', '{"QueryResponse":{"Invoice":[]}}']
)
def test_an_empty_answer_is_no_records_and_may_lack_the_time(body: str) -> None:
    assert query(body) == QueryAnswer([], None, None)


@pytest.mark.parametrize(
    ("entity", "key"),
    [
        ("Invoice", "Invoice"),
        ("CreditCardPayment", "CreditCardPaymentTxn"),
        ("CreditCardPaymentTxn", "CreditCardPayment"),
        ("creditcardpayment", "CreditCardPaymentTxn"),
        ("Currency", "CompanyCurrency"),
    ],
)
def test_the_array_is_found_under_its_own_name_or_as_the_only_one(entity: str, key: str) -> None:
    assert len(query(f'{{"QueryResponse":{{"maxResults":1,"{key}":[{{"Id":"1"}}]}}}}', entity).records) == 1


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"time":"2026-11-23T01:02:03-08:00"}',
        '{"QueryResponse":null}',
        '{"QueryResponse":[]}',
        '{"QueryResponse":{"Invoice":[{"Id":"1"}',
        '{"QueryResponse":{"Invoice":[{"Id":"1"},]}}',
        '{"QueryResponse":{"Invoice":[1]}}',
        '{"QueryResponse":{"Invoice":[null]}}',
        '{"QueryResponse":{"startPosition":1,"maxResults":5}}',
        '{"QueryResponse":{"Bill":[{}],"Customer":[{}]}}',
        '{"QueryResponse":{},"time":{}} trailing',
        "<html></html>",
    ],
)
def test_anything_else_is_not_mistaken_for_no_records(body: str) -> None:
    with pytest.raises(NotAnAnswerError):
        query(body)


@given(st.data())
def test_an_answer_cut_off_anywhere_is_not_an_answer(data: st.DataObject) -> None:
    body = (
        b'{"QueryResponse":{"Invoice":[{"Id":"1","TotalAmt":10.00}],"maxResults":1},"time":"2026-11-23T01:02:03-08:00"}'
    )
    with pytest.raises(NotAnAnswerError):
        query(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_our_own_errors(body: bytes) -> None:
    for understand in (
        lambda body: query_answer(body, "X"),
        lambda body: count_answer(members(body)),
        lambda body: record_answer(members(body)),
        lambda body: cdc_answer(members(body), ["X"]),
    ):
        try:
            understand(body)
        except (NotAnAnswerError, FaultInsideError):
            continue


def test_text_that_is_no_utf8_is_found_before_the_records_are_passed_on() -> None:
    with pytest.raises(NotAnAnswerError):
        query(b'{"QueryResponse":{"Invoice":[{"Id":"\xff"}]}}')


def test_an_answer_nested_without_end_is_refused() -> None:
    with pytest.raises(NotAnAnswerError):
        query(b'{"QueryResponse":' * 50_000)


@pytest.mark.parametrize(
    "body",
    [
        '{"Fault":{"Error":[]}}',
        '{"QueryResponse":{},"fault":{"error":[{"code":"3200"}]}}',
        '{"QueryResponse":{"Fault":{"Error":[{"code":"4001"}]}}}',
        '{"Fault":"broken"}',
    ],
)
def test_a_fault_is_found_wherever_it_stands(body: str) -> None:
    with pytest.raises(FaultInsideError):
        query(body)


def test_a_gateways_empty_fault_member_is_no_fault() -> None:
    assert query('{"QueryResponse":{},"fault":null,"Fault":null}').records == []


def test_a_count_is_a_number_or_no_answer() -> None:
    assert count_answer(members(b'{"QueryResponse":{"totalCount":41}}')).total == 41
    for body in (
        b'{"QueryResponse":{}}',
        b'{"QueryResponse":{"totalCount":"many"}}',
        b'{"QueryResponse":{"totalCount":-1}}',
    ):
        with pytest.raises(NotAnAnswerError):
            count_answer(members(body))


def test_a_read_is_one_record_under_its_name() -> None:
    found = record_answer(members(b'{"Invoice":{"Id":"1","TotalAmt":1.10},"time":"2026-11-23T01:02:03-08:00"}'))
    assert (found.entity, bytes(found.record)) == ("Invoice", b'{"Id":"1","TotalAmt":1.10}')
    for body in (b'{"time":"x"}', b'{"Invoice":{},"Bill":{}}', b'{"Invoice":[]}'):
        with pytest.raises(NotAnAnswerError):
            record_answer(members(body))


DELETED = {
    "domain": "QBO",
    "status": "Deleted",
    "Id": "905",
    "MetaData": {"LastUpdatedTime": "2026-11-22T10:12:00-08:00"},
}


def test_cdc_blocks_are_matched_by_name_and_deletions_are_set_apart() -> None:
    blocks = [
        {},
        {"Estimate": [{"Id": "1"}], "startPosition": 1, "maxResults": 9, "totalCount": 1},
        {"totalCount": 2, "Invoice": [{"Id": "912", "status": "Voided"}, DELETED]},
        {"CreditCardPaymentTxn": [{"Id": "3"}]},
    ]
    found = cdc(
        {"CDCResponse": [{"QueryResponse": blocks}], "time": "2026-11-22T12:00:00.123-08:00"},
        ["Invoice", "Customer", "CreditCardPayment", "Estimate"],
    )
    assert {entity: [json.loads(bytes(r))["Id"] for r in records] for entity, records in found.records.items()} == {
        "Estimate": ["1"],
        "Invoice": ["912"],
        "CreditCardPayment": ["3"],
    }
    assert found.deleted == {"Invoice": [DeletedStub("905", datetime(2026, 11, 22, 18, 12, tzinfo=UTC))]}
    assert (found.total, found.is_truncated) == (4, False)


@pytest.mark.parametrize(
    "document", [{"CDCResponse": []}, {"CDCResponse": [{}]}, {"CDCResponse": [{"QueryResponse": [{}, {}]}]}]
)
def test_nothing_changed_has_three_shapes(document: Any) -> None:
    found = cdc(document, ["Invoice"])
    assert (found.records, found.deleted, found.total) == ({}, {}, 0)


@pytest.mark.parametrize(
    ("live", "gone", "truncated"), [(999, 0, False), (500, 499, False), (999, 1, True), (1000, 0, True)]
)
def test_a_thousand_objects_of_any_kind_mean_that_some_may_be_missing(live: int, gone: int, truncated: bool) -> None:
    blocks = [{"Invoice": [{"Id": "1"}] * live}, {"Bill": [DELETED] * gone}]
    assert cdc({"CDCResponse": [{"QueryResponse": blocks}]}, ["Invoice", "Bill"]).is_truncated is truncated


def test_a_count_above_the_limit_means_truncated_even_when_the_array_is_shorter() -> None:
    document = {"CDCResponse": [{"QueryResponse": [{"Invoice": [{"Id": "1"}], "totalCount": 1000}]}]}
    assert cdc(document, ["Invoice"]).is_truncated


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"QueryResponse": {}},
        {"CDCResponse": {}},
        {"CDCResponse": [{"QueryResponse": {}}]},
        {"CDCResponse": [{"QueryResponse": [{"Invoice": [{"status": "Deleted"}]}]}]},
    ],
)
def test_a_cdc_answer_of_another_shape_is_not_nothing_changed(document: Any) -> None:
    with pytest.raises(NotAnAnswerError):
        cdc(document, ["Invoice"])


@pytest.mark.parametrize(
    "inside", [{"Fault": {"Error": [{"code": "500"}]}}, {"QueryResponse": [{"Fault": {"Error": []}, "x": 1}]}]
)
def test_a_fault_inside_a_cdc_answer_is_found(inside: Any) -> None:
    with pytest.raises(FaultInsideError):
        cdc({"CDCResponse": [inside]}, ["Invoice"])


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-11-23T01:02:03", "2026-13-01T00:00:00Z"])
def test_a_time_without_a_zone_is_no_time(text: str | None) -> None:
    assert moment(text) is None


def test_times_are_read_in_every_form_quickbooks_has_used() -> None:
    expected = datetime(2026, 11, 23, 9, 2, 3, tzinfo=UTC)
    for text in (
        "2026-11-23T01:02:03-08:00",
        "2026-11-23T09:02:03Z",
        "2026-11-23T01:02:03-0800",
        "2026-11-23T01:02:03.000-08:00",
    ):
        assert moment(text) == expected


@pytest.mark.parametrize("kind", ["query", "query-empty", "cdc"])
def test_real_answers_are_understood(samples: Path, kind: str) -> None:
    files = sorted((samples / kind).rglob("*.json"))
    if not files:
        pytest.skip(f"NO REAL ANSWERS in {samples / kind}")
    for file in files:
        document = json.loads(file.read_bytes())
        if kind == "cdc":
            held = [entry for block in document["CDCResponse"][0]["QueryResponse"] for entry in block.values()]
            arrays = [entry for entry in held if isinstance(entry, list)]
            found = cdc_answer(members(file.read_bytes()), file.parent.name.split("-"))
            assert found.total == sum(map(len, arrays)), file
            continue
        arrays = [entry for entry in document["QueryResponse"].values() if isinstance(entry, list)]
        answer = query_answer(file.read_bytes(), file.parent.name)
        assert [json.loads(bytes(record)) for record in answer.records] == (arrays[0] if arrays else []), file
