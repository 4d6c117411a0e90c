"""Attached files get a safe name that stays the same, arrive whole or not at all, and never keep each other back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.attachments import Pulled, named, pull, safe_name
from qbo_pipeline.errors import NotFoundError, UnauthorizedError, UsageError
from qbo_pipeline.qbo.environments import local
from qbo_pipeline.warehouse.attachments import AttachedFile
from tests.unit.qbo.fakes import Answer, FakeQuickBooks

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HERE = local("http://127.0.0.1:8600")


def file(file_id: str, name: str, size: int | None = 4) -> AttachedFile:
    return AttachedFile(file_id, name, size, NOON)


@dataclass
class FakeAddresses:
    """Gives every file an address; ``trouble`` is raised instead for the ids it names."""

    trouble: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def download_address(self, attachable_id: str) -> str:
        self.asked.append(attachable_id)
        if attachable_id in self.trouble:
            raise self.trouble[attachable_id]
        return f"http://127.0.0.1:8600/files/{attachable_id}?n={len(self.asked)}"


def pulled(
    folder: Path, *files: AttachedFile, answers: list[Answer], addresses: FakeAddresses | None = None
) -> list[Pulled]:
    session = FakeQuickBooks(answers).session()
    return list(pull(files, folder, client=addresses or FakeAddresses(), environment=HERE, session=session))


# --- names


@given(
    st.text(max_size=300)
    | st.sampled_from(["../../etc/passwd", "..\\..\\x", "/", "..", ".", "", "CON", "nul.txt", "a/"])
)
def test_no_name_leaves_its_folder(name: str) -> None:
    safe = safe_name(name, "../7")
    assert safe
    assert not {"/", "\\", "\0"} & set(safe)
    assert not safe.startswith(".")
    assert len(f"5000000000000503624-{safe}".encode()) < 255
    folder = Path("/tmp/folder")
    assert (folder / safe).parent == folder
    assert (folder / safe).resolve().parent == folder.resolve()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("receipt nov.pdf", "receipt nov.pdf"),
        ("../../.ssh/authorized_keys", "authorized_keys"),
        ("C:\\Users\\ann\\scan.png", "scan.png"),
        ("Ünïcode 日本.pdf", "Ünïcode 日本.pdf"),
        (".bashrc", "bashrc"),
        ("what?<now>.txt", "what__now_.txt"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        ("nul.txt", "12-nul.txt"),
        ("..", "12-attachment"),
    ],
)
def test_names_are_kept_as_far_as_they_are_safe(name: str, safe: str) -> None:
    assert safe_name(name, "12") == safe


def test_a_long_name_keeps_its_ending() -> None:
    assert safe_name("ü" * 300 + ".pdf", "1").endswith("ü.pdf")


def test_files_of_one_name_are_told_apart_by_id_the_same_in_every_run(tmp_path: Path) -> None:
    files = [file("1", "a.pdf"), file("2", "A.PDF"), file("3", "3-a.pdf"), file("4", "a.pdf"), file("5", "4-a.pdf")]
    names = [path.name for _, path in named(files, tmp_path)]
    assert names == ["a.pdf", "2-A.PDF", "3-a.pdf", "4-a.pdf", "5-4-a.pdf"]
    assert len({name.casefold() for name in names}) == len(files)
    assert [path.name for _, path in named(files[:4], tmp_path)] == names[:4]


def test_somebody_elses_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("my own letter")
    (tmp_path / "b.pdf").mkdir()
    first, second = pulled(tmp_path, file("1", "a.pdf"), file("2", "b.pdf"), answers=[Answer(b"data")])
    assert (tmp_path / "a.pdf").read_text() == "my own letter"
    assert (first.path.name, second.path.name) == ("1-a.pdf", "2-b.pdf")
    again = pulled(tmp_path, file("1", "a.pdf"), file("2", "b.pdf"), answers=[Answer(b"data")])
    assert [(each.path, each.result) for each in again] == [(first.path, "present"), (second.path, "present")]


# --- downloads


def test_a_file_arrives_whole_with_its_time_and_is_not_fetched_again(tmp_path: Path) -> None:
    addresses = FakeAddresses()
    folder = tmp_path / "new" / "folder"
    (first,) = pulled(folder, file("1", "a.pdf"), answers=[Answer(b"data")], addresses=addresses)
    assert (first.result, first.path.read_bytes()) == ("downloaded", b"data")
    assert first.path.stat().st_mtime == NOON.timestamp()
    assert first.path.stat().st_mode & 0o077 == 0, "books are nobody else's business"
    (second,) = pulled(folder, file("1", "a.pdf"), answers=[], addresses=addresses)
    assert (second.result, addresses.asked) == ("present", ["1"])
    os.utime(first.path, (0, 0))
    (third,) = pulled(folder, file("1", "a.pdf"), answers=[Answer(b"DATA")], addresses=addresses)
    assert (third.result, third.path.read_bytes()) == ("downloaded", b"DATA")


def test_one_file_that_fails_does_not_keep_the_others_back(tmp_path: Path) -> None:
    addresses = FakeAddresses({"2": NotFoundError("gone")})
    files = [file("1", "a"), file("2", "b"), file("3", "c")]
    found = pulled(tmp_path, *files, answers=[Answer(b"data")], addresses=addresses)
    assert [each.result for each in found] == ["downloaded", "failed", "downloaded"]
    assert str(found[1].error) == "gone"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"], "nothing half-done is left"


def test_an_address_that_expired_is_asked_for_again_once(tmp_path: Path) -> None:
    addresses = FakeAddresses()
    (found,) = pulled(tmp_path, file("1", "a"), answers=[Answer(b"no", 403), Answer(b"data")], addresses=addresses)
    assert (found.result, found.path.read_bytes(), addresses.asked) == ("downloaded", b"data", ["1", "1"])
    (failed,) = pulled(tmp_path, file("2", "b"), answers=[Answer(b"no", 403)])
    assert failed.result == "failed"
    assert "403" in str(failed.error)


def test_a_file_of_another_size_than_quickbooks_says_is_not_kept(tmp_path: Path) -> None:
    (found,) = pulled(tmp_path, file("1", "a", 5), answers=[Answer(b"data")])
    assert found.result == "failed"
    assert "4 bytes came, QuickBooks says it has 5" in str(found.error)
    assert list(tmp_path.iterdir()) == []


def test_a_dead_connection_ends_it_at_once(tmp_path: Path) -> None:
    addresses = FakeAddresses({"1": UnauthorizedError("401")})
    with pytest.raises(UnauthorizedError):
        pulled(tmp_path, file("1", "a"), file("2", "b"), answers=[Answer(b"data")], addresses=addresses)
    assert addresses.asked == ["1"]


def test_a_folder_that_cannot_be_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="cannot be a folder"):
        pulled(tmp_path / "taken", file("1", "a"), answers=[])
