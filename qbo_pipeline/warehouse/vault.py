"""Tokens at rest: AES-256-GCM envelopes, the keys that open them, and in whose name an installation keeps them.

    enc:v1:<key id>:<base64 of nonce and ciphertext>

Each envelope is bound to its company, its column and its generation (as associated data), so that one that was copied
to another row, or back from an older version of its own, does not open. Keys never reach the database. A ring may hold
several, separated by commas, spaces or lines: the first one seals, all of them open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qbo_pipeline.errors import SettingsError
from qbo_pipeline.secret import Secret
from qbo_pipeline.warehouse.private_files import sync_folder, write_private

_PREFIX = "enc:v1:"
_NONCE_BYTES = 12  # NIST SP 800-38D: 96 bits, random for each message
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Bound:
    """What an envelope is bound to."""

    realm_id: str
    column: str
    generation: int

    def __bytes__(self) -> bytes:
        return f"{self.realm_id}|{self.column}|{self.generation}".encode()


class Vault:
    """A ring of keys."""

    def __init__(self, ring: str, *, where: str = "QBO_TOKEN_KEY", again: Callable[[], str] | None = None) -> None:
        """``ring`` is the keys in base64, the one that seals first; ``where`` they come from is for errors.

        ``again`` reads the ring anew, for keys that were added after this process began.
        """
        self._where = where
        self._again = again
        self._keys = _keys(ring, where)

    def seal(self, text: str, bound: Bound) -> str:
        """Return the envelope of a text."""
        key_id, key = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + key.encrypt(nonce, text.encode(), bytes(bound))
        return f"{_PREFIX}{key_id}:{base64.b64encode(sealed).decode()}"

    def open(self, text: str, bound: Bound) -> Secret:
        """Return what an envelope holds; a text that is none is returned as it is.

        Raises SettingsError when no key of the ring opens it.
        """
        if not is_sealed(text):
            return Secret(text)
        key_id, _, body = text.removeprefix(_PREFIX).partition(":")
        if key_id not in self._keys and self._again is not None:
            self._keys = _keys(self._again(), self._where)
        try:
            sealed = base64.b64decode(body, validate=True)
            return Secret(
                self._keys[key_id].decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bytes(bound)).decode()
            )
        except KeyError:
            why = f"sealed with key {key_id[:8]}, which is not in {self._where}: put that key back"
        except (InvalidTag, binascii.Error, ValueError):
            why = "not as it was written, or was copied from another row"
        raise SettingsError(
            f"The stored {bound.column.replace('_', ' ')} of company {bound.realm_id} is {why}, or connect the company "
            "again (qbo connect). Nothing else is lost."
        )

    def seals_with_the_first_key(self, text: str) -> bool:
        """Tell whether an envelope need not be sealed anew."""
        return text.startswith(f"{_PREFIX}{next(iter(self._keys))}:")


@dataclass(frozen=True, slots=True)
class Custody:
    """How an installation keeps tokens: with which keys, under which name, and whether it hides access tokens too."""

    vault: Vault
    installation: str
    hides_access: bool = False

    def sealed_access(self, token: str, bound: Bound) -> str:
        """Return an access token as it is stored."""
        return self.vault.seal(token, bound) if self.hides_access else token[:]


def is_sealed(text: str | None) -> bool:
    """Tell whether a text is an envelope."""
    return text is not None and text.startswith(_PREFIX)


def new_key() -> str:
    """Return a key, in base64."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def vault_of_file(path: Path, *, make: bool = True) -> Vault:
    """Return the ring a file holds; one with a new key, for our eyes only, is made where there is none."""
    if make and not path.exists():
        _write_once(path, new_key() + "\n")
    try:
        return Vault(path.read_text(), where=str(path), again=path.read_text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The keys of the stored tokens cannot be read from {path} ({type(error).__name__}): put the file back."
        ) from None


def add_key(path: Path) -> None:
    """Put a new key at the head of a file's ring; the old ones stay, backups need them."""
    write_private(path, f"{new_key()}\n{path.read_text()}")


def installation_of(state_dir: Path, given: str | None, database: str = "") -> str:
    """Return the name in which tokens are kept: ``given``, or one made once in the state folder, and the database's.

    A copy of the database has another address, and a copy of the settings another state folder: neither is the
    installation that may refresh.
    """
    path = state_dir / "installation"
    if given is None and not path.exists():
        _write_once(path, f"{socket.gethostname()}-{os.urandom(4).hex()}\n")
    name = given or path.read_text().strip()
    return f"{name} on {database}" if database else name


def _write_once(path: Path, text: str) -> None:
    """Write a private file whole, unless another process is faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        write_private(Path(folder) / path.name, text)
        with suppress(FileExistsError):
            os.link(Path(folder) / path.name, path)
    sync_folder(path.parent)


def _keys(ring: str, where: str) -> dict[str, AESGCM]:
    """Return the keys of a ring by their ids, the one that seals first."""
    keys = [_decoded(word, where) for word in ring.replace(",", " ").split()]
    if not keys:
        raise SettingsError(_malformed(where))
    return {hashlib.sha256(key).hexdigest()[:8]: AESGCM(key) for key in keys}


def _decoded(word: str, where: str) -> bytes:
    try:
        key = base64.b64decode(word.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise SettingsError(_malformed(where))
    Secret(word)
    return key


def _malformed(where: str) -> str:
    return (
        f"{where} must hold keys of 32 random bytes in base64, the newest first (make one with 'openssl rand -base64 "
        "32')."
    )
