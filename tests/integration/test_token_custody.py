"""Whose tokens they are, and that they lie sealed in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from qbo_pipeline.books import Books
from qbo_pipeline.errors import OwnershipError, SettingsError
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.token_custody import take_ownership
from tests.support.quickbooks import REALM, Sandbox
from tests.support.tokens import execute, refreshes, renewed, row, stored_refresh_token


def another(books: Books, **changes: Any) -> Books:
    """Return an installation with other settings, on the same database."""
    return Books(msgspec.structs.replace(books.settings, **changes))


# --- whose tokens they are ------------------------------------------------------------------------------------------


def test_a_copy_may_read_and_must_not_refresh_until_a_person_says_so(
    books: Books, quickbooks: Sandbox, company: Company, tmp_path: Path
) -> None:
    """A branch of the database, a restored dump, a laptop: with the same key, and other state."""
    books.custody.vault  # noqa: B018 - makes the key
    copy = another(books, state_dir=tmp_path / "copy", token_key_file=books.settings.token_key_path)
    quickbooks.tell("/calls", method="DELETE")
    assert copy.keeper.access_token(REALM) == books.keeper.access_token(REALM)
    with pytest.raises(OwnershipError, match="qbo token take-ownership"):
        renewed(copy)
    execute(books, "UPDATE quickbooks.tokens SET expires_at = expires_at - interval '51 minutes'")
    assert copy.due_for_refresh() == []
    assert copy.keeper.access_token(REALM) == books.token_store.read(REALM).access_token, "nine minutes are left"
    assert refreshes(quickbooks) == []
    take_ownership(copy.engine, copy.custody, [REALM])
    assert renewed(copy)
    with pytest.raises(OwnershipError):
        renewed(books)
    copy.database.dispose()


# --- sealed at rest -------------------------------------------------------------------------------------------------


def test_other_programs_find_the_access_token_and_no_refresh_token(books: Books, company: Company) -> None:
    access, refresh, lives = row(books, "access_token, refresh_token, expires_at > now() AT TIME ZONE 'UTC'", "tokens")
    assert access == books.keeper.access_token(REALM)
    assert refresh.startswith("enc:v1:")
    assert lives


def test_a_token_that_another_program_left_open_is_sealed_by_the_next_refresh(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    plain = stored_refresh_token(books)
    execute(books, "UPDATE quickbooks.tokens SET refresh_token = :plain", plain=plain)
    assert stored_refresh_token(books) == plain
    assert row(books, "refresh_token", "tokens")[0].startswith("enc:v1:")


def test_an_upgrade_seals_what_lies_open_in_one_transaction(books: Books, company: Company) -> None:
    plain = stored_refresh_token(books)
    execute(books, "UPDATE quickbooks.tokens SET refresh_token = :plain", plain=plain)
    execute(
        books,
        "INSERT INTO quickbooks.tokens_archive (realm_id, token, reason) "
        "VALUES ('9130', CAST(:token AS jsonb), 'superseded')",
        token='{"refresh_token": "RT1-archived"}',
    )
    assert books.upgrade(dry_run=True) == ["Sealed 2 refresh tokens that lay open."]
    assert row(books, "refresh_token", "tokens")[0] == plain
    assert books.upgrade() == ["Sealed 2 refresh tokens that lay open."]
    assert books.upgrade() == []
    assert "RT1-archived" not in str(row(books, "token", "tokens_archive"))
    assert stored_refresh_token(books) == plain


def test_a_lost_key_is_one_sentence_and_connecting_again_is_all_it_costs(
    books: Books, quickbooks: Sandbox, company: Company
) -> None:
    access = books.keeper.access_token(REALM)
    books.settings.token_key_path.unlink()
    lost = another(books)
    assert lost.keeper.access_token(REALM) == access, "what lies open can be used"
    with pytest.raises(SettingsError, match=r"put that key back, or connect the company again"):
        renewed(lost)
    assert row(lost, "lease_owner, intent_at") == (None, None), "nothing was begun"
    assert [each.next_action for each in lost.statuses()]
    quickbooks.connect(lost)
    assert renewed(lost)
    assert lost.sync(None, trigger="test").failed == []
    lost.database.dispose()


def test_access_tokens_can_be_hidden_too(books: Books, quickbooks: Sandbox, company: Company) -> None:
    hiding = another(books, token_storage="encrypted")
    token = renewed(hiding)
    assert row(books, "access_token", "tokens")[0].startswith("enc:v1:")
    assert books.keeper.access_token(REALM) == token, "whoever has the key reads it"
    hiding.database.dispose()
