"""How every connected company is doing: connection, last sync, API calls, and what to do next, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from qbo_pipeline.warehouse.calls import CallLedger
from qbo_pipeline.warehouse.companies import Company
from qbo_pipeline.warehouse.inbox import Inbox, InboxState
from qbo_pipeline.warehouse.runs import RunLog, SyncRun
from qbo_pipeline.warehouse.stored_tokens import StoredTokens, all_tokens

#: A person is asked to connect again so long before a consent ends by itself: its five years, or 100 days unused.
HARD_WARNING, ROLLING_WARNING = timedelta(days=90), timedelta(days=14)


@dataclass(frozen=True, slots=True)
class CompanyStatus:
    """One company as ``qbo status`` shows it. ``calls_this_month`` counts QuickBooks API calls."""

    company: Company
    tokens: StoredTokens | None  #: None when another program removed them
    last_run: SyncRun | None
    calls_this_month: int
    installation: str  #: this one
    inbox: InboxState = field(default_factory=InboxState)  #: what webhooks told of it

    @property
    def state(self) -> str:
        """active, refreshing, unknown, suspect, needs_reauth or disconnected."""
        return self.tokens.state if self.tokens else "needs_reauth"

    @property
    def connection_action(self) -> str | None:
        """What a person should do about the connection; None when nothing. Holds nothing of anybody's books."""
        again = f"qbo connect --company {self.company.partition_key}"
        tokens = self.tokens
        if tokens is None or self.state == "needs_reauth":
            return f"reconnect it, QuickBooks refuses its token for good: {again}"
        if self.state == "suspect":
            return (
                f"QuickBooks refuses its token, which is tried again {_when(tokens.retry_in)}; if it was disconnected "
                f"there, reconnect it: {again}"
            )
        if tokens.installation not in (None, self.installation) and self.state != "disconnected":
            return (
                f"its tokens are refreshed by '{tokens.installation}' and only used here; if that is gone: "
                f"qbo token take-ownership --company {self.company.partition_key}"
            )
        for left, warning, what in (
            (tokens.refresh_hard_expires_in, HARD_WARNING, "QuickBooks ends every consent after five years"),
            (tokens.refresh_expires_in, ROLLING_WARNING, "its refresh token ends soon, unused"),
        ):
            if left is not None and left <= warning and self.state != "disconnected":
                return f"{what}, reconnect it before {datetime.now(UTC) + left:%Y-%m-%d}: {again}"
        return None

    @property
    def next_action(self) -> str:
        """What a person should do now; "none" when all is well."""
        if self.connection_action is not None:
            return self.connection_action
        if self.state == "disconnected":
            return "none, it was disconnected; to sync it again: qbo connect"
        if self.last_run is None:
            return "load it: qbo sync"
        if self.last_run.status in ("failed", "partial"):
            return f"see why its last sync {_ENDED[self.last_run.status]}: {self.last_run.error}"
        if self.inbox.dead:
            return f"see which {self.inbox.dead} events of webhooks could not be acted on: qbo webhook dead"
        if self.last_run.status == "running":
            return "none while its sync runs; if that was killed, the next one repeats it"
        if self.state == "unknown" and self.tokens is not None:
            return f"none; QuickBooks' answer to a refresh was lost, it is asked again {_when(self.tokens.retry_in)}"
        return "none"

    def as_row(self) -> dict[str, object]:
        """Return the status as flat, JSON-ready values (the shape of ``qbo status --json``)."""
        run = self.last_run
        now = datetime.now(UTC)
        tokens = self.tokens if self.state != "disconnected" else None
        refreshed_at = self.company.refreshed_at
        return {
            "company": self.company.partition_key,
            "name": self.company.name,
            "realm_id": self.company.realm_id,
            "environment": self.company.environment,
            "state": self.state,
            "access_token_expires_at": _after(now, tokens.expires_in if tokens else None),
            "refresh_token_expires_at": _after(now, tokens.refresh_expires_in if tokens else None),
            "refresh_token_hard_expires_at": _after(now, tokens.refresh_hard_expires_in if tokens else None),
            "last_refresh_at": refreshed_at.isoformat(timespec="seconds") if refreshed_at else None,
            "last_sync_at": run.started_at.isoformat(timespec="seconds") if run else None,
            "last_sync_status": run.status if run else None,
            "last_sync_rows": run.rows if run else None,
            "calls_this_month": self.calls_this_month,
            "webhook_events_waiting": self.inbox.waiting,
            "webhook_lag_seconds": int(self.inbox.lag.total_seconds()),
            "webhook_dead_letters": self.inbox.dead,
            "next_action": self.next_action,
        }


_ENDED = {"failed": "failed", "partial": "was partial"}


def _after(now: datetime, left: timedelta | None) -> str | None:
    return None if left is None else (now + left).isoformat(timespec="seconds")


def _when(left: timedelta | None) -> str:
    return "at once" if left is None or left <= timedelta(0) else f"at {datetime.now(UTC) + left:%H:%M} UTC"


def statuses(engine: Engine, companies: list[Company], installation: str) -> list[CompanyStatus]:
    """Return the status of each of ``companies``, as ``installation`` sees it."""
    runs, ledger, inbox = RunLog(engine), CallLedger(engine), Inbox(engine).states()
    with engine.connect() as connection:
        tokens = {each.realm_id: each for each in all_tokens(connection)}
    return [
        CompanyStatus(
            company,
            tokens.get(company.realm_id),
            next(iter(runs.latest(company.realm_id)), None),
            sum(ledger.month(realm_id=company.realm_id).values()),
            installation,
            inbox.get(company.realm_id, InboxState()),
        )
        for company in companies
    ]
