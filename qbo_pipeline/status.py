"""How every connected company is doing: connection, last sync, API calls, and what to do next, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from qbo_pipeline.warehouse.calls import CallLedger
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.runs import RunLog, SyncRun
from qbo_pipeline.warehouse.stored_tokens import StoredTokens, all_tokens


@dataclass(frozen=True, slots=True)
class CompanyStatus:
    """One company as ``qbo status`` shows it. ``calls_this_month`` counts QuickBooks API calls."""

    company: Company
    tokens: StoredTokens | None  #: None when another program removed them
    last_run: SyncRun | None
    calls_this_month: int

    @property
    def next_action(self) -> str:
        """What a person should do now; "none" when all is well."""
        if not self.company.is_active or self.tokens is None:
            return "reconnect it: qbo connect"
        if self.last_run is None:
            return "load it: qbo sync"
        if self.last_run.status in ("failed", "partial"):
            return f"see why its last sync {_ENDED[self.last_run.status]}: {self.last_run.error}"
        if self.last_run.status == "running":
            return "none while its sync runs; if that was killed, the next one repeats it"
        return "none"

    def as_row(self) -> dict[str, object]:
        """Return the status as flat, JSON-ready values (the shape of ``qbo status --json``)."""
        run = self.last_run
        now = datetime.now(UTC)
        access_left = self.tokens.expires_in if self.tokens else None
        refresh_left = self.tokens.refresh_expires_in if self.tokens else None
        return {
            "company": self.company.partition_key,
            "name": self.company.name,
            "realm_id": self.company.realm_id,
            "environment": self.company.environment,
            "status": self.company.status,
            "access_token_expires_at": _after(now, access_left),
            "refresh_token_expires_at": _after(now, refresh_left),
            "last_sync_at": run.started_at.isoformat(timespec="seconds") if run else None,
            "last_sync_status": run.status if run else None,
            "last_sync_rows": run.rows if run else None,
            "calls_this_month": self.calls_this_month,
            "next_action": self.next_action,
        }


_ENDED = {"failed": "failed", "partial": "was partial"}


def _after(now: datetime, left: timedelta | None) -> str | None:
    return None if left is None else (now + left).isoformat(timespec="seconds")


def statuses(engine: Engine, companies: list[Company]) -> list[CompanyStatus]:
    """Return the status of each of ``companies``."""
    runs, ledger = RunLog(engine), CallLedger(engine)
    with engine.connect() as connection:
        tokens = {each.realm_id: each for each in all_tokens(connection)}
    return [
        CompanyStatus(
            company,
            tokens.get(company.realm_id),
            next(iter(runs.latest(company.realm_id)), None),
            sum(ledger.month(realm_id=company.realm_id).values()),
        )
        for company in companies
    ]
