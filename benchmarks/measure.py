"""What a program cost: CPU of its process tree and of Postgres, wall time, memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


class ProgramFailedError(Exception):
    """A measured program failed; says which, and what it said last."""


@dataclass(frozen=True, slots=True)
class Cost:
    """``cpu`` is user and system time of the process and all its descendants; ``rss_mb`` the largest one's peak."""

    cpu: float
    postgres_cpu: float
    wall: float
    rss_mb: float
    said: str = ""


def measured(
    command: Sequence[str], *, environment: Mapping[str, str], postmaster: int, log: Path, timeout: float = 3600
) -> Cost:
    """Run a program to its end and return what it cost. Raises ProgramFailedError when it fails.

    ``postmaster`` is the process of the Postgres it uses; nothing else may use that one meanwhile.
    """
    before = postgres_cpu(postmaster)
    started = time.monotonic()
    with log.open("wb") as file, (log.with_suffix(".err")).open("wb") as errors:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=file, stderr=errors)
        killer = _kill_after(process, timeout)
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = log.with_suffix(".err").read_text(errors="replace")[-2000:]
        raise ProgramFailedError(f"{' '.join(command)} ended with {process.returncode} and said:\n{last}")
    return Cost(
        cpu=usage.ru_utime + usage.ru_stime,
        postgres_cpu=postgres_cpu(postmaster) - before,
        wall=wall,
        rss_mb=usage.ru_maxrss / 1024,
        said=log.read_text(errors="replace"),
    )


def postgres_cpu(postmaster: int) -> float:
    """Return the CPU seconds a Postgres has used so far: its own, its backends' and those of backends that ended."""
    server = psutil.Process(postmaster)
    own = server.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in server.children():
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:  # its time is among the ended ones', in the next reading
            continue
        total += times.user + times.system
    return float(total)


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of several runs, each figure by itself."""

    def middle(name: str) -> float:
        return float(statistics.median(getattr(cost, name) for cost in costs))

    return Cost(middle("cpu"), middle("postgres_cpu"), middle("wall"), middle("rss_mb"), costs[-1].said)


def _kill_after(process: subprocess.Popen[bytes], seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer
