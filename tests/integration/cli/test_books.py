"""``qbo sync``, ``show``, ``status``, ``db`` and ``down``: what they print, and the shapes programs rely on."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES
from qbo_pipeline.errors import BusyError
from qbo_pipeline.sync.outcome import Outcome
from qbo_pipeline.sync.render import canonical
from qbo_pipeline.warehouse.companies import Company
from tests.integration.cli.conftest import Terminal
from tests.support.quickbooks import REALM, Sandbox


def test_sync_reads_show_gives_back_and_status_tells(terminal: Terminal, company: Company, quickbooks: Sandbox) -> None:
    (document,) = terminal.json("sync", "--json")["companies"]
    assert document["ok"] is True
    assert document["error"] is None
    assert document["company"] == company.partition_key
    assert [each["entity"] for each in document["entities"]] == [entity.name for entity in ENTITIES]
    truth = quickbooks.truth()
    assert {each["entity"]: each["records"] for each in document["entities"]} == {
        entity.name: len(truth.get(entity.json_key, {})) for entity in ENTITIES
    }

    record_id, record = next(iter(truth["Invoice"].items()))
    shown = terminal.type("show", "invoices", record_id)
    assert canonical(json.loads(shown.stdout, parse_float=Decimal)["Invoice"]) == canonical(record)

    (status,) = terminal.json("status", "--json")["companies"]
    assert status["realm_id"] == REALM
    assert status["last_sync_rows"] == document["rows"]
    assert status["next_action"] == "none"
    said = terminal.type("status").stdout
    assert company.name in said
    assert f"{document['rows']:,}" in said


def test_only_the_entities_named_are_read(terminal: Terminal, company: Company, quickbooks: Sandbox) -> None:
    quickbooks.tell("/calls", method="DELETE")
    result = terminal.type("sync", "--entity", "invoices", "--entity", "Customer")
    assert result.exit_code == 0, result.output
    asked = {call["entity"] for call in quickbooks.calls() if call["path"].endswith("/query")}
    assert asked == {"Invoice", "Customer"}


def test_a_range_is_a_range_of_days_of_creation(terminal: Terminal, company: Company, quickbooks: Sandbox) -> None:
    (document,) = terminal.json(
        "sync", "--entity", "Invoice", "--since", "2000-01-01", "--until", "2001-01-01", "--json"
    )["companies"]
    assert document["window"] == "created 2000-01-01 to 2001-01-01"
    assert document["rows"] == 0


@pytest.mark.slow
def test_one_company_that_fails_does_not_keep_the_others_back(
    terminal: Terminal, books: Books, company: Company, quickbooks: Sandbox
) -> None:
    quickbooks.tell("/companies", {"realm": "9130000000000077", "name": "A Second Company", "seed": 7, "invoices": 3})
    second = quickbooks.connect(books, "9130000000000077")
    quickbooks.tell("/tokens/revoke", {"realm": second.realm_id})
    result = terminal.type("sync", "--entity", "Customer", "--json")
    assert result.exit_code == 1
    documents = {each["realm_id"]: each for each in json.loads(result.stdout)["companies"]}
    assert documents[REALM]["ok"] is True
    assert documents[REALM]["rows"] > 0
    assert documents[second.realm_id]["ok"] is False
    assert second.partition_key in result.stderr
    assert "Traceback" not in result.output


def test_a_company_that_cannot_be_synced_at_all_does_not_keep_the_others_back(
    terminal: Terminal, books: Books, company: Company, quickbooks: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickbooks.tell("/companies", {"realm": "9130000000000077", "name": "A Busy Company", "seed": 7, "invoices": 3})
    busy = quickbooks.connect(books, "9130000000000077")
    really = Books.sync

    def sync(self: Books, word: str | None, *arguments: Any, **more: Any) -> Outcome:
        if word == busy.realm_id:
            raise BusyError("Company 9130000000000077 is being synced by somebody else.")
        return really(self, word, *arguments, **more)

    monkeypatch.setattr(Books, "sync", sync)
    result = terminal.type("sync", "--entity", "Customer", "--json")
    assert result.exit_code == 1
    documents = {each["realm_id"]: each for each in json.loads(result.stdout)["companies"]}
    assert documents[REALM]["ok"] is True
    assert documents[busy.realm_id]["error"] == "Company 9130000000000077 is being synced by somebody else."
    assert documents[busy.realm_id]["entities"] == []


def test_an_entity_that_fails_is_named_and_the_exit_code_says_so(
    terminal: Terminal, company: Company, quickbooks: Sandbox
) -> None:
    quickbooks.tell("/faults", {"fault": "http_403", "match": {"path": "query", "entity": "Bill"}, "times": 0})
    result = terminal.type("sync", "--entity", "Bill", "--entity", "Vendor")
    assert result.exit_code == 1
    assert f"Error: {company.partition_key}, Bill: " in result.stderr
    assert "failed" in result.stdout


def test_upgrade_says_what_it_did_and_is_safe_to_repeat(terminal: Terminal, empty_database_url: str) -> None:
    first = terminal.type("db", "upgrade", DATABASE_URL=empty_database_url)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("- ")
    assert terminal.json("db", "upgrade", "--json", DATABASE_URL=empty_database_url) == {"done": []}
    assert terminal.type("db", "upgrade", DATABASE_URL=empty_database_url).stdout == (
        "The database is up to date; nothing was changed.\n"
    )


def test_the_url_of_the_database_opens_it(terminal: Terminal, database_url: str) -> None:
    url = terminal.type("db", "url").stdout.strip()
    assert sa.make_url(url) == sa.make_url(database_url)
    assert terminal.type("db", "url", "--psql").stdout.startswith("psql ")


def test_up_database_notes_dagsters_url_in_a_private_env_file(terminal: Terminal, clean: Path) -> None:
    (clean / ".env").write_text("QBO_ENVIRONMENT=local\n")
    result = terminal.type("up", "--database")
    assert result.exit_code == 0, result.output
    noted = (clean / ".env").read_text()
    assert "QBO_ENVIRONMENT=local" in noted
    assert "DAGSTER_PG_URL='postgresql+psycopg2://" in noted
    assert (clean / ".env").stat().st_mode & 0o777 == 0o600
    assert terminal.type("up", "--database").exit_code == 0
    assert (clean / ".env").read_text() == noted


def test_down_with_nothing_running(terminal: Terminal) -> None:
    assert terminal.type("down").stdout == "Nothing was running.\n"
    assert terminal.json("down", "--json") == {"stopped": {"programs": False, "database": False}}


@pytest.mark.parametrize(
    "command", ["demo", "up", "down", "db", "connect", "sync", "reconcile", "show", "status", "sandbox"]
)
def test_every_command_explains_itself_at_once(bare: Terminal, command: str) -> None:
    result = bare.type(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {command} ")
