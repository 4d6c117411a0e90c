"""The program itself, as a person starts it: real processes, a state folder of its own, nothing shared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from qbo_pipeline.cli.processes import started_for

QBO = [sys.executable, "-W", "ignore", "-c", "from qbo_pipeline.cli import main; main(prog_name='qbo')"]


@dataclass
class Shell:
    """A folder in which ``qbo`` is typed."""

    folder: Path
    environment: dict[str, str]

    @property
    def state_dir(self) -> Path:
        return self.folder / ".qbo"

    @contextmanager
    def started(self, *words: str, **streams: int) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the block; by the end of it, the command has ended."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **streams}
        process: subprocess.Popen[str] = subprocess.Popen(
            [*QBO, *words],
            cwd=self.folder,
            env=self.environment,
            text=True,
            start_new_session=True,
            stdout=quiet["stdout"],
            stderr=quiet["stderr"],
        )
        try:
            yield process
        finally:
            process.kill()  # only a test that failed leaves it alive
            process.communicate()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*QBO, *words], cwd=self.folder, env=self.environment, text=True, capture_output=True, check=False
        )

    def json(self, *words: str) -> Any:
        """Run a command that works; return the one document it prints, and nothing else."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    def programs(self) -> list[psutil.Process]:
        """Return what runs on behalf of this folder, the database apart."""
        return started_for(self.state_dir)

    def database_runs(self) -> bool:
        """Tell whether the embedded Postgres of this folder runs."""
        from qbo_pipeline.warehouse.embedded import EmbeddedPostgres

        return EmbeddedPostgres(self.state_dir).status().running


def shell_in(folder: Path) -> Iterator[Shell]:
    """Yield a shell, and leave nothing of it running."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QBO_", "DAGSTER_"))}
    kept.pop("DATABASE_URL", None)
    repository = str(Path(__file__).parents[2])
    shell = Shell(folder, {**kept, "PYTHONPATH": repository, "QBO_STATE_DIR": str(folder / ".qbo")})
    try:
        yield shell
    finally:
        assert shell.run("down").returncode == 0
        assert shell.programs() == []
        assert not shell.database_runs()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    yield from shell_in(tmp_path)


@pytest.fixture(scope="module")
def lasting_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One folder for a whole module, whose tests build upon each other."""
    yield from shell_in(tmp_path_factory.mktemp("demo"))
