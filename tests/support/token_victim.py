"""A process whose children renew tokens and die, or freeze, at a place of it: ``python -m tests.support.token_victim``.

One JSON document a line on standard input: ``{"database_url", "url", "state_dir", "place", "signal"}`` lets a child get
to the place and there send itself the signal; ``{"wake": pid}`` lets a frozen one go on to its end. The answer is
``{"pid", "fate"}``: killed, frozen, done, error or bug. Children are forked, so that a death costs no start
of Python.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from qbo_pipeline.books import Books
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.settings import Settings
from qbo_pipeline.tokens import TokenKeeper
from qbo_pipeline.warehouse.spool import Pair, Spool
from qbo_pipeline.warehouse.token_store import Lease, TokenStore
from tests.support.quickbooks import REALM


class _Place:
    """Where it ends, and how."""

    def __init__(self, name: str, number: int) -> None:
        self._name = name
        self._number = number

    def reach(self, name: str) -> None:
        if name == self._name:
            os.kill(os.getpid(), self._number)


class _Store(TokenStore):
    place: _Place

    def claim(self, *arguments: Any, **more: Any) -> Lease | None:
        lease = super().claim(*arguments, **more)
        if lease is not None:
            self.place.reach("claimed")
        return lease

    def commit(self, *arguments: Any, **more: Any) -> bool:
        stored = super().commit(*arguments, **more)
        self.place.reach("committed")
        return stored


class _Spool(Spool):
    place: _Place

    def keep(self, pair: Pair) -> None:
        self.place.reach("answered")
        folder = self._folder
        folder.mkdir(exist_ok=True)
        half = folder / f".{pair.realm_id}.{pair.chain}.{pair.generation}.{pair.epoch}-half"
        half.write_text("enc:v1:")
        self.place.reach("half spooled")
        half.unlink()
        super().keep(pair)
        self.place.reach("spooled")


def main() -> None:
    """Do what the lines say."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "wake" in asked:
            pid = asked["wake"]
            os.kill(pid, signal.SIGCONT)
        elif (pid := os.fork()) == 0:
            code = 2
            try:
                code = _renew(asked)
            finally:
                os._exit(code)  # whatever came: a child never goes on as its parent
        _, status = os.waitpid(pid, os.WUNTRACED)
        fate = "frozen" if os.WIFSTOPPED(status) else "killed" if os.WIFSIGNALED(status) else "done"
        if fate == "done" and os.WEXITSTATUS(status):
            fate = "error" if os.WEXITSTATUS(status) == 1 else "bug"
        sys.stdout.write(json.dumps({"pid": pid, "fate": fate}) + "\n")
        sys.stdout.flush()


def _renew(asked: dict[str, Any]) -> int:
    books = Books(
        Settings(
            database_url=asked["database_url"],
            environment="local",
            local_url=asked["url"],
            state_dir=Path(asked["state_dir"]),
        )
    )
    place = _Place(asked["place"], asked["signal"])
    store, spool = (
        _Store(books.database, books.custody),
        _Spool(books.settings.state_dir / "spool", books.custody.vault),
    )
    store.place = spool.place = place
    keeper = TokenKeeper(store, books.oauth, spool, sleep=lambda _: None, commit_patience=1)
    try:
        keeper.refresh(REALM, refused=store.read(REALM).access_token)
    except (PipelineError, sa.exc.DBAPIError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    main()
