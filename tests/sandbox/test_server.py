"""Starting, stopping, and keeping to itself."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from qbo_pipeline.sandbox.server import NotLoopbackError, PortInUseError, serve
from tests.sandbox.hand import ROOT

PACKAGE = ROOT / "qbo_pipeline" / "sandbox"


def test_a_port_in_use_is_one_clear_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"Port {port} on 127.0.0.1 is taken"):
            serve(port=port)
        command = [sys.executable, "-m", "qbo_pipeline.sandbox", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"Error: Port {port} on 127.0.0.1 is taken; choose another with --port.\n"


@pytest.mark.parametrize("host", ["10.0.0.1", "example.com", "192.168.1.5"])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(NotLoopbackError):
        serve(host)


def test_books_from_a_folder_are_a_second_company_and_an_interrupt_ends_it_cleanly(tmp_path: Path) -> None:
    (tmp_path / "term.json").write_text('{"Term": {"Id": "1", "Name": "Net 3"}}')
    command = [sys.executable, "-m", "qbo_pipeline.sandbox", "--port", "0", "--invoices", "0", "--books", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith("QuickBooks sandbox ready at http://127.0.0.1:")
        health = requests.get(f"{line.split()[-1]}/_sandbox/health", timeout=30).json()
        assert health["companies"] == ["9130000000000001", "9130000000000002"]
        assert health["loaded"]["records"] == {"Term": 1}
        process.send_signal(2)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_it_shares_no_code_with_what_it_tests(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "every module has a front door"
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for module in modules:
        assert not module.startswith("qbo_pipeline") or module.startswith("qbo_pipeline.sandbox")
        assert module.split(".")[0] not in {"dlt", "dagster", "sqlalchemy"}
