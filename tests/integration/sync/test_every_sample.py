"""Every real payload goes into a local QuickBooks, through a sync, and comes back out of ``Books.show`` equal.

Three counts are kept for every file and entity, each by somebody else: what a walk over the bare JSON finds in it (by
the envelopes Intuit documents, without the catalogue), what the sandbox says it took in, and what was compared. Any
difference names the file. Nothing is passed over in silence: a kind of sample is proven here or is on the list of what
is no books, and a file without a record needs a reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES, Entity
from qbo_pipeline.errors import UsageError
from qbo_pipeline.sync.render import comparable
from qbo_pipeline.sync.window import FULL
from tests.support.payloads import NO_BOOKS, inner_record, key_text, raw
from tests.support.quickbooks import Sandbox

#: Kinds of sample that carry records, or the answer that there are none.
KINDS = {"entity", "query", "query-empty", "query-count", "cdc", "batch", "delete", "upload"}
#: Members of an envelope that are no records.
ENVELOPE = {"time", "startPosition", "maxResults", "totalCount", "bId"}
#: Files that carry no record, and why that is right; every other file has to carry one.
NO_RECORD = {
    "query-empty/empty/nango2026-transfers.json": "the answer that there are no transfers",
    "query-count/count/minimul-all-alt-select-0.json": "the answer how many there are",
    "entity/TaxCode/docs2-sample-object.json": "what the tax service answers: names of codes and rates, no TaxCode",
}
BY_KEY = {entity.json_key: entity for entity in ENTITIES}


@dataclass(frozen=True)
class Sample:
    """A file: the records in it, and the stubs of deleted ones, each under the name QuickBooks gives it."""

    file: str
    body: bytes
    records: tuple[tuple[str, dict[str, Any]], ...]
    deleted: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def kind(self) -> str:
        return self.file.split("/")[0]

    @property
    def folder(self) -> str:
        return self.file.split("/")[1]

    @property
    def keys(self) -> set[tuple[str, str]]:
        return {(name, key_text(BY_KEY[name], record)) for name, record in (*self.records, *self.deleted)}


def envelope_records(kind: str, document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what stands in the envelope of that kind of answer, whatever it is called."""
    match kind:
        case "query" | "query-empty" | "query-count":
            yield from _members(document["QueryResponse"])
        case "cdc":
            for answer in document["CDCResponse"]:
                for block in answer["QueryResponse"]:
                    yield from _members(block)
        case "batch":
            for item in document["BatchItemResponse"]:
                yield from _members(item.get("QueryResponse") or {n: v for n, v in item.items() if n != "Fault"})
        case "upload":
            for item in document["AttachableResponse"]:
                yield from _members(item)
        case _:
            yield from _members(document)


