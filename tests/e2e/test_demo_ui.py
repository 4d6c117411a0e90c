"""``qbo demo`` with its UI: it comes up, it runs what it says, and Ctrl-C ends all of it and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import psutil
import pytest
import requests
import sqlalchemy as sa

from qbo_pipeline.cli.processes import started_for
from tests.e2e.conftest import Shell

pytestmark = pytest.mark.slow

_STATE = """{
  assetNodes { assetKey { path } }
  repositoriesOrError { ... on RepositoryConnection { nodes {
    schedules { name scheduleState { status } }
    sensors { name sensorState { status } }
  } } }
}"""


def test_the_whole_demo_comes_up_and_ctrl_c_ends_it(shell: Shell) -> None:
    with shell.started("demo", "--json", "--invoices", "20", stdout=subprocess.PIPE) as demo:
        document = _first_document(demo)
        services = document["services"]
        assert requests.get(f"{services['dagster']}/server_info", timeout=30).json()["dagster_webserver_version"]
        assert requests.get(f"{services['web']}/healthz", timeout=30).json() == {"status": "ok"}
        assert document["realm_id"] in requests.get(services["web"], timeout=30).text
        assert requests.get(f"{services['quickbooks']}/_sandbox/health", timeout=30).ok

        state = requests.post(f"{services['dagster']}/graphql", json={"query": _STATE}, timeout=60).json()["data"]
        keys = {tuple(node["assetKey"]["path"]) for node in state["assetNodes"]}
        assert {("quickbooks", table) for table in document["tables"]} <= keys
        (repository,) = state["repositoriesOrError"]["nodes"]
        assert {each["name"]: each["scheduleState"]["status"] for each in repository["schedules"]} == {
            "hourly": "RUNNING",
            "daily": "RUNNING",
        }
        assert {each["name"]: each["sensorState"]["status"] for each in repository["sensors"]} == {
            "companies": "RUNNING",
            "webhook_inbox": "RUNNING",
            "token_freshness": "RUNNING",
            "alert": "RUNNING",
        }
        _an_edit_arrives_by_itself(shell, services["quickbooks"], document["realm_id"])
        _killed_programs_come_back(shell, services["web"])
        synced = shell.json("sync", "--json")
        assert synced["companies"][0]["ok"], "other commands find the same QuickBooks and the same database"

        started = [psutil.Process(demo.pid), *shell.programs()]
        assert len(started) > 4
        os.kill(demo.pid, signal.SIGINT)
        assert demo.wait() == 0, "Ctrl-C is how a demo ends"
    assert [process for process in started if _lives(process)] == []
    assert shell.programs() == []
    assert shell.database_runs(), "the database goes on until qbo down"


def test_qbo_down_ends_a_demo_that_runs_elsewhere(shell: Shell) -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    with shell.started("demo", "--once", "--invoices", "5", stderr=subprocess.PIPE) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "QuickBooks" in line:
                break
        stopped = shell.json("down", "--json")["stopped"]
        demo.stderr.read()
        assert demo.wait() == 130
    assert stopped == {"programs": True, "database": True}
    assert shell.programs() == []
    assert not shell.database_runs()
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def _first_document(demo: subprocess.Popen[str]) -> Any:
    assert demo.stdout is not None
    text = ""
    for line in demo.stdout:
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(f"the demo ended with {demo.wait()} and said {text!r}")


def _an_edit_arrives_by_itself(shell: Shell, quickbooks: str, realm: str) -> None:
    """Told by a webhook, taken by the web app, seen by the daemon, read by a run."""
    operation = {"op": "create", "entity": "Customer", "record": {"DisplayName": "Told by a webhook"}}
    requests.post(f"{quickbooks}/_sandbox/books/{realm}", json=[operation], timeout=30).raise_for_status()
    engine = sa.create_engine(shell.run("db", "url").stdout.strip())
    give_up_at = time.monotonic() + 180
    while time.monotonic() < give_up_at:
        with engine.connect() as connection:
            statement = "SELECT count(*) FROM quickbooks.customers WHERE display_name = 'Told by a webhook'"
            if connection.execute(sa.text(statement)).scalar():
                break
        time.sleep(0.5)
    else:
        raise AssertionError("it did not arrive")
    engine.dispose()


def _killed_programs_come_back(shell: Shell, web: str) -> None:
    (before,) = started_for(shell.state_dir, "web")
    before.kill()
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            if before.pid not in {p.pid for p in started_for(shell.state_dir, "web")}:
                requests.get(f"{web}/healthz", timeout=5).raise_for_status()
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise AssertionError("a program that was killed is not started again")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
