"""From an edit in QuickBooks to the row in Postgres, through a whole ``qbo demo``: ``python -m tests.soak.latency``.

Real processes: the local QuickBooks delivers its webhook, the web app stores it, Dagster's daemon sees it and launches
a run. Edits come at random moments, so that none of them knows when the sensor looks.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests
import sqlalchemy as sa

from tests.soak.installation import say

_REPOSITORY = Path(__file__).parents[2]
_QBO = [sys.executable, "-W", "ignore", "-c", "from qbo_pipeline.cli import main; main(prog_name='qbo')"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--patience", type=float, default=180, help="seconds an edit is waited for")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whoever ends us early must not leave a demo behind
    with tempfile.TemporaryDirectory(prefix="qbo-latency-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # as root, another account runs the server and has to get in
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("QBO_", "DAGSTER_"))}
        kept.pop("DATABASE_URL", None)
        environment = {**kept, "PYTHONPATH": str(_REPOSITORY), "QBO_STATE_DIR": str(home / ".qbo")}
        demo = subprocess.Popen(
            [*_QBO, "demo", "--json", "--invoices", "50"],
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            document = _first_document(demo)
            url = subprocess.run(
                [*_QBO, "db", "url"], cwd=home, env=environment, capture_output=True, text=True, check=True
            )
            _measure(document, url.stdout.strip(), asked.edits, asked.patience)
        finally:
            demo.send_signal(signal.SIGINT)
            try:
                demo.wait(120)
            finally:
                subprocess.run([*_QBO, "down"], cwd=home, env=environment, capture_output=True, check=False)


def _first_document(demo: subprocess.Popen[str]) -> dict[str, object]:
    lines: list[str] = []
    assert demo.stdout is not None
    for line in demo.stdout:
        lines.append(line)
        if line == "}\n":
            found: dict[str, object] = json.loads("".join(lines))
            return found
    raise SystemExit("the demo did not come up")


def _measure(document: dict[str, object], url: str, edits: int, patience: float) -> None:
    services, realm = document["services"], document["realm_id"]
    assert isinstance(services, dict)
    control = f"{services['quickbooks']}/_sandbox"
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    invoices = [
        each["Id"] for each in requests.get(f"{control}/books/{realm}", timeout=60).json()["entities"]["Invoice"]
    ]
    chance, took = random.Random(1), []
    requests.delete(f"{control}/calls", timeout=60)
    for number in range(edits):
        time.sleep(chance.uniform(2, 14))
        key, note = invoices[number % len(invoices)], f"edit {number} of {time.time()}"
        operation = {"op": "update", "entity": "Invoice", "id": key, "record": {"PrivateNote": note}}
        began = time.monotonic()
        requests.post(f"{control}/books/{realm}", json=[operation], timeout=60).raise_for_status()
        took.append(_seen(engine, key, note, began, patience))
        say(f"edit {number + 1}: {took[-1]:.1f} s")
    calls = [each for each in requests.get(f"{control}/calls", timeout=60).json()["calls"] if each["realm"] == realm]
    took.sort()
    most = took[int(len(took) * 0.9) - 1]
    say(
        f"{edits} edits: median {statistics.median(took):.1f} s, 9 of 10 within {most:.1f} s, "
        f"longest {took[-1]:.1f} s; {len(calls)} API calls"
    )
    engine.dispose()


def _seen(engine: sa.Engine, key: str, note: str, began: float, patience: float) -> float:
    while time.monotonic() - began < patience:
        with engine.connect() as connection:
            row = connection.execute(
                sa.text("SELECT private_note FROM quickbooks.invoices WHERE id = :id"), {"id": key}
            ).scalar()
        if row == note:
            return time.monotonic() - began
        time.sleep(0.1)
    raise SystemExit(f"invoice {key} did not arrive within {patience:g} seconds")


if __name__ == "__main__":
    main()
