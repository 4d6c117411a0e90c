"""One Postgres server on one data folder: made, started, found, stopped.

A data folder is always whole: it is made under another name and renamed. A server is found by its pid file, and the
pid file is not believed: the process must be a Postgres on that very folder.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.binaries import PG_MAJOR, Programs
from qbo_pipeline.warehouse.private_files import sync_folder, write_private

# Below the range from which systems hand out ports for outgoing connections, so that the port stays ours to reuse.
PORTS = range(20_000, 32_000)
# No process ever has this id (Linux ends at 2**22, macOS at 99,999).
NO_PROCESS = 2**22 + 1

# Chosen for a laptop or a small server: modest memory, no sockets in the file system, and neither replication nor its
# cost. What a statement carried (tokens, books) stays out of the log, also when it fails. Commits stay durable.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_parallel_workers_per_gather": "0",  # parallel workers need more /dev/shm than a container usually has
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


def check_version(data: Path) -> None:
    """Raise unless ``data`` was made by the Postgres we run, or is not made yet."""
    with suppress(FileNotFoundError):
        found = (data / "PG_VERSION").read_text().strip()
        if found and found != str(PG_MAJOR):
            raise WarehouseError(
                f"The data in {data} was written by Postgres {found} and this qbo runs Postgres {PG_MAJOR}: either "
                f"dump it with Postgres {found} and load the dump into a new one, or move {data} away and start "
                "afresh (connect each company again; a full sync brings back its books)."
            )


def initialise(data: Path, programs: Programs, *, user: str, password: str, sync: bool = True) -> None:
    """Make the data folder unless it is there; what a killed attempt left behind is cleared up.

    ``sync=False`` is for servers that run without fsync anyway, as those of tests do.
    """
    if (data / "PG_VERSION").is_file() and (data / "global" / "pg_control").is_file():
        return
    for left_over in data.parent.glob("data.new-*"):
        if left_over.is_dir():
            shutil.rmtree(left_over, ignore_errors=True)
        else:
            left_over.unlink(missing_ok=True)
    if data.exists():  # unusable, and not from us; kept for whoever wants to look into it
        data.rename(data.with_name(f"data.broken-{secrets.token_hex(4)}"))
    half = Path(tempfile.mkdtemp(prefix="data.new-", dir=data.parent))
    pwfile = half.with_name(f"{half.name}.pw")
    write_private(pwfile, password)
    if (account := programs.account) is not None:
        for made in (half, pwfile):
            os.chown(made, account.uid, account.gid)
    # The built-in C.UTF-8 is the same on every system; the C library's may be missing, or change under an index.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    auth = [f"--username={user}", "--auth=scram-sha-256", f"--pwfile={pwfile}"]
    done = programs.run("initdb", f"--pgdata={half}", *auth, *locale, *([] if sync else ["--no-sync"]))
    pwfile.unlink(missing_ok=True)
    if done.returncode != 0:
        shutil.rmtree(half, ignore_errors=True)
        raise WarehouseError(f"Postgres could not make its data folder {data}: {last_line(done.stdout)}")
    half.rename(data)
    sync_folder(data.parent)


def start(
    data: Path,
    programs: Programs,
    *,
    port: int,
    log: Path,
    settings: Mapping[str, str],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Start the server and wait until it answers; False when another program took the port meanwhile."""
    options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
    give_up_at = monotonic() + 30
    while postmaster(data) is None:
        _mend_pid_file(data)
        log.unlink(missing_ok=True)  # the previous start's; a server that runs for months logs little
        done = programs.run(
            *("pg_ctl", "start", "-D", str(data), "-l", str(log), "-w", "-t", "300", "-o", f"{options} -c port={port}"),
            capture=False,
        )
        if done.returncode == 0:
            return True
        said = log.read_text(errors="replace") if log.exists() else ""
        if "Address already in use" in said:
            return False
        # The children of a killed server may still be on their way out: they are worth waiting for.
        if monotonic() > give_up_at or not re.search(r"still in use|lock file .* already exists", said):
            raise WarehouseError(
                f"The embedded Postgres did not start: {last_line(said)} (data in {data}, log in {log})"
            )
        sleep(0.2)
    return True


def stop(data: Path, programs: Programs) -> None:
    """Stop the server on ``data`` and wait until it has; its connections are closed."""
    programs.run("pg_ctl", "stop", "-D", str(data), "-m", "fast", "-w", "-t", "60", capture=False)
    if postmaster(data) is not None:
        raise WarehouseError(f"The embedded Postgres on {data} did not stop within a minute.")


def postmaster(data: Path) -> int | None:
    """Return the process id of the server that runs on ``data``, if one does."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline")
        if Path("/proc/self/cmdline").exists():
            running = command.read_bytes()  # empty for a zombie, somebody else's if the id was used again
        else:
            listed = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
            running = listed.stdout
    except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        return None
    return pid if b"postgres" in running and os.fsencode(data) in running else None


def _mend_pid_file(data: Path) -> None:
    """Mend the pid file of a killed server when some other process, or an unreaped zombie, has its id now.

    Postgres trusts that id and would refuse to start; in containers this is usual. The rest of the file stays: by it
    Postgres makes sure that no child of the killed server is left over.
    """
    file = data / "postmaster.pid"
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid, _, rest = file.read_text().partition("\n")
        with suppress(PermissionError):
            os.kill(int(pid), 0)  # the id is in use, and the caller knows that it is not by this server
        with file.open("r+") as handle:  # in place: owner and mode stay
            handle.write(f"{NO_PROCESS}\n{rest}")
            handle.truncate()


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port nobody listens on."""
    for port in random.sample(PORTS, k=200):
        if is_free(port):
            return port
    raise WarehouseError("No free port was found for the embedded Postgres.")


def last_line(text: str) -> str:
    """Return the last line a program said, as the end of a sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removesuffix(".") + "." if lines else "it said nothing."
