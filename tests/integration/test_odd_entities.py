"""Entities with rules of their own, end to end over HTTP: rates, templates, tax classifications, attached files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import Entity, entity_named
from qbo_pipeline.cli import main
from qbo_pipeline.errors import UnavailableError, UsageError
from qbo_pipeline.sync.reader import QboReader
from qbo_pipeline.sync.render import canonical, comparable
from qbo_pipeline.sync.window import INCREMENTAL
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.stored import StoredBooks
from tests.support.oracle import differences
from tests.support.quickbooks import REALM, Sandbox

pytestmark = pytest.mark.slow

RATE, TEMPLATE = entity_named("ExchangeRate"), entity_named("RecurringTransaction")
LIST, ATTACHABLE = entity_named("TaxClassification"), entity_named("Attachable")
ODD = (RATE, TEMPLATE, LIST, ATTACHABLE)


def sync(books: Books, *entities: Entity, **more: Any) -> Any:
    outcome = books.sync(None, entities or ODD, trigger="test", **more)
    assert outcome.failed == []
    return outcome


def agrees(books: Books, quickbooks: Sandbox) -> bool:
    truth = quickbooks.truth()
    odd = {entity.json_key for entity in ODD}
    wrong = [each for each in differences(books.engine, REALM, truth) if each.split()[0] in odd]
    assert wrong == []
    return all(truth[name] for name in odd)


def first(books: Books, entity: Entity, quickbooks: Sandbox) -> tuple[str, dict[str, Any]]:
    return next(iter(quickbooks.truth()[entity.json_key].items()))


def test_the_odd_ones_are_loaded_and_shown_as_they_are(books: Books, quickbooks: Sandbox, company: Company) -> None:
    sync(books)
    assert agrees(books, quickbooks)
    for entity in ODD:
        key, payload = first(books, entity, quickbooks)
        assert comparable(entity, books.show(entity, key, None)) == comparable(entity, payload)
    with books.engine.connect() as connection:
        text = "SELECT DISTINCT txn_type FROM quickbooks.recurring_transactions"
        assert set(connection.execute(sa.text(text)).scalars()) == {"Bill", "Invoice"}
        rates = "SELECT DISTINCT source_currency_code FROM quickbooks.exchange_rates"
        assert set(connection.execute(sa.text(rates)).scalars()) == {"EUR", "CAD"}


def test_a_rate_is_shown_by_its_currencies_and_day(books: Books, quickbooks: Sandbox, company: Company) -> None:
    sync(books, RATE)
    key, payload = first(books, RATE, quickbooks)
    assert key.count("-") == 4
    assert canonical(books.show(RATE, key, None)) == canonical(payload)
    with pytest.raises(UsageError, match="SourceCurrencyCode-TargetCurrencyCode-AsOfDate"):
        books.show(RATE, "EUR", None)
    with pytest.raises(UsageError, match="no ExchangeRate with id 'EUR-USD-1999-01-01'"):
        books.show(RATE, "EUR-USD-1999-01-01", None)


def test_a_rate_corrected_for_a_day_long_past_arrives_with_the_next_sync(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    """Stands guard over asking for rates by their day: this one would be missed."""
    sync(books)
    quickbooks.tell("/clock", {"advance_seconds": 7200})
    key = min(key for key in quickbooks.truth()["ExchangeRate"] if key.startswith("EUR"))
    quickbooks.edit(
        {"op": "update", "entity": "ExchangeRate", "id": key.replace("-", "/", 2), "record": {"Rate": 3.25}}
    )
    (outcome,) = sync(books, RATE).entities
    assert outcome.records == 1
    assert agrees(books, quickbooks)


def test_the_rates_of_a_currency_switched_on_later_are_read_from_their_start(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    old = {"CreateTime": "2020-01-01T00:00:00-08:00", "LastUpdatedTime": "2020-01-01T00:00:00-08:00"}
    rate = {"SourceCurrencyCode": "CHF", "TargetCurrencyCode": "USD", "Rate": 1.1, "MetaData": old}
    rates = [{"op": "create", "entity": "ExchangeRate", "record": rate | {"AsOfDate": f"2020-01-0{d}"}} for d in (1, 2)]
    quickbooks.edit(*rates)
    (before,) = sync(books, RATE).entities
    assert before.records == len(quickbooks.truth()["ExchangeRate"]) - 2
    quickbooks.tell("/clock", {"advance_seconds": 7200})
    quickbooks.edit({"op": "create", "entity": "CompanyCurrency", "record": {"Code": "CHF", "Name": "Swiss Franc"}})
    (after,) = sync(books, RATE).entities
    assert after.records == 2
    sync(books)
    assert agrees(books, quickbooks)


def test_templates_follow_their_edits_and_a_list_that_is_named_is_read_whole(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    sync(books)
    quickbooks.tell("/clock", {"advance_seconds": 7200})
    key, _ = first(books, TEMPLATE, quickbooks)
    quickbooks.edit({"op": "update", "entity": "RecurringTransaction", "id": key, "record": {"TotalAmt": 7}})
    quickbooks.tell("/calls", method="DELETE")
    assert {each.entity.name: each.records for each in sync(books).entities} == {
        "ExchangeRate": 0,
        "RecurringTransaction": 1,
        "TaxClassification": 6,
        "Attachable": 0,
    }
    assert agrees(books, quickbooks)


@pytest.mark.parametrize("how", ["5020", "5030", "unsupported", "unknown"])
@pytest.mark.parametrize("entity", [entity_named("Budget"), RATE, TEMPLATE, LIST, entity_named("Preferences")])
def test_what_a_company_does_not_have_is_told_from_what_failed(
    books: Books, quickbooks: Sandbox, company: Company, entity: Entity, how: str
) -> None:
    lacking = "CompanyCurrency" if entity is RATE else entity.name
    quickbooks.tell("/settings", {"unavailable": [lacking], "unavailable_fault": how})
    client = books.clients.of(REALM, lambda refused: books.keeper.access_token(REALM, refused=refused))
    with pytest.raises(UnavailableError):
        list(QboReader(client, StoredBooks(books.engine, REALM)).pages(entity, INCREMENTAL, None))


# --- attached files


def pull(books: Books, folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Run the command as a person would."""
    environment = {
        "DATABASE_URL": books.settings.database_url or "",
        "QBO_ENVIRONMENT": "local",
        "QBO_LOCAL_URL": books.settings.local_url or "",
        "QBO_STATE_DIR": str(books.settings.state_dir),
    }
    command = ["attachments", "pull", "--to", str(folder), "--json", *more]
    result = CliRunner().invoke(main, command, env=environment)
    return result.exit_code, json.loads(result.stdout)


