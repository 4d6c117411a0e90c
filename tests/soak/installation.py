"""What a soak runs against: a Postgres and a local QuickBooks of its own, and processes that sync between them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qbo_pipeline.books import Books
from qbo_pipeline.settings import Settings
from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from tests.support.histories import Stage
from tests.support.quickbooks import Sandbox, running_sandbox
from tests.support.untimed import untimed_books

#: Durability costs time, and nobody pulls the plug of this machine; a restart of Postgres is another matter.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_REPOSITORY = Path(__file__).parents[2]
_CLI = "from qbo_pipeline.cli import main; main()"


@dataclass
class Installation:
    """Everything one installation needs, running; ``home`` is a folder for what its processes write."""

    sandbox: Sandbox
    database_url: str
    home: Path

    def books(self) -> Books:
        """Return a fresh set of hands on it, as another process would have."""
        return untimed_books(
            Settings(
                database_url=self.database_url,
                environment="local",
                local_url=self.sandbox.url,
                state_dir=self.home / "state",
            )
        )

    @property
    def scratch(self) -> Path:
        """Where its processes put their temporary files, so that one can watch what they are doing."""
        folder = self.home / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    def sync_process(self, stage: Stage, window: str) -> subprocess.Popen[str]:
        """Start a process that syncs a stage's company: ``incremental``, ``full``, ``range``, or ``cli`` for the real
        ``qbo sync``.
        """
        names = [entity.name for entity in stage.entities]
        if window == "cli":
            chosen = [word for name in names for word in ("--entity", name)]
            command = ["-c", _CLI, "sync", "--company", stage.realm, *chosen]
        else:
            command = ["-m", "tests.soak.victim", stage.realm, window, str(stage.page_size), *names]
        environment = os.environ | {
            "DATABASE_URL": self.database_url,
            "QBO_ENVIRONMENT": "local",
            "QBO_LOCAL_URL": self.sandbox.url,
            "QBO_STATE_DIR": str(self.home / "state"),
            "PYTHONPATH": str(_REPOSITORY),
            "TMPDIR": str(self.scratch),
        }
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextmanager
def installation() -> Iterator[tuple[Installation, EmbeddedPostgres]]:
    """Start a Postgres and a sandbox, and stop both afterwards."""
    with tempfile.TemporaryDirectory(prefix="qbo-soak-") as folder, running_sandbox("--invoices", "1") as sandbox:
        home = Path(folder)
        home.chmod(0o755)  # as root, another account runs the server and has to get in
        server = EmbeddedPostgres(home / "postgres", service_home=home / "service", settings=QUICK)
        try:
            made = Installation(sandbox, server.ensure(), home)
            books = made.books()
            books.upgrade()
            books.database.dispose()
            yield made, server
        finally:
            server.stop()


def restart_at_once(server: EmbeddedPostgres) -> None:
    """Stop a Postgres as a crash would, and start it again."""
    place = server._read_place()
    assert place is not None
    server._programs(place).run("pg_ctl", "stop", "-D", str(place.data), "-m", "immediate", "-w", capture=False)
    server.ensure()


def say(what: object) -> None:
    """Tell the terminal at once: a soak is long, and whoever waits wants to see it move."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()
