"""Reading a folder of real payloads as one company's books.

Understood are the API's own shapes, in any nesting of folders: ``{"Invoice": {…}, "time": …}``, ``QueryResponse``,
``CDCResponse``, ``BatchItemResponse``, ``AttachableResponse`` and the one-key wrappers of RecurringTransaction. What is
not books (reports, faults, webhooks, tokens, headers, lists) is passed over and counted by kind; a broken file is one
warning. Payloads are served as they are, digit for digit and in their order of keys.

Of several versions of one record the newest LastUpdatedTime stays (then the higher SyncToken, then the last file by
path). A record without an Id that needs one is given one made from its content; one without times is taken to have
changed when it was loaded, and its payload stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from qbo_pipeline.sandbox.books import Books, inner, key_of, times_of
from qbo_pipeline.sandbox.entities import BY_NAME
from qbo_pipeline.sandbox.values import NotJsonError, Payload, amount, decode, encode

RESPONSES = ("QueryResponse", "CDCResponse", "BatchItemResponse", "AttachableResponse")
ENVELOPE = ("time", "startPosition", "maxResults", "totalCount", "bId")


class LoadReport(msgspec.Struct):
    """What a load found."""

    files: int = 0
    records: dict[str, int] = {}
    superseded: int = 0
    given_an_id: int = 0
    without_times: int = 0
    deleted_stubs: int = 0
    passed_over: dict[str, int] = {}
    warnings: list[str] = []

    def sentence(self) -> str:
        """Say it in one line."""
        kept = sum(self.records.values())
        passed = sum(self.passed_over.values())
        return (
            f"{kept} records of {len(self.records)} entities from {self.files} files; {self.superseded} superseded, "
            f"{passed} documents passed over, {len(self.warnings)} broken"
        )


def load_books(folder: Path, books: Books) -> LoadReport:
    """Fill ``books`` from every JSON file below ``folder``."""
    report = LoadReport()
    absorb(books, _documents(folder, report), report)
    return report


def _documents(folder: Path, report: LoadReport) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.rglob("*.json")):
        report.files += 1
        name = path.relative_to(folder).as_posix()
        try:
            yield name, decode(path.read_bytes())
        except (NotJsonError, OSError) as error:
            report.warnings.append(f"{name} is not JSON and was left out: {error}")


def absorb(books: Books, documents: Iterable[tuple[str, Any]], report: LoadReport) -> None:
    """Take in documents, newest versions winning."""
    for name, document in documents:
        if not isinstance(document, dict):
            _pass_over(report, *_kind_of_list(name, document))
            continue
        found = list(_records(document))
        if not found:
            _pass_over(report, _kind(document))
        for entity, payload in found:
            _take(books, entity, payload, report)
    report.records = {name: len(table.records) for name, table in books.tables.items() if table.records}
    _adopt_name(books)


def _records(document: Payload) -> Iterator[tuple[str, Payload]]:
    for name, value in document.items():
        if name in RESPONSES:
            for block in value if isinstance(value, list) else [value]:
                yield from _records(block) if isinstance(block, dict) else ()
        elif name in BY_NAME and name not in ENVELOPE:
            for record in value if isinstance(value, list) else [value]:
                if isinstance(record, dict):
                    yield name, record


def _take(books: Books, entity: str, payload: Payload, report: LoadReport) -> None:
    seen = inner(payload)
    if _is_stub(payload):
        report.deleted_stubs += 1
        return
    key = key_of(entity, payload)
    if key is None:
        key = seen["Id"] = "made-" + hashlib.sha256(encode(payload)).hexdigest()[:12]
        report.given_an_id += 1
    older = books.get(entity, key)
    if not isinstance(times_of(seen).get("LastUpdatedTime"), str):
        report.without_times += 1
    if older is not None:
        report.superseded += 1
        if _rank(books, older.payload()) > _rank(books, payload):
            return
    books.keep(entity, payload)


def _rank(books: Books, payload: Payload) -> tuple[int, int]:
    """Order versions: by time, then by SyncToken; one without a time is older than any that has one."""
    seen = inner(payload)
    updated = times_of(seen).get("LastUpdatedTime")
    instant = books.clock.instant(updated) if isinstance(updated, str) else None
    token = str(seen.get("SyncToken", "0"))
    return (-1 if instant is None else instant, int(amount(token)) if token.isdecimal() else 0)


def _is_stub(payload: Payload) -> bool:
    return "Deleted" in {payload.get("status"), inner(payload).get("status")}


def _kind(document: Payload) -> str:
    names = {name.lower() for name in document}
    shapes = {
        "report": {"header", "columns"},
        "fault": {"fault"},
        "webhook": {"eventnotifications"},
        "webhook signature": {"intuit_signature"},
        "token": {"access_token"},
        "token error": {"error"},
        "http exchange": {"request", "response"},
        "recorded body": {"status", "body"},
        "empty answer": {"queryresponse"},
    }
    return next((kind for kind, marks in shapes.items() if marks <= names), "unknown object")


def _kind_of_list(name: str, document: Any) -> tuple[str, str | None]:
    if not isinstance(document, list):
        return "not an object", f"{name} holds no JSON object and was left out"
    if any(isinstance(each, dict) and "specversion" in each for each in document):
        return "webhook", None
    return "list", None


def _pass_over(report: LoadReport, kind: str, warning: str | None = None) -> None:
    report.passed_over[kind] = report.passed_over.get(kind, 0) + 1
    if warning:
        report.warnings.append(warning)


def _adopt_name(books: Books) -> None:
    for record in books.table("CompanyInfo").records.values():
        books.name = str(record.payload().get("CompanyName") or books.name)