def _members(holder: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in holder.items():
        if name not in ENVELOPE:
            yield from ((name, each) for each in (value if isinstance(value, list) else [value]))


def read(folder: Path) -> list[Sample]:
    """Return every file of the kinds that carry records, the fullest first."""
    samples = []
    for path in sorted(path for kind in KINDS for path in (folder / kind).rglob("*.json")):
        file = path.relative_to(folder).as_posix()
        document = json.loads(path.read_bytes(), parse_float=Decimal)
        found = [] if file in NO_RECORD else list(envelope_records(file.split("/")[0], document))
        assert found or file in NO_RECORD, f"{file} carries no record, and nobody wrote down why"
        for name, record in found:
            assert isinstance(record, dict), f"{file}: {name} is no object"
            assert name in BY_KEY, f"{file}: QuickBooks sends {name}, and the catalogue has no such entity"
        stubs = [each for each in found if each[1].get("status") == "Deleted"]
        live = [each for each in found if each[1].get("status") != "Deleted"]
        samples.append(Sample(file, path.read_bytes(), tuple(live), tuple(stubs)))
    return sorted(samples, key=lambda sample: -len(sample.records))


def companies_for(samples: list[Sample]) -> list[list[Sample]]:
    """Share files among companies, because one company has no two records of one Id; the first gets most."""
    companies: list[tuple[set[tuple[str, str]], list[Sample]]] = []
    for sample in samples:
        keys = sample.keys
        assert len(keys) == len(sample.records) + len(sample.deleted), f"{sample.file} has two records of one Id"
        for taken, files in companies:
            if not taken & keys:
                taken |= keys
                files.append(sample)
                break
        else:
            companies.append((keys, [sample]))
    return [files for _, files in companies]


def unhandled(folder: Path) -> set[str]:
    """Return the kinds of sample nobody says anything about."""
    return {path.name for path in folder.iterdir() if path.is_dir()} - KINDS - NO_BOOKS


def load(quickbooks: Sandbox, realm: str, *documents: bytes) -> dict[str, Any]:
    """Let the sandbox take in documents byte by byte (as JSON of ours, 100.00 would become 100.0); its own report."""
    address = f"{quickbooks.url}/_sandbox/books/{realm}/load"
    answer = requests.post(address, data=b"[" + b",".join(documents) + b"]", timeout=60)
    assert answer.ok, answer.text
    report: dict[str, Any] = answer.json()
    return report


def fill(quickbooks: Sandbox, realm: str, samples: list[Sample], wrong: list[str]) -> Counter[tuple[str, str]]:
    """Load files into a new company one by one; return how many records of each kind and entity arrived."""
    quickbooks.tell("/companies", {"realm": realm, "name": f"Samples {realm[-2:]}"})
    before: Counter[str] = Counter()
    loaded: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        report = load(quickbooks, realm, sample.body)
        gained = Counter(report["records"]) - before
        before = Counter(report["records"])
        loaded.update({(sample.kind, name): count for name, count in gained.items()})
        if gained != Counter(name for name, _ in sample.records):
            wrong.append(f"{sample.file} has {len(sample.records)} records, and the sandbox took {dict(gained)}")
        if report["deleted_stubs"] != len(sample.deleted):
            wrong.append(f"{sample.file} has {len(sample.deleted)} stubs; the sandbox saw {report['deleted_stubs']}")
        if sum(report["passed_over"].values()) != (sample.file in NO_RECORD):
            wrong.append(f"{sample.file} was passed over: {report['passed_over']}")
        if report["superseded"] or report["given_an_id"] or report["warnings"]:
            wrong.append(f"{sample.file} was not taken in as it is: {report}")
    _use_currencies(quickbooks, realm, samples)
    return loaded


def _use_currencies(quickbooks: Sandbox, realm: str, samples: list[Sample]) -> None:
    """Let the company use the currencies it has rates of; QuickBooks gives no rates of others."""
    pairs = [pair for sample in samples for pair in sample.records]
    used = {record.get("Code") for name, record in pairs if name == "CompanyCurrency"}
    for code in sorted({record["SourceCurrencyCode"] for name, record in pairs if name == "ExchangeRate"} - used):
        quickbooks.edit({"op": "create", "entity": "CompanyCurrency", "record": {"Code": code}}, realm=realm)


def entities_of(names: set[str]) -> tuple[Entity, ...]:
    return tuple(entity for entity in ENTITIES if entity.json_key in names)


@pytest.mark.slow
def test_every_sample_comes_back_as_it_was(books: Books, quickbooks: Sandbox, samples: Path) -> None:
    found = read(samples)
    companies = companies_for(found)
    wrong: list[str] = []
    loaded: Counter[tuple[str, str]] = Counter()
    compared: Counter[tuple[str, str]] = Counter()
    for number, files in enumerate(companies):
        realm = str(9130000000000100 + number)
        loaded += fill(quickbooks, realm, files, wrong)
        quickbooks.connect(books, realm)
        names = {name for sample in files for name, _ in sample.records}
        outcome = books.sync(realm, entities_of(names), trigger="test")
        wrong += [f"company {realm}: {each.entity.name}: {each.error}" for each in outcome.failed]
        for sample in files:
            for name, record in sample.records:
                entity, key = BY_KEY[name], key_text(BY_KEY[name], record)
                try:
                    shown = books.show(entity, key, realm)
                except UsageError as error:
                    wrong.append(f"{sample.file}: {error}")
                    continue
                compared[sample.kind, name] += 1
                if comparable(entity, shown) != comparable(entity, record):
                    wrong.append(f"{sample.file}: {name} {key} came back different")
    assert wrong == []
    counted = Counter((sample.kind, name) for sample in found for name, _ in sample.records)
    assert sum(map(len, companies)) == len(found), "every file is in one company"
    assert loaded == counted
    assert compared == counted
    assert {name for _, name in compared} == BY_KEY.keys(), "every entity has at least one payload that came back"
    assert {kind for kind, _ in compared} == {"entity", "query", "cdc", "batch", "upload"}


@pytest.mark.slow
def test_what_was_deleted_at_quickbooks(books: Books, quickbooks: Sandbox, samples: Path) -> None:
    """Every delete answer speaks of a record that was there, was synced, and is live at QuickBooks no more."""
    realm = "9130000000000199"
    quickbooks.tell("/companies", {"realm": realm, "name": "Deleted"})
    found = read(samples)
    stubs = [(sample, name, stub) for sample in found for name, stub in sample.deleted]
    assert Counter(sample.kind for sample, _, _ in stubs) == {
        "delete": len(list(samples.glob("delete/*/*.json"))),
        "cdc": 1,
    }
    keys = [(name, key_text(BY_KEY[name], stub)) for _, name, stub in stubs]
    example = {name: record for sample in found for name, record in sample.records}
    for name, key in keys:
        record = _with_id(BY_KEY[name], example[name], key)
        assert load(quickbooks, realm, bytes(raw({name: record})))["records"][name] >= 1
    quickbooks.connect(books, realm)
    entities = entities_of({name for name, _ in keys})
    assert books.sync(realm, entities, trigger="test").failed == []
    for name, key in keys:
        shown, expected = books.show(BY_KEY[name], key, realm), quickbooks.truth(realm)[name][key]
        assert comparable(BY_KEY[name], shown) == comparable(BY_KEY[name], expected)
    quickbooks.edit(*({"op": "delete", "entity": name, "id": key} for name, key in keys), realm=realm)
    quickbooks.tell("/clock", {"advance_seconds": 3600})
    assert books.sync(realm, entities, trigger="test").failed == []
    # Of what change data capture does not cover, only a full read shows that it is gone.
    silent = tuple(entity for entity in entities if not entity.cdc)
    assert books.sync(realm, silent, FULL, trigger="test").failed == []
    live = quickbooks.truth(realm)
    for (sample, name, _), (_, key) in zip(stubs, keys, strict=True):
        assert key not in live.get(name, {}), f"{sample.file}: {name} {key} is still live at QuickBooks"
        assert _is_gone(books, BY_KEY[name], key, realm), f"{sample.file}: {name} {key} is still in the warehouse"


def _with_id(entity: Entity, record: dict[str, Any], key: str) -> dict[str, Any]:
    if not entity.wrapped:
        return {**record, "Id": key}
    (kind,) = (name for name, value in record.items() if value is inner_record(entity, record))
    return {**record, kind: {**record[kind], "Id": key}}


def _is_gone(books: Books, entity: Entity, key: str, realm: str) -> bool:
    try:
        books.show(entity, key, realm)
    except UsageError:
        return True
    return False


def test_every_kind_of_sample_is_proven_or_is_no_books(samples: Path) -> None:
    assert unhandled(samples) == set(), "a kind of sample is passed over in silence"
    index = json.loads((samples / "manifest.json").read_bytes())
    found = read(samples)
    assert {sample.file for sample in found} == {each["file"] for each in index if each["kind"] in KINDS}
    for sample in found:
        names = {name for name, _ in (*sample.records, *sample.deleted)}
        if sample.kind in {"entity", "query", "delete", "upload"} and sample.file not in NO_RECORD:
            assert names == {sample.folder}, f"{sample.file} has {names}"


def test_a_new_kind_of_sample_is_noticed(tmp_path: Path) -> None:
    for kind in (*KINDS, *NO_BOOKS, "statement"):
        (tmp_path / kind).mkdir()
    assert unhandled(tmp_path) == {"statement"}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ('{"QueryResponse": {}}', "carries no record"),
        ('{"QueryResponse": {"Spaceship": [{"Id": "1"}]}}', "no such entity"),
        ('{"QueryResponse": {"Invoice": ["1"]}}', "no object"),
    ],
)
def test_a_file_that_proves_nothing_is_noticed(tmp_path: Path, document: str, complaint: str) -> None:
    (tmp_path / "query" / "Invoice").mkdir(parents=True)
    (tmp_path / "query" / "Invoice" / "new.json").write_text(document)
    with pytest.raises(AssertionError, match=complaint):
        read(tmp_path)
