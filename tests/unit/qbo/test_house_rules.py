"""This end knows HTTP and nothing else, and has one gate through which every request passes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qbo_pipeline

PACKAGE = Path(qbo_pipeline.__file__).parent / "qbo"
FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_this_end_imports_nothing_of_ours_but_errors_and_secrets(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qbo_pipeline"):
            ours = {"qbo_pipeline.errors", "qbo_pipeline.secret"}
            assert node.module in ours or str(node.module).startswith("qbo_pipeline.qbo")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            assert not {name.split(".")[0] for name in names} & {
                "os",
                "sqlalchemy",
                "psycopg2",
                "dlt",
                "dagster",
                "logging",
            }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_one_place_sends_requests(file: Path) -> None:
    """Guards the host check and the read-only gate: a second way out would have neither."""
    text = file.read_text()
    assert (".send(" in text) == (file.name == "transport.py")
    for way_out in ("requests.get(", "requests.post(", "session.get(", "session.post(", "session.request(", "urlopen("):
        assert way_out not in text
    assert ("exchange(" in text) == (file.name in {"transport.py", "client.py", "oauth.py"})


def test_the_package_itself_costs_nothing_to_import() -> None:
    code = "import sys, qbo_pipeline.qbo; print([m for m in ('requests', 'tenacity', 'msgspec') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
