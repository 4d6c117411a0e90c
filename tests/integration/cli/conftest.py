"""The command line, called in this process: real Postgres, a real sandbox over HTTP, an environment of its own."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qbo_pipeline.cli import main
from tests.support.quickbooks import Sandbox

SECRETS = ("s3cret-password", "s3cret-client", "AB11-refresh")


@dataclass
class Terminal:
    """Types ``qbo …`` and reads what it says."""

    environment: dict[str, str]

    def type(self, *words: str, **changes: str) -> Result:
        """Run a command; ``changes`` are environment variables for this once."""
        result = CliRunner().invoke(main, words, env={**self.environment, **changes})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        for secret in SECRETS:
            assert secret not in result.output, "a secret on the terminal"
        return result

    def json(self, *words: str, **changes: str) -> Any:
        """Run a command that works and return its JSON document."""
        result = self.type(*words, **changes)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return json.loads(result.stdout)

    def refused(self, *words: str, **changes: str) -> str:
        """Run a command that must fail; return its one sentence."""
        result = self.type(*words, **changes)
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.output
        (line,) = [line for line in result.stderr.splitlines() if line]
        assert line.startswith("Error: ")
        assert line.endswith((".", "?")), line
        return line.removeprefix("Error: ")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with nothing in it, and none of our variables in the environment."""
    for name in list(os.environ):
        if name.startswith(("QBO_", "DAGSTER_")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def terminal(clean: Path, database_url: str, quickbooks: Sandbox, tmp_path: Path) -> Terminal:
    """A terminal whose commands find the test's database and the sandbox, and are the installation of ``books``."""
    state = str(tmp_path / "state")
    return Terminal({"DATABASE_URL": database_url, "QBO_LOCAL_URL": quickbooks.url, "QBO_STATE_DIR": state})


@pytest.fixture
def bare(clean: Path) -> Terminal:
    """A terminal with neither database nor QuickBooks: whoever needs one would start or miss it."""
    nowhere = "postgresql://qbo:s3cret-password@127.0.0.1:1/books"
    return Terminal({"DATABASE_URL": nowhere, "QBO_LOCAL_URL": "http://127.0.0.1:1"})


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> Callable[[], int]:
    """Ports nobody listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find
