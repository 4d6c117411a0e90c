"""The second place of a pair: sealed, private, the last two of each chain, newest first."""

from __future__ import annotations

import datetime as dt
import os
import stat
from pathlib import Path

import pytest

from qbo_pipeline.warehouse.spool import Pair, Spool
from qbo_pipeline.warehouse.vault import Vault, new_key

CHAIN = "0a0a"


def pair(generation: int, *, epoch: int = 1, chain: str = CHAIN, realm: str = "9130") -> Pair:
    return Pair(
        realm_id=realm,
        chain=chain,
        generation=generation,
        epoch=epoch,
        asked_at=dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        access_token=f"access-canary-{generation}",
        refresh_token=f"refresh-canary-{generation}-{epoch}",
        expires_in=3600,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, Vault(new_key()))


def test_the_last_two_stay_newest_first(spool: Spool, folder: Path) -> None:
    for generation in (9, 10, 11):
        spool.keep(pair(generation))
    spool.keep(pair(11, epoch=2))
    assert [(each.generation, each.epoch) for each in spool.pairs("9130", CHAIN)] == [(11, 2), (11, 1)]
    assert spool.pairs("9130", CHAIN)[0] == pair(11, epoch=2)
    assert len(list(folder.iterdir())) == 2


def test_nothing_of_it_can_be_read_by_others(spool: Spool, folder: Path) -> None:
    spool.keep(pair(1))
    (file,) = folder.iterdir()
    assert "canary" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "canary" not in repr(pair(1))


def test_other_chains_and_companies_are_not_mixed_up(spool: Spool) -> None:
    spool.keep(pair(5, chain="0b0b"))
    spool.keep(pair(1))
    spool.keep(pair(7, realm="9140"))
    assert [each.generation for each in spool.pairs("9130", CHAIN)] == [1]
    spool.forget("9130")
    assert spool.pairs("9130", CHAIN) == []
    assert spool.pairs("9130", "0b0b") == []
    assert len(spool.pairs("9140", CHAIN)) == 1


def test_what_cannot_be_opened_is_left_out_and_said(
    spool: Spool, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a file, another key, or a file that was renamed to look newer."""
    spool.keep(pair(1))
    good = next(folder.iterdir())
    (folder / f"9130.{CHAIN}.8.1").write_text(good.read_text())
    (folder / f"9130.{CHAIN}.9.1").write_text("enc:v1:")
    assert [each.generation for each in spool.pairs("9130", CHAIN)] == [1]
    assert caplog.text.count("cannot be used") == 2


def test_it_is_on_the_disk_before_keep_returns(spool: Spool, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    done: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    monkeypatch.setattr("qbo_pipeline.warehouse.private_files.os.fsync", fsync)
    spool.keep(pair(1))
    assert done == ["file", "folder"]


def test_what_is_older_than_any_token_lives_goes(spool: Spool, folder: Path) -> None:
    spool.keep(pair(1, chain="0b0b"))
    (old,) = folder.iterdir()
    os.utime(old, (0, 0))
    spool.keep(pair(1))
    assert not old.exists()


def test_another_key_seals_what_is_there(folder: Path) -> None:
    old, new = new_key(), new_key()
    Spool(folder, Vault(old)).keep(pair(1))
    Spool(folder, Vault(old)).reseal(Vault(f"{new} {old}"))
    assert Spool(folder, Vault(new)).pairs("9130", CHAIN) == [pair(1)]
