"""The record of sync runs: who asked, what was loaded, what it cost, how it ended."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

Outcome = Literal["succeeded", "partial", "failed"]


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One sync of one company; ``finished_at`` is empty while it runs, and when it was killed."""

    run_id: str
    realm_id: str
    trigger: str
    mode: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    status: str
    rows: int
    calls: int
    detail: dict[str, Any]
    error: str | None


class RunLog:
    """``quickbooks.sync_runs``."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def start(self, run_id: str, realm_id: str, *, trigger: str, mode: str) -> None:
        """Note that a run began; a run that begins again (a retry under its own id) starts over."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.sync_runs (run_id, realm_id, trigger, mode, status) "
                    "VALUES (:run_id, :realm_id, :trigger, :mode, 'running') "
                    "ON CONFLICT (run_id) DO UPDATE SET realm_id = excluded.realm_id, trigger = excluded.trigger, "
                    "mode = excluded.mode, status = excluded.status, started_at = now(), finished_at = NULL, "
                    "rows = 0, calls = 0, detail = '{}', error = NULL"
                ),
                {"run_id": run_id, "realm_id": realm_id, "trigger": trigger, "mode": mode},
            )

    def finish(
        self,
        run_id: str,
        *,
        status: Outcome,
        rows: int,
        calls: int,
        detail: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> None:
        """Note how a run ended."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "UPDATE quickbooks.sync_runs SET finished_at = clock_timestamp(), status = :status, rows = :rows, "
                    "calls = :calls, detail = CAST(:detail AS jsonb), error = :error WHERE run_id = :run_id"
                ),
                {
                    "run_id": run_id,
                    "status": status,
                    "rows": rows,
                    "calls": calls,
                    "detail": json.dumps(dict(detail or {}), default=str),
                    "error": error,
                },
            )

    def has_started_within(self, realm_id: str, age: dt.timedelta) -> bool:
        """Say whether a sync of the company began so lately."""
        with self._engine.connect() as connection:
            statement = (
                "SELECT EXISTS (SELECT 1 FROM quickbooks.sync_runs WHERE realm_id = :realm_id "
                "AND started_at > now() - :age)"
            )
            return bool(connection.execute(sa.text(statement), {"realm_id": realm_id, "age": age}).scalar_one())

    def latest(self, realm_id: str, limit: int = 1) -> list[SyncRun]:
        """Return the newest runs of a company, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT run_id, realm_id, trigger, mode, started_at, finished_at, status, rows, calls, detail, "
                    "error FROM quickbooks.sync_runs WHERE realm_id = :realm_id "
                    "ORDER BY started_at DESC, run_id LIMIT :limit"
                ),
                {"realm_id": realm_id, "limit": limit},
            )
            return [SyncRun(**row) for row in rows.mappings()]
