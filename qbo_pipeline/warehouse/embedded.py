"""The embedded Postgres: a real server for people who have none, started on demand and found again.

``EmbeddedPostgres(Path(".qbo")).ensure()`` makes the server if there is none, starts it if it is down, and returns its
URL. It is a daemon: it outlives the program that started it, until ``stop()`` or the end of the machine; after a
``kill -9`` of anything, the next ``ensure()`` recovers it. However many processes call at once, one server results.

    .qbo/postgres.json   port and data folder         .qbo/pgpass          the password, in psql's own format, 0600
    .qbo/postgres.lock   one at a time                .qbo/data, .qbo/postgres.log

It listens on 127.0.0.1 only and asks for the password. Run as root, the server belongs to an unprivileged account and
its data lies below ``/var/lib/qbo-pipeline/`` (see ``binaries``). The first thing settled in a state folder is settled
for good: password, port and data folder are written down before they are used.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import psycopg2

from qbo_pipeline.errors import WarehouseError
from qbo_pipeline.warehouse.binaries import (
    Programs,
    bundled_folder,
    make_folder,
    owner_of,
    programs_for,
    unprivileged_account,
)
from qbo_pipeline.warehouse.postmaster import (
    SETTINGS,
    check_version,
    free_port,
    initialise,
    is_free,
    last_line,
    postmaster,
    start,
    stop,
)
from qbo_pipeline.warehouse.private_files import write_private

USER = "qbo"
# The last one is made last: a server that has it has them all.
DATABASES = ("dagster", "quickbooks")
SERVICE_HOME = Path("/var/lib/qbo-pipeline")


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What there is, and whether it runs."""

    exists: bool
    running: bool
    port: int | None
    data: Path | None
    log: Path | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one server lives and which port it has; kept in ``postgres.json``."""

    data: Path
    port: int

    @property
    def home(self) -> Path:
        return self.data.parent

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"


class EmbeddedPostgres:
    """One embedded server, known by its state folder."""

    def __init__(
        self, state_dir: Path, *, service_home: Path = SERVICE_HOME, settings: Mapping[str, str] | None = None
    ) -> None:
        """``service_home`` is used by root only; ``settings`` are added to Postgres' own when the server starts."""
        self.state_dir = state_dir.absolute()
        self.service_home = service_home
        self._settings = {**SETTINGS, **(settings or {})}

    def ensure(self) -> str:
        """Return the URL of the database ``quickbooks`` on a server that answers; make and start it when need be."""
        try:
            place = self._read_place()
            if place is None or not self._answers(place):
                with self._locked():
                    self._bring_up()
        except OSError as error:
            raise WarehouseError(
                f"The embedded Postgres in {self.state_dir} cannot be used: {error.strerror}: {error.filename}."
            ) from error
        return self.url()

    def url(self, database: str = "quickbooks") -> str:
        """Return the URL of ``database``, password included; the server need not run."""
        place = self._read_place()
        if place is None:
            raise WarehouseError(f"There is no embedded Postgres in {self.state_dir} yet: `qbo up` makes one.")
        return f"postgresql://{USER}:{self._password()}@127.0.0.1:{place.port}/{database}"

    def status(self) -> EmbeddedStatus:
        """Tell what there is; changes nothing."""
        place = self._read_place()
        if place is None:
            return EmbeddedStatus(exists=False, running=False, port=None, data=None, log=None)
        running = postmaster(place.data) is not None
        return EmbeddedStatus(exists=True, running=running, port=place.port, data=place.data, log=place.log)

    def stop(self) -> bool:
        """Stop the server and wait until it has; open connections are closed. Returns whether it was running."""
        if self._read_place() is None:
            return False
        with self._locked():
            place = self._read_place()
            if place is None or postmaster(place.data) is None:
                return False
            stop(place.data, self._programs(place))
            return True

    def psql_path(self) -> Path | None:
        """Return the psql that came with the server, if it did."""
        psql = bundled_folder() / "psql"
        return psql if psql.is_file() else None

    def psql_command(self, database: str = "quickbooks") -> str:
        """Return a command line for a person to paste; it names the password's file, never the password."""
        place = self._read_place()
        if place is None:
            raise WarehouseError(f"There is no embedded Postgres in {self.state_dir} yet: `qbo up` makes one.")
        words = [str(self.psql_path() or "psql"), "-h", "127.0.0.1", "-p", str(place.port), "-U", USER, database]
        return f"PGPASSFILE={shlex.quote(str(self._pgpass))} {shlex.join(words)}"

    # --- bringing it up; the lock is held throughout ---

    def _bring_up(self) -> None:
        place = self._read_place()
        if place is None or not place.home.is_dir():  # a container keeps .qbo, perhaps, and loses /var/lib
            place = self._settle_place()
        if not self._pgpass.exists():
            if place.data.exists():
                raise WarehouseError(
                    f"The password of the embedded Postgres is gone: put {self._pgpass} back, or move {place.data} "
                    "away and start afresh (connect each company again; a full sync brings back its books)."
                )
            write_private(self._pgpass, f"127.0.0.1:*:*:{USER}:{secrets.token_hex(24)}\n")
        programs = self._programs(place)
        check_version(place.data)
        durable = self._settings.get("fsync") != "off"
        initialise(place.data, programs, user=USER, password=self._password(), sync=durable)
        self._make_databases(self._start(place, programs))

    def _settle_place(self) -> _Place:
        """Choose a data folder and a port, and write them down."""
        if os.geteuid() != 0:
            place = _Place(self.state_dir / "data", free_port())
        elif (mine := self.state_dir / "data").is_dir() and mine.stat().st_uid != 0:
            place = _Place(mine, free_port())
        else:
            key = hashlib.sha256(os.fsencode(self.state_dir.resolve())).hexdigest()[:16]
            home = self.service_home / key
            if home.is_dir():
                self._set_aside(home)  # the state folder that knew its password is gone
            make_folder(self.service_home, 0o755)
            make_folder(home, 0o700, unprivileged_account())
            place = _Place(home / "data", free_port())
        self._write_place(place)
        return place

    def _set_aside(self, home: Path) -> None:
        data = home / "data"
        if postmaster(data) is not None:
            stop(data, programs_for(owner_of(data), self.service_home))
        home.rename(home.with_name(f"{home.name}.old-{secrets.token_hex(4)}"))

    def _start(self, place: _Place, programs: Programs) -> _Place:
        """Start the server unless it runs; move to another port when another program has taken ours."""
        while postmaster(place.data) is None:
            if not is_free(place.port):
                place = _Place(place.data, free_port())
                self._write_place(place)
            if start(place.data, programs, port=place.port, log=place.log, settings=self._settings):
                break
        return place

    def _make_databases(self, place: _Place) -> None:
        give_up_at = time.monotonic() + 120
        while True:
            try:
                with self._connection(place, "postgres") as connection, connection.cursor() as cursor:
                    for database in DATABASES:
                        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
                        if cursor.fetchone() is None:
                            cursor.execute(f'CREATE DATABASE "{database}"')
            except psycopg2.OperationalError as error:
                # Started by a process that was killed while it waited: the server is there but not ready.
                soon = "starting up" in str(error) or "Connection refused" in str(error)
                if soon and postmaster(place.data) is not None and time.monotonic() < give_up_at:
                    time.sleep(0.1)
                    continue
                raise WarehouseError(
                    f"The embedded Postgres runs on port {place.port} but refuses us: {last_line(str(error))} "
                    f"(data in {place.data}, password in {self._pgpass})"
                ) from error
            else:
                return

    # --- what is written down ---

    @property
    def _pgpass(self) -> Path:
        return self.state_dir / "pgpass"

    def _password(self) -> str:
        return self._pgpass.read_text().strip().rpartition(":")[2]

    def _read_place(self) -> _Place | None:
        try:
            kept = json.loads((self.state_dir / "postgres.json").read_text())
            return _Place(self.state_dir / kept["data"], int(kept["port"]))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise self._not_ours() from error

    def _write_place(self, place: _Place) -> None:
        inside = place.data.is_relative_to(self.state_dir)  # so that the folder can be moved
        data = place.data.relative_to(self.state_dir) if inside else place.data
        kept = json.dumps({"data": str(data), "port": place.port})
        write_private(self.state_dir / "postgres.json", kept)

    def _not_ours(self) -> WarehouseError:
        return WarehouseError(
            f"The state folder {self.state_dir} belongs to another account: run qbo as that account, or use a folder "
            "of your own."
        )

    # --- small means ---

    def _programs(self, place: _Place) -> Programs:
        if os.geteuid() != 0:
            return programs_for(None, self.service_home)
        owner = owner_of(place.data if place.data.exists() else place.home)
        return programs_for(owner, self.service_home)

    def _answers(self, place: _Place) -> bool:
        if postmaster(place.data) is None:  # whoever answers on the port is not ours, or takes its time to say nothing
            return False
        try:
            with self._connection(place, DATABASES[-1]) as connection, connection.cursor() as cursor:
                cursor.execute("SHOW data_directory")
                row = cursor.fetchone()
                return row is not None and Path(row[0]).resolve() == place.data.resolve()
        except (psycopg2.OperationalError, FileNotFoundError):
            return False

    @contextmanager
    def _connection(self, place: _Place, database: str) -> Iterator[psycopg2.extensions.connection]:
        # Everything is said here, so that a PGHOSTADDR or PGSSLMODE in our environment has no say; and whatever else
        # may listen on our port is never told the password (SCRAM proves it without sending it).
        connection = psycopg2.connect(
            host="127.0.0.1",
            hostaddr="127.0.0.1",
            port=place.port,
            user=USER,
            password=self._password(),
            dbname=database,
            connect_timeout=10,
            sslmode="disable",
            gssencmode="disable",
            options="-c timezone=UTC",
            require_auth="scram-sha-256",
        )
        try:
            connection.autocommit = True
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_folder(self.state_dir, 0o700)
        try:
            with filelock.FileLock(self.state_dir / "postgres.lock", timeout=300):
                yield
        except filelock.Timeout as error:
            raise WarehouseError(
                f"Another qbo process has been starting the embedded Postgres in {self.state_dir} for five minutes: "
                "stop that one and try again."
            ) from error
        except PermissionError as error:
            raise self._not_ours() from error
