"""Starts programs, waits until they answer, starts them again when they die, and stops them: what PM2 did before."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import click
import requests

from qbo_pipeline.cli.processes import listens, mark, started_for, stop
from qbo_pipeline.errors import BusyError, PipelineError

_READY_SECONDS = 180
_MOST_LOG_BYTES = 10_000_000
#: A program that ran this long before it died is started again without a pause.
_STABLE_SECONDS = 600


class PortTakenError(BusyError):
    """Another program listens where ours was meant to."""


@dataclass
class Program:
    """A program to keep running. It is ready when it listens on ``port`` of 127.0.0.1 and ``path`` answers there."""

    name: str
    arguments: Sequence[str]
    port: int = 0
    path: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Called when it was started again and answers.
    restarted: Callable[[], None] | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Supervisor:
    """The programs one ``qbo demo`` or ``qbo up`` keeps running."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._logs = state_dir / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._programs: list[Program] = []
        #: True once everything runs and only Ctrl-C is waited for.
        self.watching = False

    def start(self, program: Program) -> None:
        """Start a program in a session of its own, so that Ctrl-C reaches only us and we stop it in order."""
        with self._log(program) as output:
            self._start(program, output, output)

    def run(self, program: Program, on_line: Callable[[str], None]) -> int:
        """Run a program to its end, tell ``on_line`` every line it says, and return its exit code."""
        with self._log(program) as output:
            process = self._start(program, subprocess.PIPE, output)
        assert process.stdout is not None  # noqa: S101 - narrows for mypy
        with process.stdout as lines:
            for line in lines:
                on_line(line.decode(errors="replace"))
        code = process.wait()
        self._programs.remove(program)
        return code

    def _start(self, program: Program, stdout: IO[bytes] | int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        program.process = subprocess.Popen(
            [sys.executable, *program.arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **program.environment, **mark(self._state_dir, program.name)},
            start_new_session=True,
        )
        program.started_at = time.monotonic()
        if program not in self._programs:
            self._programs.append(program)
        return program.process

    def log_of(self, program: Program) -> Path:
        """Return the file that holds what a program said."""
        return self._logs / f"{program.name}.log"

    def _log(self, program: Program) -> IO[bytes]:
        log = self.log_of(program)
        if log.exists() and log.stat().st_size > _MOST_LOG_BYTES:
            log.replace(log.with_suffix(".log.old"))
        return log.open("ab")

    def wait_until_ready(self, program: Program) -> None:
        """Return when the program answers.

        Raises PortTakenError when somebody else listens there, PipelineError, naming its log, when it does not start.
        """
        give_up_at = time.monotonic() + _READY_SECONDS
        while time.monotonic() < give_up_at:
            if program.process is None or program.process.poll() is not None:
                break
            with suppress(requests.RequestException):
                answer = requests.get(program.url + program.path, timeout=5)
                if answer.status_code < 500 and listens(started_for(self._state_dir, program.name), program.port):
                    return
            time.sleep(0.1)
        with suppress(requests.RequestException):
            requests.get(program.url, timeout=1)
            if not listens(started_for(self._state_dir, program.name), program.port):
                raise PortTakenError(f"Port {program.port} was taken by another program just now; try again.")
        raise PipelineError(f"{program.name} did not start; the reason is in {self.log_of(program)}.")

    def watch(self) -> None:
        """Start again whatever dies, for ever; each time after a longer pause."""
        self.watching = True
        while True:
            time.sleep(1)
            for program in self._programs:
                if program.process is not None and program.process.poll() is not None:
                    self._start_again(program)

    def _start_again(self, program: Program) -> None:
        code = program.process.returncode if program.process else None
        click.echo(f"{program.name} ended (exit code {code}); starting it again.", err=True)
        if time.monotonic() - program.started_at > _STABLE_SECONDS:
            program.restarts = 0
        time.sleep(min(2**program.restarts - 1, 60))
        program.restarts += 1
        self.stop(program)  # what it had started may live on, and hold its port
        self.start(program)
        if program.restarted is not None:
            try:
                self.wait_until_ready(program)
                program.restarted()
            except PipelineError as error:
                click.echo(f"{program.name}: {error}", err=True)

    def stop(self, program: Program) -> None:
        """Stop a program and all it started, whoever their parents are by now."""
        stop(lambda: started_for(self._state_dir, program.name))
        if program.process is not None:
            with suppress(subprocess.TimeoutExpired):
                program.process.wait(timeout=5)

    def forget(self, program: Program) -> None:
        """Stop a program and have nothing more to do with it."""
        self.stop(program)
        self._programs.remove(program)

    def stop_all(self) -> None:
        """Stop every program, the last one first, and one we were interrupted in starting."""
        for program in reversed(self._programs):
            self.stop(program)
        self._programs.clear()
        stop(lambda: started_for(self._state_dir))
