"""``qbo demo --once`` in an empty folder, again, killed in the middle, and with a folder of real payloads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.catalog import ENTITIES
from qbo_pipeline.settings import Settings
from qbo_pipeline.sync.render import canonical, comparable
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from tests.e2e.conftest import Shell
from tests.support.quickbooks import Sandbox, running_sandbox

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first(lasting_shell: Shell) -> Any:
    """The first demo of the folder."""
    return lasting_shell.json("demo", "--once", "--json", "--invoices", "40")


def test_an_empty_folder_ends_with_loaded_books(lasting_shell: Shell, first: Any) -> None:
    assert first["tables"]["invoices"] == 40
    empty = {name for name, count in first["tables"].items() if count == 0}
    assert empty == {"journal_codes"}, "only French companies have those"
    assert first["services"] == {}
    assert first["files"] is None
    assert lasting_shell.programs() == [], "all it started has stopped"
    assert lasting_shell.database_runs(), "the database goes on, for whoever wants to look"


def test_the_psql_command_it_prints_answers_every_question_it_prints(lasting_shell: Shell, first: Any) -> None:
    for query in first["queries"]:
        command = f"{first['psql']} -v ON_ERROR_STOP=1 -At -c {json.dumps(query)}"
        done = subprocess.run(["bash", "-c", command], text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip(), f"no answer to {query}"


def test_the_same_demo_again_reuses_what_is_there(lasting_shell: Shell, first: Any) -> None:
    before = {name: (lasting_shell.state_dir / name).read_text() for name in ("postgres.json", "pgpass")}
    again = lasting_shell.json("demo", "--once", "--json", "--invoices", "40")
    assert again == first
    assert {name: (lasting_shell.state_dir / name).read_text() for name in before} == before
    assert len(lasting_shell.json("status", "--json")["companies"]) == 1


def test_what_is_there_stays_readable_without_quickbooks(lasting_shell: Shell, first: Any) -> None:
    shown = lasting_shell.run("show", "CompanyInfo", "1")
    assert json.loads(shown.stdout)["CompanyInfo"]["CompanyName"] == first["name"]
    refused = lasting_shell.run("sync")
    assert refused.returncode == 1
    assert "start one with 'qbo demo'" in refused.stderr


def test_killed_at_any_time_it_starts_again_without_cleaning(shell: Shell) -> None:
    """kill -9 while QuickBooks is read: first of the demo alone, then of everything there is, Postgres included."""
    _kill_while_syncing(shell, lambda demo: [demo])
    left = shell.programs()
    assert left, "the test killed too late"
    _kill_while_syncing(shell, lambda demo: [demo, *shell.programs(), *_database(shell)])
    assert not any(_lives(process) for process in left), "what was left behind is stopped by the next"
    document = shell.json("demo", "--once", "--json", "--invoices", "30")
    assert document["tables"]["invoices"] == 30
    runs = _runs(shell)
    assert "STARTED" not in runs, "a run whose process was killed would keep its company waiting for ever"
    assert runs[-1] == "SUCCESS"


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _runs(shell: Shell) -> list[str]:
    """Return the status of every run Dagster knows of, oldest first."""
    engine = sa.create_engine(EmbeddedPostgres(shell.state_dir).url("dagster"))
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT status FROM runs ORDER BY id")).scalars().all()
    engine.dispose()
    return list(found)


def _kill_while_syncing(shell: Shell, victims: Callable[[psutil.Process], list[psutil.Process]]) -> None:
    with shell.started("demo", "--once", "--invoices", "30", stderr=subprocess.PIPE) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "Customer" in line:
                break
        for process in victims(psutil.Process(demo.pid)):
            process.kill()
        demo.wait()
        assert demo.returncode == -signal.SIGKILL


def _database(shell: Shell) -> list[psutil.Process]:
    place = json.loads((shell.state_dir / "postgres.json").read_text())
    pid = (shell.state_dir / place["data"] / "postmaster.pid").read_text().split()[0]
    return [psutil.Process(int(pid))]


def test_a_second_demo_in_the_same_folder_is_refused(shell: Shell) -> None:
    with shell.started("demo", "--once", "--invoices", "5", stderr=subprocess.PIPE) as demo:
        assert demo.stderr is not None
        demo.stderr.readline()  # it has begun
        refused = shell.run("demo", "--once")
        assert refused.returncode == 1
        assert "is already running" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        os.kill(demo.pid, signal.SIGTERM)
        demo.stderr.read()
        assert demo.wait() == 130, "it was stopped before it had done what was asked"
    assert shell.programs() == []


def test_real_payloads_come_back_equal_to_their_source(shell: Shell, samples: Path) -> None:
    """Every record of every entity we sync, as the sandbox serves it, is in the warehouse and renders back."""
    document = shell.json("demo", "--once", "--json", "--books", str(samples))
    files = document["files"]
    assert files["found"] == files["loaded"] + sum(files["passed_over"].values()) + files["broken"]
    assert files["found"] == len(list(samples.rglob("*.json")))
    assert files["passed_over"]["report"] > 0
    assert files["passed_over"]["fault"] > 0
    assert files["broken"] == 0

    with running_sandbox("--invoices", "0", "--books", str(samples)) as sandbox:
        truth = _truth(sandbox)
    books = Books(Settings(state_dir=shell.state_dir))
    compared = 0
    used = {each["Code"] for each in truth["CompanyCurrency"].values()}
    rates = {key: rate for key, rate in truth["ExchangeRate"].items() if rate["SourceCurrencyCode"] in used}
    truth["ExchangeRate"] = rates  # rates of currencies the company does not use cannot be asked for one by one
    for entity in ENTITIES:
        assert document["tables"][entity.table.name] == len(truth.get(entity.json_key, {}))
        for record_id, record in truth.get(entity.json_key, {}).items():
            rendered = books.show(entity, record_id, None)
            assert comparable(entity, rendered) == comparable(entity, record), f"{entity.name} {record_id}"
            compared += 1
    books.engine.dispose()
    assert compared == sum(document["tables"][entity.table.name] for entity in ENTITIES)

    record_id, record = next(iter(truth["Invoice"].items()))
    shown = shell.run("show", "Invoice", record_id)
    assert canonical(json.loads(shown.stdout, parse_float=Decimal)["Invoice"]) == canonical(record)


def _truth(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    return sandbox.truth("9130000000000002")


def test_broken_files_are_warned_of_and_the_rest_is_loaded(shell: Shell, tmp_path: Path) -> None:
    deep = tmp_path / "books" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "invoice.json").write_text('{"Invoice": {"Id": "1", "TotalAmt": 3.30, "Line": []}}')
    # Made this month: every month of a company is marked, and one that does not say when it was made has ten years.
    made = {"MetaData": {"CreateTime": datetime.now(UTC).isoformat(timespec="seconds")}}
    (deep / "company.json").write_text(json.dumps({"CompanyInfo": {"Id": "1", "CompanyName": "New", **made}}))
    (deep / "broken.json").write_text('{"Invoice": {"Id": "2", ')
    (deep / "report.json").write_text('{"Header": {}, "Columns": {}, "Rows": {}}')
    done = shell.run("demo", "--once", "--books", str(tmp_path / "books"))
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
    assert "a/b/broken.json" in warning
    shown = json.loads(shell.run("show", "Invoice", "1").stdout, parse_float=str)
    assert shown["Invoice"]["TotalAmt"] == "3.30"
