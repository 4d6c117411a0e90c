"""Being the one supervisor of a state folder: taken, held, given back, and ended from elsewhere by ``qbo down``."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import click
import filelock
import psutil

from qbo_pipeline.cli.processes import started_for, stop
from qbo_pipeline.cli.supervisor import Supervisor
from qbo_pipeline.cli.terminal import Progress
from qbo_pipeline.errors import BusyError, PipelineError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DOWN_SECONDS = 60


@contextmanager
def running(state_dir: Path, progress: Progress) -> Iterator[Supervisor]:
    """Hold the one supervisor of a state folder; on the way out stop all it started.

    What a killed supervisor left behind is stopped first. Ctrl-C, SIGTERM and a closed terminal end the block: while it
    was watching that is the ordinary way out, before that the command has not done what was asked (exit code 130).
    Raises BusyError when another supervisor is at work.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(state_dir / "supervisor.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BusyError(
            f"'qbo up' or 'qbo demo' is already running in {state_dir.parent}: stop it with Ctrl-C there, or with "
            "'qbo down'."
        ) from None
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    supervisor = Supervisor(state_dir)
    stopped = False
    try:
        _note(state_dir)
        if started_for(state_dir):
            with progress.step("Stopping leftovers"):
                stop(lambda: started_for(state_dir))
        yield supervisor
    except KeyboardInterrupt:
        stopped = True
        click.echo("\nStopping …", err=True)
    finally:
        for number in _SIGNALS:  # a second Ctrl-C must not interrupt the stopping half-way
            signal.signal(number, signal.SIG_IGN)
        try:
            supervisor.stop_all()
            (state_dir / "supervisor.json").unlink(missing_ok=True)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            lock.release()
    if stopped and not supervisor.watching:
        raise click.exceptions.Exit(130)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _note(state_dir: Path) -> None:
    """Write down who we are. The lock says whether we still run; this says whom to ask to stop."""
    noted = {"pid": os.getpid(), "started": psutil.Process().create_time()}
    (state_dir / "supervisor.json").write_text(json.dumps(noted) + "\n")


def stop_running(state_dir: Path) -> bool:
    """Stop the supervisor of a state folder, if one runs, and all that it or a killed one started."""
    anything = False
    with suppress(OSError, ValueError, KeyError, psutil.NoSuchProcess):
        noted = json.loads((state_dir / "supervisor.json").read_text())
        supervisor = psutil.Process(noted["pid"])
        if abs(supervisor.create_time() - noted["started"]) < 1:
            supervisor.terminate()
            anything = True
            _wait_for(state_dir, supervisor.pid)
    return stop(lambda: started_for(state_dir)) or anything


def _wait_for(state_dir: Path, pid: int) -> None:
    give_up_at = time.monotonic() + _DOWN_SECONDS
    while time.monotonic() < give_up_at:
        with suppress(filelock.Timeout), filelock.FileLock(state_dir / "supervisor.lock", timeout=0):
            return
        time.sleep(0.1)
    raise PipelineError(f"Process {pid}, which runs 'qbo up' or 'qbo demo', does not end; stop it by hand.")
