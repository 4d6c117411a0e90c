"""Envelopes open for their own row and generation, with a key of the ring, and say in one sentence why not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from qbo_pipeline.errors import SettingsError
from qbo_pipeline.warehouse.vault import (
    Bound,
    Custody,
    Vault,
    add_key,
    installation_of,
    is_sealed,
    new_key,
    vault_of_file,
)

HERE = Bound("9130", "refresh_token", 7)


def test_what_is_sealed_opens_and_shows_nothing() -> None:
    vault = Vault(new_key())
    sealed = vault.seal("RT1-canary", HERE)
    assert sealed.startswith("enc:v1:")
    assert "canary" not in sealed
    assert vault.open(sealed, HERE) == "RT1-canary"
    assert vault.seal("RT1-canary", HERE) != sealed, "two envelopes of one token look alike to nobody"
    assert "canary" not in repr(vault.open(sealed, HERE))


@pytest.mark.parametrize(
    "elsewhere",
    [Bound("9140", "refresh_token", 7), Bound("9130", "access_token", 7), Bound("9130", "refresh_token", 6)],
)
def test_an_envelope_from_elsewhere_does_not_open(elsewhere: Bound) -> None:
    """Of another company, another column, or an older version of its own: copied there by whoever may write."""
    vault = Vault(new_key())
    with pytest.raises(SettingsError, match="copied from another row"):
        vault.open(vault.seal("token", elsewhere), HERE)


@pytest.mark.parametrize("spoil", [lambda s: s[:-8], lambda s: s[:-4] + "AAA=", lambda s: s + "!", lambda _: "enc:v1:"])
def test_a_spoilt_envelope_is_one_sentence(spoil: object) -> None:
    vault = Vault(new_key())
    with pytest.raises(SettingsError, match=r"connect the company again \(qbo connect\)\. Nothing else is lost"):
        vault.open(spoil(vault.seal("token", HERE)), HERE)  # type: ignore[operator]


def test_a_lost_key_is_named_and_a_ring_opens_what_its_older_keys_sealed() -> None:
    old, new = new_key(), new_key()
    sealed = Vault(old).seal("token", HERE)
    with pytest.raises(SettingsError, match=r"sealed with key \w{8}, which is not in QBO_TOKEN_KEY: put that key back"):
        Vault(new).open(sealed, HERE)
    ring = Vault(f"{new},\n{old}")
    assert ring.open(sealed, HERE) == "token"
    assert not ring.seals_with_the_first_key(sealed)
    assert ring.seals_with_the_first_key(ring.seal("token", HERE))


@pytest.mark.parametrize("ring", ["", " , ", "short", "x" * 44, "QUJD" * 9, "ключ"])
def test_a_key_that_is_none_is_one_sentence_without_it(ring: str) -> None:
    with pytest.raises(SettingsError, match="openssl rand -base64 32") as error:
        Vault(ring)
    assert len(ring) < 5 or ring not in str(error.value)


def test_what_lies_open_is_read_as_it_is() -> None:
    assert Vault(new_key()).open("RT1-plain", HERE) == "RT1-plain"
    assert not is_sealed("RT1-plain")
    assert not is_sealed(None)


def test_access_tokens_are_hidden_only_where_that_is_asked_for() -> None:
    vault = Vault(new_key())
    assert Custody(vault, "me").sealed_access("token", HERE) == "token"
    assert is_sealed(Custody(vault, "me", hides_access=True).sealed_access("token", HERE))


def test_a_key_file_is_made_once_and_for_our_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "token.key"
    sealed = vault_of_file(path).seal("token", HERE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert vault_of_file(path).open(sealed, HERE) == "token"
    assert [each.name for each in path.parent.iterdir()] == ["token.key"]
    add_key(path)
    ring = vault_of_file(path)
    assert ring.open(sealed, HERE) == "token"
    assert not ring.seals_with_the_first_key(sealed)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read from .*token\.key"):
        vault_of_file(tmp_path / "token.key", make=False)
    (tmp_path / "token.key").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="put the file back"):
        vault_of_file(tmp_path / "token.key")


def test_a_copy_of_settings_or_of_the_database_is_another_installation(tmp_path: Path) -> None:
    mine = installation_of(tmp_path / "a", None, "db:5432/books")
    assert installation_of(tmp_path / "a", None, "db:5432/books") == mine
    assert installation_of(tmp_path / "b", None, "db:5432/books") != mine
    assert installation_of(tmp_path / "a", None, "branch:5432/books") != mine
    assert installation_of(tmp_path / "c", "blue", "db:5432/books") == "blue on db:5432/books"
    assert not (tmp_path / "c").exists()
