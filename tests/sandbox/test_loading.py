"""Real payloads as books."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qbo_pipeline.sandbox.books import Books, inner
from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.entities import BY_NAME
from qbo_pipeline.sandbox.grammar import parse
from qbo_pipeline.sandbox.loading import LoadReport, load_books
from qbo_pipeline.sandbox.query import Finder
from qbo_pipeline.sandbox.settings import Settings


@pytest.fixture
def books() -> Books:
    return Books("9130000000000002", "Loaded Books", Clock())


def _folder(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_text(text)
    return root


def _one(books: Books, entity: str) -> str:
    (record,) = books.table(entity).records.values()
    return record.body.decode()


def test_every_shape_of_answer_is_understood(tmp_path: Path, books: Books) -> None:
    invoice = '{"Id":"1","MetaData":{"LastUpdatedTime":"2026-01-01T00:00:00-08:00"}}'
    report = load_books(
        _folder(
            tmp_path,
            a='{"Term":{"Id":"1"},"time":"t"}',
            deep__er__b='{"QueryResponse":{"Bill":[{"Id":"2"},{"Id":"3"}],"startPosition":1,"maxResults":2}}',
            c='{"CDCResponse":[{"QueryResponse":[{},{"Invoice":[INVOICE,{"status":"Deleted","Id":"9"}]}]}]}'.replace(
                "INVOICE", invoice
            ),
            d='{"BatchItemResponse":[{"bId":"1","Vendor":{"Id":"4"}},{"QueryResponse":{"Class":[{"Id":"5"}]}},{"Fault":{}}]}',
            e='{"AttachableResponse":[{"Attachable":{"Id":"6"}}]}',
            f='{"QueryResponse":{"RecurringTransaction":[{"Bill":{"Id":"7"}}]}}',
            g='{"QueryResponse":{"ExchangeRate":[{"SourceCurrencyCode":"EUR","AsOfDate":"2026-01-01","Rate":1.10}]}}',
            h='{"CompanyInfo":{"Id":"1","CompanyName":"Read From File"}}',
        ),
        books,
    )
    assert report.records == {
        "CompanyInfo": 1,
        "Attachable": 1,
        "Class": 1,
        "ExchangeRate": 1,
        "Term": 1,
        "Vendor": 1,
        "Bill": 2,
        "Invoice": 1,
        "RecurringTransaction": 1,
    }
    assert (report.deleted_stubs, report.warnings) == (1, [])
    assert books.name == "Read From File"


def test_what_is_not_books_is_counted_and_what_is_broken_warns(tmp_path: Path, books: Books) -> None:
    report = load_books(
        _folder(
            tmp_path,
            report='{"Header":{},"Columns":{},"Rows":{}}',
            fault='{"Fault":{"Error":[]},"time":"t"}',
            gateway='{"warnings":null,"fault":{}}',
            hook='{"eventNotifications":[]}',
            events='[{"specversion":"1.0"}]',
            count='{"QueryResponse":{"totalCount":4}}',
            token='{"access_token":"x"}',
            broken='{"Invoice":',
            number="17",
        ),
        books,
    )
    assert report.records == {}
    assert report.passed_over == {
        "report": 1,
        "fault": 2,
        "webhook": 2,
        "empty answer": 1,
        "token": 1,
        "not an object": 1,
    }
    assert len(report.warnings) == 2
    assert all("left out" in warning for warning in report.warnings)


def test_the_newest_version_stays_then_the_higher_token_then_the_last_file(tmp_path: Path, books: Books) -> None:
    def version(name: str, day: int, token: int) -> str:
        times = {"LastUpdatedTime": f"2026-01-0{day}T00:00:00-08:00"}
        return json.dumps({"Term": {"Id": "1", "Name": name, "SyncToken": str(token), "MetaData": times}})

    files = {"a": version("newest", 3, 0), "b": version("old", 1, 9), "c": version("token", 3, 2)}
    files |= {"d": version("last", 3, 2), "e": version("low", 3, 1), "f": '{"Term":{"Id":"1","Name":"abridged"}}'}
    report = load_books(_folder(tmp_path, **files), books)
    assert json.loads(_one(books, "Term"))["Name"] == "last"
    assert report.superseded == 5


def test_a_payload_is_served_as_it_was_written(tmp_path: Path, books: Books) -> None:
    payload = '{"Zeta":1,"Id":"1","TotalAmt":120.00,"Rate":1e5,"Small":0.0000001,"Big":12345678901234567890,"No":null}'
    load_books(_folder(tmp_path, a='{"Invoice": ' + payload.replace(",", " , ") + "}"), books)
    assert _one(books, "Invoice") == payload


def test_a_record_without_an_id_is_given_one_that_stays_the_same(tmp_path: Path, books: Books) -> None:
    report = load_books(_folder(tmp_path, a='{"Term":{"Name":"Net 3"}}'), books)
    again = Books("1", "x", Clock())
    load_books(tmp_path, again)
    assert report.given_an_id == 1
    assert list(books.table("Term").records) == list(again.table("Term").records)
    assert json.loads(_one(books, "Term"))["Id"].startswith("made-")


def test_a_record_without_times_is_found_by_a_window_around_the_load(tmp_path: Path, books: Books) -> None:
    load_books(_folder(tmp_path, a='{"Term":{"Id":"1"}}'), books)
    statement = parse("select * from Term where MetaData.LastUpdatedTime >= '2020-01-01T00:00:00Z'")
    page = Finder().run(statement, books, Settings())
    assert page.records == (b'{"Id":"1"}',)


def test_the_recorded_samples_load_whole_and_unaltered(samples: Path, books: Books) -> None:
    report = load_books(samples, books)
    assert report.warnings == []
    assert report.given_an_id == 0
    assert set(report.passed_over) == {
        *("fault", "report", "webhook", "webhook signature", "token", "token error", "http exchange"),
        *("recorded body", "list", "empty answer", "unknown object"),
    }
    folders = {path.name for kind in ("entity", "query") for path in (samples / kind).iterdir()}
    assert folders - set(report.records) == set()
    compact = {_compact(path) for path in samples.rglob("*.json")}
    everything = "\n".join(compact)
    for name in report.records:
        for record in books.table(name).records.values():
            assert inner(record.payload())
            assert record.body.decode() in everything, f"{name} {record.key} was altered"


def _compact(path: Path) -> str:
    import msgspec

    return msgspec.json.format(path.read_bytes(), indent=-1).decode()


def test_every_entity_of_the_report_is_in_the_catalogue() -> None:
    assert LoadReport().records == {}
    assert {"Invoice", "TaxClassification", "CreditCardPaymentTxn"} <= set(BY_NAME)
