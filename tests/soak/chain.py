"""The crash matrix of the token chain: a refresh dies at a place, trouble follows, and the chain lives or does not.

    python -m tests.soak.chain               all of it, as the table of docs/token-crashes.md

The server rotates at the very call in question, the worst moment there is. ``ok``: the next refreshes bring the chain
back by themselves, and the database holds the server's own token. ``reconnect``: a person has to press a button; no
data is lost. Everything is real: processes that SIGKILL or SIGSTOP themselves, a Postgres, a QuickBooks over HTTP.
"""

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
from qbo_pipeline.errors import OwnershipError, PipelineError
from qbo_pipeline.sandbox.settings import POLICIES
from qbo_pipeline.settings import Settings
from qbo_pipeline.tokens import TokenKeeper
from tests.soak.installation import Installation, installation, say
from tests.support.quickbooks import REALM, Sandbox

DOCUMENT = Path(__file__).parents[2] / "docs" / "token-crashes.md"
PLACES = ("claimed", "answered", "half spooled", "spooled", "committed")
_TABLES = ("connections", "tokens")
_BEARER = {"path": "tokens/bearer"}


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


# --- what follows a death -------------------------------------------------------------------------------------------


def crash(chain: Chain, place: str) -> None:
    """Nothing more than that."""
    chain.die(place)


def database_down(chain: Chain, place: str) -> None:
    """The database goes away while it is there; it goes on as far as it comes, and gives up."""
    pid = chain.die(place, signal.SIGSTOP)
    with chain.database_down():
        chain.wake(pid)


def lost_reply(chain: Chain, place: str) -> None:
    """The reply to the next process is lost on the wire."""
    chain.die(place)
    chain.leases_end()
    chain.sandbox.tell("/faults", {"fault": "drop_connection", "match": _BEARER, "processed": True})
    chain.renew()
    chain.sandbox.tell("/faults", method="DELETE")


def late_writer(chain: Chain, place: str) -> None:
    """It does not die: it sleeps past its lease, another refreshes, and it wakes up."""
    pid = chain.die(place, signal.SIGSTOP)
    chain.leases_end()
    chain.renew()
    chain.wake(pid)


def restored(chain: Chain, place: str) -> None:
    """The database comes back as it was two refreshes ago."""
    restore = chain.snapshot()
    chain.renew()
    chain.rotation_is_near()
    chain.renew()
    chain.rotation_is_near()
    chain.die(place)
    restore()


def second_installation(chain: Chain, place: str) -> None:
    """A copy of the installation, on another machine, wants to refresh."""
    chain.die(place)
    chain.leases_end()
    before = len(chain.sandbox.calls())
    assert chain.renew(installation="a laptop with a dump") == OwnershipError.__name__
    assert len(chain.sandbox.calls()) == before, "it may not ask QuickBooks at all"


TROUBLES = (crash, database_down, lost_reply, late_writer, restored, second_installation)


# --- trouble without a death ----------------------------------------------------------------------------------------


def reply_lost(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "drop_connection", "match": _BEARER, "processed": True})
    assert chain.renew() == "RetryableError"


def gateway_error_after_the_rotation(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "http_503_html", "match": _BEARER, "processed": True})
    assert chain.renew() == "RetryableError"


def gateway_error_before_it(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "http_503_html", "match": _BEARER})
    assert chain.renew() == "RetryableError"


def refused_in_passing(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "invalid_grant", "match": _BEARER, "times": 2})
    assert chain.renew() == "RetryableError"


def refused_for_a_quarter_of_an_hour(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "invalid_grant", "match": _BEARER, "times": 6})
    for _ in range(3):
        assert chain.renew() == "RetryableError"
        chain.leases_end()


def rotation_forgotten(chain: Chain) -> None:
    assert chain.renew() == "renewed"
    chain.sandbox.tell("/tokens/forget", {})


def wrong_client_secret(chain: Chain) -> None:
    chain.sandbox.tell("/faults", {"fault": "invalid_client", "match": _BEARER})
    assert chain.renew() == "RejectedError"


def database_restored(chain: Chain) -> None:
    restore = chain.snapshot()
    for _ in range(2):
        chain.renew()
        chain.rotation_is_near()
    restore()


ALONE: dict[str, Callable[[Chain], None]] = {
    "reply lost": reply_lost,
    "5xx after the rotation": gateway_error_after_the_rotation,
    "5xx before it": gateway_error_before_it,
    "invalid_grant, twice": refused_in_passing,
    "invalid_grant for a quarter of an hour": refused_for_a_quarter_of_an_hour,
    "provider forgot the rotation": rotation_forgotten,
    "wrong client secret, once": wrong_client_secret,
    "database restored from a backup": database_restored,
}


@contextmanager
def chain_of(home: Installation) -> Iterator[Chain]:
    """Give a chain, and the process whose children die."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.soak.chain_victim"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as victim:
        chain = Chain(home.sandbox, home.database_url, home.home / "state", victim)
        try:
            yield chain
        finally:
            chain.leave()
            victim.kill()


def rows(*, places: tuple[str, ...] = PLACES) -> dict[str, Callable[[Chain], None]]:
    """Return the rows of the matrix: what happens, by what it is called."""
    deaths = {
        f"killed when {place}" if trouble is crash else f"{place}, then {trouble.__name__.replace('_', ' ')}": (
            lambda chain, trouble=trouble, place=place: trouble(chain, place)
        )
        for place in places
        for trouble in TROUBLES
    }
    return ALONE | deaths


def matrix(chain: Chain, policies: tuple[str, ...], wanted: dict[str, Callable[[Chain], None]]) -> dict[str, list[str]]:
    """Play rows under policies; return the outcomes of each row."""
    found: dict[str, list[str]] = {}
    for name, happens in wanted.items():
        found[name] = []
        for policy in policies:
            chain.begin(policy)
            happens(chain)
            chain.sandbox.tell("/faults", method="DELETE")
            found[name].append(chain.fate())
        say(f"{name:<48} {'  '.join(found[name])}")
    return found


def table(found: dict[str, list[str]], policies: tuple[str, ...]) -> list[str]:
    """Return the lines of the table."""
    lines = [f"| What happens | {' | '.join(policies)} |", "|---" * (len(policies) + 1) + "|"]
    return lines + [f"| {name} | {' | '.join(outcomes)} |" for name, outcomes in found.items()]


def documented() -> dict[str, dict[str, str]]:
    """Return what the document says: what happens -> policy -> outcome."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    head, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: dict(zip(head[1:], outcomes, strict=True)) for name, *outcomes in body}


def differences(found: dict[str, list[str]], policies: tuple[str, ...]) -> list[str]:
    """Return where outcomes are not as documented."""
    known = documented()
    return [
        f"{name}, {policy}: {outcome}, and not {known[name][policy]}"
        for name, outcomes in found.items()
        for policy, outcome in zip(policies, outcomes, strict=True)
        if known[name][policy] != outcome
    ]


def whole(home: Installation) -> list[str]:
    """Play all of it, print the table, and return what is not as documented."""
    policies = tuple(POLICIES)
    with chain_of(home) as chain:
        found = matrix(chain, policies, rows())
    say("\n".join(["", *table(found, policies)]))
    return differences(found, policies)


def main() -> None:
    """Run it; exit 1 when an outcome is not as documented."""
    with installation() as (home, _):
        wrong = whole(home)
    say("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
