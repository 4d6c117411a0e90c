"""Programs: started, found again, stopped with all they started, and nobody else's touched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from qbo_pipeline.cli.processes import free_port, started_for, stop
from qbo_pipeline.cli.running import running, stop_running
from qbo_pipeline.cli.supervisor import PortTakenError, Program, Supervisor
from qbo_pipeline.cli.terminal import Progress
from qbo_pipeline.errors import BusyError, PipelineError

SERVE = (
    "import http.server as h, sys;"
    "h.HTTPServer(('127.0.0.1', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"
)
#: Starts a grandchild in a session of its own, and then ignores being asked to end.
STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True); time.sleep(600)"
)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / ".qbo")
    yield made
    stop(lambda: started_for(tmp_path / ".qbo"))


def test_a_program_is_ready_when_it_answers_and_gone_when_it_is_stopped(
    supervisor: Supervisor, free: Callable[[], int]
) -> None:
    port = free()
    program = Program("web", ["-c", SERVE, str(port)], port)
    supervisor.start(program)
    supervisor.wait_until_ready(program)
    supervisor.stop_all()
    assert program.process is not None
    assert program.process.poll() is not None


def test_somebody_else_who_answers_is_not_taken_for_our_program(
    supervisor: Supervisor, free: Callable[[], int]
) -> None:
    """Between a look for a free port and its use, another demo may take it, and answer just as well."""
    port = free()
    with subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stderr=subprocess.DEVNULL) as other:
        while not _listens(other.pid):
            time.sleep(0.05)
        program = Program("web", ["-c", SERVE, str(port)], port)
        supervisor.start(program)
        with pytest.raises(PortTakenError, match=f"Port {port} was taken"):
            supervisor.wait_until_ready(program)
        supervisor.stop_all()
        assert other.poll() is None, "it was not ours to stop"
        other.kill()


def _listens(pid: int) -> bool:
    return bool(psutil.Process(pid).net_connections("tcp"))


def test_a_program_that_does_not_start_names_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    program = Program("web", ["-c", "raise SystemExit('why')"], free_port(20_000))
    supervisor.start(program)
    with pytest.raises(PipelineError) as failed:
        supervisor.wait_until_ready(program)
    log = tmp_path / ".qbo" / "logs" / "web.log"
    assert str(log) in str(failed.value)
    assert log.read_text() == "why\n"


def test_grandchildren_are_stopped_although_their_parents_were_killed(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qbo_pipeline.cli.processes._ASKED_SECONDS", 0.5)
    program = Program("dagster", ["-c", STUBBORN])
    supervisor.start(program)
    while len(family := started_for(tmp_path / ".qbo", "dagster")) < 2:
        time.sleep(0.05)
    assert program.process is not None
    program.process.kill()
    program.process.wait()
    assert len(started_for(tmp_path / ".qbo")) == 1
    assert stop_running(tmp_path / ".qbo")
    assert started_for(tmp_path / ".qbo") == []
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_programs_of_another_folder_are_left_alone(tmp_path: Path) -> None:
    ours, theirs = Supervisor(tmp_path / "a"), Supervisor(tmp_path / "ab")
    for each in (ours, theirs):
        each.start(Program("web", ["-c", "import time; time.sleep(600)"]))
    assert stop_running(tmp_path / "a")
    assert len(started_for(tmp_path / "ab")) == 1
    theirs.stop_all()
    ours.stop_all()


def test_a_program_is_stopped_although_its_start_was_interrupted(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come when the program runs and the supervisor does not know its process yet."""
    start = subprocess.Popen
    born: list[subprocess.Popen[bytes]] = []

    def interrupted(*arguments: Any, **options: Any) -> None:
        born.append(start(*arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        supervisor.start(Program("web", ["-c", "import time; time.sleep(600)"]))
    assert len(started_for(tmp_path / ".qbo")) == 1
    supervisor.stop_all()
    assert started_for(tmp_path / ".qbo") == []
    assert born[0].wait() != 0


def test_a_folder_has_one_supervisor_at_a_time(tmp_path: Path) -> None:
    quiet = Progress(quiet=True)
    with running(tmp_path, quiet), pytest.raises(BusyError, match="already running"), running(tmp_path, quiet):
        pass
    with running(tmp_path, quiet):
        pass
    assert not (tmp_path / "supervisor.json").exists()


def test_a_port_that_is_taken_is_followed_by_the_next(taken: int) -> None:
    assert taken < free_port(taken) <= taken + 20
