"""Starts programs, waits until they answer, starts them again when they die, and stops them: what PM2 did before.

Every program is noted in the state folder (process id and start time), so that what a killed supervisor left behind is
found and stopped by the next one, and a process id that now belongs to somebody else is left alone.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil
import requests

from qbo_pipeline.errors import PipelineError

_READY_SECONDS = 180
_STOP_SECONDS = 20


@dataclass
class Program:
    """A program to keep running: it is ready when ``url`` answers."""

    name: str
    arguments: Sequence[str]
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0


class Supervisor:
    """The programs one ``qbo demo`` or ``qbo up`` keeps running."""

    def __init__(self, state_dir: Path) -> None:
        self._noted = state_dir / "processes.json"
        self._logs = state_dir / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._programs: list[Program] = []

    def start(self, program: Program) -> None:
        """Start a program in a session of its own, so that Ctrl-C reaches only us and we stop it in order."""
        with (self._logs / f"{program.name}.log").open("ab") as log:
            program.process = subprocess.Popen(
                [sys.executable, *program.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **program.environment},
                start_new_session=True,
            )
        if program not in self._programs:
            self._programs.append(program)
        self._note()

    def wait_until_ready(self, program: Program) -> None:
        """Return when the program answers; raise PipelineError, naming its log, when it does not."""
        give_up_at = time.monotonic() + _READY_SECONDS
        while time.monotonic() < give_up_at:
            if program.process is not None and program.process.poll() is not None:
                break
            with suppress(requests.RequestException):
                if requests.get(program.url, timeout=5).status_code < 500:
                    return
            time.sleep(0.2)
        raise PipelineError(f"{program.name} did not start; the reason is in {self._logs / program.name}.log.")

    def watch(self) -> None:
        """Start again whatever dies, for ever; each time after a longer pause."""
        while True:
            time.sleep(1)
            for program in self._programs:
                if program.process is not None and program.process.poll() is not None:
                    program.restarts += 1
                    click.echo(f"{program.name} ended (exit code {program.process.returncode}); starting it again.")
                    time.sleep(min(2**program.restarts, 60))
                    self.start(program)

    def stop(self) -> None:
        """Stop every program and what it started, the last one first."""
        stop_processes([program.process.pid for program in reversed(self._programs) if program.process])
        self._programs.clear()
        self._noted.unlink(missing_ok=True)

    def stop_leftovers(self) -> bool:
        """Stop what a supervisor that was killed left running; say whether there was anything."""
        left = leftovers(self._noted.parent)
        stop_processes(left)
        self._noted.unlink(missing_ok=True)
        return bool(left)

    def _note(self) -> None:
        noted = []
        for program in self._programs:
            with suppress(psutil.NoSuchProcess):
                if program.process is not None:
                    process = psutil.Process(program.process.pid)
                    noted.append({"name": program.name, "pid": process.pid, "started": process.create_time()})
        self._noted.write_text(json.dumps(noted, indent=2) + "\n")


def leftovers(state_dir: Path) -> list[int]:
    """Return the process ids noted in the state folder that still belong to the processes noted."""
    try:
        noted = json.loads((state_dir / "processes.json").read_text())
    except (OSError, ValueError):
        return []
    found = []
    for each in noted:
        with suppress(psutil.NoSuchProcess):
            if abs(psutil.Process(each["pid"]).create_time() - each["started"]) < 1:
                found.append(int(each["pid"]))
    return found


def stop_processes(pids: Sequence[int]) -> None:
    """Ask processes and all they started to end; make them, if they do not."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            family = [parent, *parent.children(recursive=True)]
            with suppress(psutil.NoSuchProcess):
                parent.terminate()
            _, alive = psutil.wait_procs([parent], timeout=_STOP_SECONDS)
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
            _, alive = psutil.wait_procs(family, timeout=5)
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def free_port(wanted: int) -> int:
    """Return ``wanted`` if nothing listens there, else a free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise PipelineError("There is no free port on 127.0.0.1.")
