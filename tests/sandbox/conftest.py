"""A sandbox in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.sandbox.hand import ROOT, Sandbox


@pytest.fixture(scope="session")
def samples() -> Path:
    """Recorded payloads, which are not part of the project."""
    folder = Path(os.environ.get("QBO_SAMPLES") or ROOT.parent / "shared" / "qbo-samples")
    if not folder.is_dir():
        pytest.skip(f"no recorded payloads at {folder}; set QBO_SAMPLES to their folder")
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "qbo_pipeline.sandbox", "--port", "0", "--no-throttle"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()
        assert process.wait(timeout=20) == 0, "the sandbox must leave cleanly"


@pytest.fixture
def sandbox(server: str) -> Iterator[Sandbox]:
    """A sandbox as good as new."""
    with requests.Session() as session:
        fresh = Sandbox(server, session)
        fresh.control("POST", "/reset")
        yield fresh
