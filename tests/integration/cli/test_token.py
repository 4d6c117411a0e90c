"""``qbo disconnect`` and ``qbo token …``: what a person does with a connection."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.warehouse.companies import Company
from tests.integration.cli.conftest import Terminal
from tests.support.quickbooks import REALM, Sandbox
from tests.support.tokens import refreshes, stored_refresh_token


@pytest.fixture
def owner(terminal: Terminal, books: Books, company: Company) -> Terminal:
    """A terminal of the installation that connected the company."""
    return terminal


def test_disconnecting_revokes_and_then_wipes(owner: Terminal, books: Books, quickbooks: Sandbox) -> None:
    assert books.keeper.access_token(REALM)
    said = owner.type("disconnect").stdout
    assert "QuickBooks has revoked the consent, and its tokens are wiped. Its books stay." in said
    assert quickbooks.tell("/tokens")["grants"][-1]["revoked"] is True
    (row,) = owner.json("status", "--json")["companies"]
    assert (row["state"], row["access_token_expires_at"]) == ("disconnected", None)
    assert row["next_action"] == "none, it was disconnected; to sync it again: qbo connect"
    assert "was disconnected; connect it again with 'qbo connect'" in owner.type("sync").stderr
    assert owner.json("disconnect", "--json")["revoked"] is False, "twice is once"
    quickbooks.connect(books)
    assert owner.json("status", "--json")["companies"][0]["state"] == "active"


def test_nothing_is_wiped_while_quickbooks_cannot_be_asked(owner: Terminal, books: Books, quickbooks: Sandbox) -> None:
    quickbooks.tell("/faults", {"fault": "http_503_html", "match": {"path": "tokens/revoke"}, "times": 9})
    said = owner.type("disconnect")
    assert said.exit_code == 1
    assert "revoking the company's consent: Intuit answered HTTP 503" in said.stderr
    assert stored_refresh_token(books)
    assert books.company(None).is_active


def test_a_consent_that_is_over_already_is_wiped_all_the_same(owner: Terminal, quickbooks: Sandbox) -> None:
    quickbooks.tell("/tokens/revoke", {})
    assert owner.json("disconnect", "--json")["revoked"] is False


def test_a_copy_takes_over_only_when_told(
    owner: Terminal, terminal: Terminal, books: Books, company: Company, quickbooks: Sandbox
) -> None:
    key = books.settings.token_key_path.read_text().strip()
    copy = Terminal({**terminal.environment, "QBO_TOKEN_KEY": key, "QBO_INSTALLATION": "moved here"})
    quickbooks.tell("/calls", method="DELETE")
    assert "qbo token take-ownership" in copy.refused("token", "ping")
    assert "qbo token take-ownership" in copy.refused("disconnect")
    assert "refreshed by" in copy.json("status", "--json")["companies"][0]["next_action"]
    assert refreshes(quickbooks) == []
    taken = copy.json("token", "take-ownership", "--company", company.partition_key, "--json")
    assert taken["companies"] == [company.partition_key]
    assert taken["installation"].startswith("moved here on ")
    assert copy.json("token", "ping", "--json")["generation"] == 2
    assert "must not renew them" in owner.refused("token", "ping")


def test_a_new_key_seals_everything_and_running_programs_follow(
    owner: Terminal, books: Books, company: Company, engine: sa.Engine
) -> None:
    books.keeper.refresh(REALM, refused=books.keeper.access_token(REALM))
    before = books.settings.token_key_path.read_text()
    with engine.connect() as connection:
        old = connection.execute(sa.text("SELECT refresh_token FROM quickbooks.tokens")).scalar_one()
    assert owner.json("token", "rekey", "--json")["sealed"] == 1
    after = books.settings.token_key_path.read_text()
    assert after.endswith(before)
    with engine.connect() as connection:
        new = connection.execute(sa.text("SELECT refresh_token FROM quickbooks.tokens")).scalar_one()
    assert new.split(":")[2] != old.split(":")[2]
    assert books.keeper.refresh(REALM, refused=books.token_store.read(REALM).access_token), (
        "this process had the old ring"
    )
    newest = Path(books.settings.token_key_path)
    newest.write_text(after.split()[0])
    assert owner.json("token", "ping", "--json")["generation"] == 4
    assert owner.json("token", "rekey", "--json")["sealed"] == 1


def test_a_key_that_is_none_is_one_sentence(owner: Terminal) -> None:
    said = owner.type("token", "ping", QBO_TOKEN_KEY="c2hvcnQ=")
    assert said.exit_code == 1
    assert said.stderr == (
        "Error: QBO_TOKEN_KEY must hold keys of 32 random bytes in base64, the newest first (make one with "
        "'openssl rand -base64 32').\n"
    )


def test_reconnecting_by_name_asks_for_that_company(owner: Terminal) -> None:
    assert "There is no company 'nobody'" in owner.refused("connect", "--company", "nobody")
