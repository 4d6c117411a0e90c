"""One company's chain of tokens, for tests that let refreshes die and look what becomes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.settings import Settings
from qbo_pipeline.tokens import TokenKeeper
from tests.support.quickbooks import REALM, Sandbox

_TABLES = ("connections", "tokens")


@dataclass
class Chain:
    """One company's chain on a server with a policy, and everything that can be done to it."""

    sandbox: Sandbox
    database_url: str
    state_dir: Path
    victim: subprocess.Popen[str]
    made: dict[str | None, Books] = field(default_factory=dict)

    def books(self, installation: str | None = None) -> Books:
        """Return hands on the installation, or on another that has a copy of the settings. They remember nothing."""
        if installation in self.made:
            return self.made[installation]
        settings = Settings(
            database_url=self.database_url,
            environment="local",
            local_url=self.sandbox.url,
            state_dir=self.state_dir,
            installation=installation,
        )
        self.made[installation] = Books(settings)
        return self.made[installation]

    def begin(self, policy: str) -> None:
        """Connect anew, and let two refreshes go by."""
        self.sandbox.tell("/faults", method="DELETE")
        self.sandbox.tell("/tokens/policy", {"name": policy})
        self.sandbox.connect(self.books())
        self.renew()
        self.renew()
        self.rotation_is_near()

    def rotation_is_near(self) -> None:
        """A day goes by at the server, so that the next refresh brings a new refresh token under any policy."""
        self.sandbox.tell("/clock", {"advance_seconds": 86_401})

    def renew(self, installation: str | None = None) -> str:
        """Refresh as another process would; return what became of it."""
        books = self.books(installation)
        keeper = TokenKeeper(books.token_store, books.oauth, books.spool, sleep=lambda _: None, commit_patience=1)
        try:
            keeper.refresh(REALM, refused=books.token_store.read(REALM).access_token)
        except (PipelineError, sa.exc.OperationalError) as error:
            return type(error).__name__
        return "renewed"

    def die(self, place: str, number: int = signal.SIGKILL) -> int:
        """Let a process refresh as far as ``place`` and there send itself a signal; return its process id."""
        told = self._tell(
            database_url=self.database_url,
            url=self.sandbox.url,
            state_dir=str(self.state_dir),
            place=place,
            signal=int(number),
        )
        assert told["fate"] == ("frozen" if number == signal.SIGSTOP else "killed"), f"{place}: {told}"
        return int(told["pid"])

    def wake(self, pid: int) -> None:
        """Let a frozen process go on to its end."""
        assert self._tell(wake=pid)["fate"] in ("done", "error")

    def _tell(self, **what: Any) -> Any:
        assert self.victim.stdin is not None
        assert self.victim.stdout is not None
        self.victim.stdin.write(json.dumps(what) + "\n")
        self.victim.stdin.flush()
        return json.loads(self.victim.stdout.readline())

    def execute(self, statement: str, **values: Any) -> None:
        with self.books().engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def leases_end(self) -> None:
        """Time passes: leases are over, and what waits for its next attempt need not wait. Times are the database's."""
        self.execute(
            "UPDATE quickbooks.connections SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL"
        )
        self.execute("UPDATE quickbooks.connections SET retry_at = now() WHERE retry_at IS NOT NULL")

    @contextmanager
    def database_down(self) -> Iterator[None]:
        """Nobody gets into the database, and who was in it is thrown out."""
        url = sa.make_url(self.database_url)
        server = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        name = url.database
        with server.connect() as connection:
            connection.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            connection.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
            )
        try:
            yield
        finally:
            with server.connect() as connection:
                connection.execute(sa.text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
            server.dispose()
            for books in self.made.values():
                books.engine.dispose()

    def snapshot(self) -> Callable[[], None]:
        """Return what puts the tokens back to how they are now, as a restored backup does."""
        with self.books().engine.connect() as connection:
            kept = {
                table: connection.execute(sa.text(f"SELECT to_jsonb(t)::text FROM quickbooks.{table} t"))
                .scalars()
                .all()
                for table in ("connections", "tokens")
            }

        def restore() -> None:
            for table, rows in kept.items():
                self.execute(f"DELETE FROM quickbooks.{table}")
                for row in rows:
                    self.execute(
                        f"INSERT INTO quickbooks.{table} SELECT * FROM "
                        f"jsonb_populate_record(CAST(NULL AS quickbooks.{table}), CAST(:row AS jsonb))",
                        row=row,
                    )

        return restore

    def server(self) -> dict[str, Any]:
        """Return the server's side of the newest consent."""
        grant: dict[str, Any] = self.sandbox.tell("/tokens")["grants"][-1]
        return grant

    def fate(self) -> str:
        """Let the installation go on until the chain is settled; say how it ends: ``ok`` or ``reconnect``."""
        renewed = 0
        for _ in range(12):
            self.leases_end()
            renewed += self.renew() == "renewed"
            books = self.books()
            state = books.token_store.read(REALM).state
            if state == "needs_reauth":
                return "reconnect"
            if state == "active" and renewed > 1:  # the first may have found a spooled pair, and asked nobody
                lease = books.token_store.claim(REALM, "the judge")
                assert lease is not None
                books.token_store.release(lease)
                server = self.server()
                assert not server["revoked"], "a dead chain that counts as active"
                assert lease.refresh_token == server["refresh_token"], "the database does not hold the server's token"
                return "ok"
        return f"never settled: {state}"

    def leave(self) -> None:
        for books in self.made.values():
            books.database.dispose()
        self.made.clear()


@contextmanager
def chain_of(sandbox: Sandbox, database_url: str, state_dir: Path) -> Iterator[Chain]:
    """Give a chain, and the process whose children die."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.token_victim"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as victim:
        chain = Chain(sandbox, database_url, state_dir, victim)
        try:
            yield chain
        finally:
            chain.leave()
            victim.kill()
