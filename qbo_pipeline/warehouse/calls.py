"""The ledger of QuickBooks API calls: Intuit meters reads by the month (500,000 on the free tier)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

#: From this share of the budget on, people are warned.
LOW = 0.8


@dataclass(frozen=True, slots=True)
class Budget:
    """What was spent of this month's API calls, all companies together: Intuit meters the app, not the company."""

    spent: int
    limit: int

    @property
    def is_low(self) -> bool:
        return self.spent >= LOW * self.limit

    @property
    def is_spent(self) -> bool:
        return self.spent >= self.limit

    def __str__(self) -> str:
        used = f"{self.spent:,} of {self.limit:,} QuickBooks API calls of this month are used"
        if self.is_spent:
            return (
                f"{used}: until the next month every company is synced once a day instead of every hour. "
                "QBO_MONTHLY_CALL_BUDGET sets the budget."
            )
        if self.is_low:
            return f"{used} ({self.spent / self.limit:.0%}); at 100 % syncs become daily. 'qbo status' shows whose."
        return f"{used}."


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
