"""Processes and ports of this machine: which are ours, how they are stopped, and who may listen where.

Whatever is started for a state folder carries a mark in its environment, and so does everything it starts in turn. So
what a killed supervisor left behind is found however its parents died, and nobody else's process is ever touched.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from qbo_pipeline.errors import BusyError, PipelineError

MARK = "QBO_STARTED_BY"
_ASKED_SECONDS, _TOLD_SECONDS, _KILLED_SECONDS = 10.0, 5.0, 10.0


def mark(state_dir: Path, name: str) -> dict[str, str]:
    """Return the environment variable that marks the program ``name`` of a state folder."""
    return {MARK: f"{state_dir.resolve()}#{name}"}


def started_for(state_dir: Path, name: str = "") -> list[psutil.Process]:
    """Return the living processes of a state folder, or of one of its programs.

    The embedded Postgres may have been started by one of them and still is nobody's child: it stays out of this.
    """
    wanted = mark(state_dir, name)[MARK]
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            marked = process.environ().get(MARK, "")
            ours = marked == wanted if name else marked.startswith(wanted)
            if ours and process.pid != os.getpid() and not process.name().startswith(("postgres", "pg_ctl")):
                found.append(process)
    return found


def stop(find: Callable[[], Sequence[psutil.Process]]) -> bool:
    """Stop what ``find`` finds until it finds nothing: ask those at the top, then all, then make them.

    Says whether there was anything. Raises PipelineError when something cannot be stopped.
    """
    anything = False
    for act, only_roots, seconds in (
        (psutil.Process.terminate, True, _ASKED_SECONDS),
        (psutil.Process.terminate, False, _TOLD_SECONDS),
        (psutil.Process.kill, False, _KILLED_SECONDS),
    ):
        found = find()
        if not found:
            return anything
        anything = True
        ids = {process.pid for process in found}
        for process in found:
            with suppress(psutil.NoSuchProcess):
                if not only_roots or process.ppid() not in ids:
                    act(process)
        give_up_at = time.monotonic() + seconds
        while find() and time.monotonic() < give_up_at:
            time.sleep(0.1)
    if left := find():
        raise PipelineError(f"Process {left[0].pid} does not end; stop it by hand (kill -9 {left[0].pid}).")
    return anything


def listens(processes: Sequence[psutil.Process], port: int) -> bool:
    """Tell whether one of ``processes`` is the one that listens on ``port``: somebody else may be faster."""
    for process in processes:
        with suppress(psutil.Error):
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr[1] == port:
                    return True
    return False


def free_port(wanted: int) -> int:
    """Return ``wanted`` if nothing listens there, else a free port, one of those that follow if possible."""
    for port in (*range(wanted, min(wanted + 20, 65536)), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise PipelineError("There is no free port on 127.0.0.1.")


def check_port(port: int, what: str, advice: str) -> None:
    """Raise BusyError unless ``port`` is free for ``what``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise BusyError(f"Port {port} {what} is reserved for the administrator: {advice}.") from None
        except OSError:
            raise BusyError(f"Port {port} {what} is taken: {advice}.") from None
