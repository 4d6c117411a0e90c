"""The local QuickBooks of a demo: which books it serves, under which realm, and a person who always consents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import requests

from qbo_pipeline.cli.processes import free_port
from qbo_pipeline.cli.supervisor import PortTakenError, Program, Supervisor
from qbo_pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from qbo_pipeline.books import Books
    from qbo_pipeline.settings import Settings
    from qbo_pipeline.warehouse.companies import Company

SANDBOX_PORT = 8700
_FIRST_REALM = 9130000000000001
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Source:
    """Where a demo's books come from: a folder of files, or a seed."""

    folder: Path | None
    seed: int
    invoices: int

    @property
    def key(self) -> str:
        return str(self.folder.resolve()) if self.folder else f"seed {self.seed}, {self.invoices} invoices"

    def realm(self, state_dir: Path) -> str:
        """Return this source's realm, the same for every demo of a state folder.

        Different books are different companies: loaded under one realm, they would mix.
        """
        noted = state_dir / "demo.json"
        try:
            realms = json.loads(noted.read_text())
        except (OSError, ValueError):
            # What docs/sandbox.md says: the made-up company comes first.
            realms = {Source(None, 1, 200).key: str(_FIRST_REALM)}
        if self.key not in realms:
            realms[self.key] = str(max(_FIRST_REALM, *map(int, realms.values())) + 1)
        noted.write_text(json.dumps(realms, indent=2) + "\n")
        return str(realms[self.key])


def check_answers(settings: Settings) -> None:
    """Raise PipelineError, saying how to start it, when the local QuickBooks that is to be used does not answer."""
    if settings.environment != "local" or settings.local_url is None:
        return
    try:
        requests.get(settings.local_url, timeout=10)
    except requests.RequestException:
        raise PipelineError(
            f"No local QuickBooks answers at {settings.local_url}: start one with 'qbo sandbox serve' or 'qbo demo'."
        ) from None


def check_folder(folder: Path) -> None:
    """Raise UsageError when there is nothing to load."""
    if not any(folder.rglob("*.json")):
        raise UsageError(f"There is no payload file (*.json) in {folder} or below it.")


class LocalQuickBooks:
    """A sandbox process that serves one source."""

    def __init__(self, supervisor: Supervisor, state_dir: Path, source: Source) -> None:
        self._supervisor = supervisor
        self._source = source
        self.realm = source.realm(state_dir)
        self.program = self._program(free_port(SANDBOX_PORT))
        #: What became of the files (``/_sandbox/health``); None for a made-up company.
        self.report: dict[str, Any] | None = None

    @property
    def url(self) -> str:
        return self.program.url

    def start(self) -> None:
        """Start it on a free port and read what it made of the files.

        Raises UsageError when there are no books among them.
        """
        for attempt in range(_ATTEMPTS):
            try:
                self._supervisor.start(self.program)
                self._supervisor.wait_until_ready(self.program)
                break
            except PortTakenError:  # somebody was faster between our look and its start
                if attempt == _ATTEMPTS - 1:
                    raise
                self._supervisor.forget(self.program)
                self.program = self._program(free_port(SANDBOX_PORT))
        self.report = requests.get(f"{self.url}/_sandbox/health", timeout=30).json()["loaded"]
        if self.report is not None and not self.report["records"]:
            raise UsageError(
                f"None of the {self.report['files']} JSON files below {self._source.folder} holds books: they look "
                'like {"Invoice": {…}} or {"QueryResponse": {…}}.'
            )

    def says(self) -> str:
        """Return what it serves, in a few words."""
        if self.report is not None:
            return f"{self.report['files']:,} files"
        return f"{self._source.invoices:,} invoices"

    def connect(self, books: Books) -> Company:
        """Go through the consent flow as a person's browser would, with a person who always says yes."""
        address = f"{books.connector.begin()}&auto=1&realm={self.realm}"
        try:
            answer = requests.get(address, allow_redirects=False, timeout=30)
        except requests.RequestException:
            raise PipelineError(f"The local QuickBooks at {self.url} does not answer.") from None
        location = answer.headers.get("Location")
        if answer.status_code not in (302, 303) or not location:
            raise PipelineError(f"The local QuickBooks did not consent (HTTP {answer.status_code}).")
        return books.connector.complete(dict(parse_qsl(urlsplit(location).query)))

    def tell(self, web_url: str) -> None:
        """Let it tell a web app of every change of its books, as Intuit does."""
        address = f"{web_url}/webhooks/quickbooks"
        try:
            requests.post(f"{self.url}/_sandbox/webhooks", json={"url": address}, timeout=30).raise_for_status()
        except requests.RequestException:
            raise PipelineError(f"The local QuickBooks at {self.url} does not take a subscription.") from None

    def _program(self, port: int) -> Program:
        source = self._source
        arguments = ["-m", "qbo_pipeline.sandbox", "--no-throttle", "--port", str(port), "--seed", str(source.seed)]
        if source.folder is None:
            arguments += ["--invoices", str(source.invoices), "--realm", self.realm]
        else:
            # The made-up company is there as well; nobody will ask for it.
            arguments += ["--books", str(source.folder.resolve()), "--books-realm", self.realm, "--invoices", "0"]
        return Program("quickbooks", arguments, port, "/_sandbox/health")