def test_attached_files_are_pulled_once_and_safely(
    books: Books, quickbooks: Sandbox, company: Company, tmp_path: Path
) -> None:
    evil = {"FileName": "../../outside.pdf", "Size": 33, "ContentType": "application/pdf"}
    twin = {"FileName": "receipt-0.pdf", "Size": 21, "ContentType": "application/pdf"}
    quickbooks.edit(*({"op": "create", "entity": "Attachable", "record": record} for record in (evil, twin)))
    assert pull(books, tmp_path / "none")[1]["files"] == [], "nothing is known before a sync"
    sync(books, ATTACHABLE)
    quickbooks.tell("/calls", method="DELETE")
    folder = tmp_path / "files"
    code, document = pull(books, folder, "--company", company.partition_key)
    assert (code, document["ok"]) == (0, True)
    known = {key: each for key, each in quickbooks.truth()["Attachable"].items() if "FileName" in each}
    assert {each["attachable_id"]: each["result"] for each in document["files"]} == dict.fromkeys(known, "downloaded")
    names = {path.name for path in folder.iterdir()}
    assert {"receipt-0.pdf", "receipt-1.pdf", "outside.pdf"} < names
    assert len(names) == len(known) == 4
    for each in document["files"]:
        content = Path(each["file"]).read_bytes()
        assert len(content) == known[each["attachable_id"]]["Size"]
        assert content.startswith(known[each["attachable_id"]]["FileName"].encode()[:21])
    assert not list(tmp_path.glob("*.pdf")), "nothing outside the folder"
    code, document = pull(books, folder)
    assert {each["result"] for each in document["files"]} == {"present"}
    calls = [call for call in quickbooks.calls() if "/download/" in call["path"]]
    assert len(calls) == 4
    with books.engine.connect() as connection:
        text = "SELECT sum(calls) FROM quickbooks.api_calls WHERE kind = 'download'"
        assert connection.execute(sa.text(text)).scalar_one() == 4


def test_a_file_that_is_gone_is_one_sentence_and_the_others_come(
    books: Books, quickbooks: Sandbox, company: Company, tmp_path: Path
) -> None:
    sync(books, ATTACHABLE)
    gone = next(key for key, each in quickbooks.truth()["Attachable"].items() if "FileName" in each)
    quickbooks.edit({"op": "delete", "entity": "Attachable", "id": gone})
    code, document = pull(books, tmp_path)
    assert (code, document["ok"]) == (1, False)
    assert sorted(each["result"] for each in document["files"]) == ["downloaded", "failed"]
    (failed,) = (each for each in document["files"] if each["error"])
    assert failed["attachable_id"] == gone
    assert "610" in failed["error"]
    assert len(list(tmp_path.glob("*.pdf"))) == 1
