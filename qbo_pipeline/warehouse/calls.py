"""The ledger of QuickBooks API calls: Intuit meters reads by the month (500,000 on the free tier)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import sqlalchemy as sa


class CallLedger:
    """``quickbooks.api_calls``: what was spent, by company, run, month and kind of call."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, realm_id: str, counts: Mapping[str, int], *, run_id: str | None = None) -> None:
        """Add calls to the current month (UTC, the database's clock). Counts are added, never replaced."""
        rows = [
            {"realm_id": realm_id, "run_id": run_id or "", "kind": kind, "calls": calls}
            for kind, calls in sorted(counts.items())  # one order for all, so that two writers cannot deadlock
            if calls
        ]
        if not rows:
            return
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.api_calls AS a (realm_id, run_id, month, kind, calls) "
                    "VALUES (:realm_id, :run_id, "
                    "CAST(date_trunc('month', now() AT TIME ZONE 'UTC') AS date), :kind, :calls) "
                    "ON CONFLICT (realm_id, run_id, month, kind) DO UPDATE SET calls = a.calls + excluded.calls"
                ),
                rows,
            )

    def month(self, month: dt.date | None = None, *, realm_id: str | None = None) -> dict[str, int]:
        """Return the calls of a month by kind (default: the current month), of one company or of all."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT kind, CAST(sum(calls) AS bigint) AS calls FROM quickbooks.api_calls "
                    "WHERE month = date_trunc('month', coalesce(CAST(:month AS date), now() AT TIME ZONE 'UTC')) "
                    "AND (CAST(:realm_id AS text) IS NULL OR realm_id = :realm_id) GROUP BY kind ORDER BY kind"
                ),
                {"month": month, "realm_id": realm_id},
            )
            return {row.kind: row.calls for row in rows}
