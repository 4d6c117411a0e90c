"""The second place of a token pair: an encrypted file, on disk before the database is asked to store it.

Between QuickBooks' answer and the commit the new pair exists in one process only, and the old one may be dead. So the
answer is written down first, synced to the disk: what a crash, or a database that is away, keeps from being committed
is found here by the next one who claims the company. The last two pairs stay, which also makes good for a database
that was restored from an older backup.

A pair belongs to a chain: everything that descends from one consent. Another consent, another chain, so a pair that a
person replaced by connecting again never comes back.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import time
from pathlib import Path

import msgspec

from qbo_pipeline.errors import SettingsError
from qbo_pipeline.secret import Secret
from qbo_pipeline.warehouse.private_files import write_private
from qbo_pipeline.warehouse.vault import Bound, Vault

_KEPT = 2
_NAME = re.compile(r"(?P<realm>[0-9A-Za-z]+)\.(?P<chain>[0-9a-f-]+)\.(?P<generation>[0-9]+)\.(?P<epoch>[0-9]+)")
#: QuickBooks lets a refresh token live for 100 days: whatever is older opens nothing.
_WORTHLESS_SECONDS = 100 * 86_400
_log = logging.getLogger(__name__)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A token pair with its place in the chain. Its lives are seconds counted from ``asked_at``, the database's clock.

    ``generation`` is the one it will have in the database, ``epoch`` that of the lease under which it was asked for.
    """

    realm_id: str
    chain: str
    generation: int
    epoch: int
    asked_at: dt.datetime
    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires_in: int | None = None
    refresh_hard_expires_in: int | None = None
    intuit_tid: str | None = None

    def __repr__(self) -> str:
        return f"Pair(realm_id={self.realm_id!r}, generation={self.generation})"


class Spool:
    """The spooled pairs of every company of an installation."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault

    def keep(self, pair: Pair) -> None:
        """Write a pair down; when this returns, it survives a power cut. Raises OSError when it cannot be written."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{pair.realm_id}.{pair.chain}.{pair.generation}.{pair.epoch}"
        write_private(path, self._vault.seal(msgspec.json.encode(pair).decode(), _bound(pair.realm_id, path.name)))
        for old in self._files(pair.realm_id, pair.chain)[_KEPT:]:
            old.unlink(missing_ok=True)
        for path in self._folder.iterdir():  # chains that ended, and halves a crash left behind
            if path.stat().st_mtime < time.time() - _WORTHLESS_SECONDS:
                path.unlink(missing_ok=True)

    def pairs(self, realm_id: str, chain: str) -> list[Pair]:
        """Return the spooled pairs of a chain, the newest first; what no key opens is left out, and said to the log."""
        found = []
        for path in self._files(realm_id, chain):
            try:
                text = self._vault.open(path.read_text(), _bound(realm_id, path.name))
                pair = msgspec.json.decode(text.reveal(), type=Pair)
            except (SettingsError, msgspec.MsgspecError, OSError, UnicodeDecodeError) as error:
                _log.warning("The spooled tokens in %s cannot be used (%s).", path.name, type(error).__name__)
            else:
                Secret(pair.access_token), Secret(pair.refresh_token)
                found.append(pair)
        return found

    def forget(self, realm_id: str) -> None:
        """Remove every pair of a company."""
        for path in self._files(realm_id):
            path.unlink(missing_ok=True)

    def reseal(self, vault: Vault) -> None:
        """Seal every pair with the first key of another ring; what that one does not open is left as it is."""
        self._vault = vault
        for path in self._files():
            bound = _bound(path.name.partition(".")[0], path.name)
            try:
                write_private(path, vault.seal(vault.open(path.read_text(), bound).reveal(), bound))
            except SettingsError:
                _log.warning("The spooled tokens in %s were sealed with a key that is gone.", path.name)

    def _files(self, realm_id: str | None = None, chain: str | None = None) -> list[Path]:
        """Return the files of a chain, of a company or of all, the newest first."""
        if not self._folder.is_dir():
            return []
        named = ((path, _NAME.fullmatch(path.name)) for path in self._folder.iterdir())
        found = [
            (int(name["generation"]), int(name["epoch"]), path)
            for path, name in named
            if name and realm_id in (None, name["realm"]) and chain in (None, name["chain"])
        ]
        return [path for _, _, path in sorted(found, reverse=True)]


def _bound(realm_id: str, name: str) -> Bound:
    return Bound(realm_id, f"spool {name}", 0)
