"""Attached files: brought from QuickBooks into a folder, when a person asks for it.

Reads   Postgres     which files there are (a sync brings the list)
Reads   QuickBooks   the address of each file, good for minutes, then the file itself, without a token
Writes  a folder     one file each, named as in QuickBooks as far as that is safe

A file that is there already is not fetched again; its time of change says which version it is. A file that fails does
not keep the others back. Nothing that is not ours is overwritten.
"""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import requests

from qbo_pipeline.errors import (
    PipelineError,
    QboError,
    ReauthorizationRequiredError,
    RetryableError,
    UnauthorizedError,
    UsageError,
)
from qbo_pipeline.qbo.environments import Environment
from qbo_pipeline.qbo.transport import Limits, fetched
from qbo_pipeline.warehouse.attachments import AttachedFile

#: Intuit takes files up to 100 MB; a slow line may need half an hour for one.
LIMITS = Limits(total=1800.0, max_bytes=110 * 1024 * 1024)

_LONGEST_NAME = 180  # bytes, so that an id in front still fits into the 255 that file systems allow
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Addresses(Protocol):
    """The part of ``QboClient`` that is needed."""

    def download_address(self, attachable_id: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one file."""

    file: AttachedFile
    path: Path
    result: Literal["downloaded", "present", "failed"]
    error: PipelineError | None = None


def pull(
    files: Iterable[AttachedFile],
    folder: Path,
    *,
    client: Addresses,
    environment: Environment,
    session: requests.Session,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Pulled]:
    """Yield what became of each file, as it happens.

    Raises UsageError when the folder cannot be made, and what makes any download impossible (a refused connection).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be a folder for attachments: {error.strerror or error}.") from None
    for file, path in named(files, folder):
        if _is_present(file, path):
            yield Pulled(file, path, "present")
            continue
        progress(f"{path.name} ({file.size or 0:,} bytes)")
        try:
            _download(file, path, client, environment, session)
        except (ReauthorizationRequiredError, UnauthorizedError):
            raise
        except OSError as error:
            why = UsageError(f"{path} could not be written: {error.strerror or type(error).__name__}.")
            yield Pulled(file, path, "failed", why)
        except PipelineError as error:
            yield Pulled(file, path, "failed", error)
        else:
            yield Pulled(file, path, "downloaded")


def named(files: Iterable[AttachedFile], folder: Path) -> Iterator[tuple[AttachedFile, Path]]:
    """Yield each file with the path it gets, the same in every run.

    The first of several of one name keeps it; the others, and one whose name somebody else's file has, get their id in
    front. An attachment's bytes never change, so a file of another size under its name is not ours.
    """
    taken: set[str] = set()
    for file in files:
        name = safe_name(file.name, file.id)
        while name.casefold() in taken or (not name.startswith(f"{file.id}-") and _is_foreign(file, folder / name)):
            name = f"{file.id}-{name}"
        taken.add(name.casefold())
        yield file, folder / name


def safe_name(name: str, file_id: str) -> str:
    """Return a name for a file that stays in its folder, on any system, whatever QuickBooks calls it."""
    plain = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    plain = re.split(r"[/\\]", plain)[-1]
    plain = "".join("_" if c in '<>:"|?*' or unicodedata.category(c) in {"Cc", "Cf", "Cs"} else c for c in plain)
    plain = plain.strip(" .")
    if not plain or _DEVICES.fullmatch(plain):
        plain = f"{re.sub(r'[^A-Za-z0-9-]', '_', file_id)}-{plain or 'attachment'}"
    stem, dot, ending = plain.rpartition(".")
    if not dot or len(ending) > 12:
        stem, ending = plain, ""
    room = _LONGEST_NAME - len((dot + ending).encode()) if ending else _LONGEST_NAME
    short = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return f"{short}.{ending}" if ending else short


def _is_foreign(file: AttachedFile, path: Path) -> bool:
    return file.size is not None and os.path.lexists(path) and (not path.is_file() or path.stat().st_size != file.size)


def _is_present(file: AttachedFile, path: Path) -> bool:
    if not path.is_file():
        return False
    found = path.stat()
    same_size = file.size is None or found.st_size == file.size
    return same_size and (file.updated_at is None or int(found.st_mtime) == int(file.updated_at.timestamp()))


def _download(
    file: AttachedFile, path: Path, client: Addresses, environment: Environment, session: requests.Session
) -> None:
    """Write the file beside its place and move it there whole: a broken download never has its name."""
    handle, name = tempfile.mkstemp(prefix=".download-", dir=path.parent)  # readable by its owner only: these are books
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as sink:
            try:
                _write(file, sink, client, environment, session)
            except RetryableError:  # an address lives for minutes and a line breaks: once more, with a new one
                sink.seek(0)
                sink.truncate()
                _write(file, sink, client, environment, session)
        if file.updated_at is not None:
            os.utime(part, (file.updated_at.timestamp(),) * 2)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _write(
    file: AttachedFile, sink: BinaryIO, client: Addresses, environment: Environment, session: requests.Session
) -> None:
    attempt = f"fetching {file.name[:80]!r} of attachable {file.id}"
    size = 0
    address = client.download_address(file.id)
    with closing(fetched(session, environment, address, attempt=attempt, limits=LIMITS)) as pieces:
        for piece in pieces:
            size += len(piece)
            sink.write(piece)
    if file.size is not None and size != file.size:
        raise QboError(f"{attempt}: {size:,} bytes came, QuickBooks says it has {file.size:,}; it was not kept")
