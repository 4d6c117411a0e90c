"""The books of every connected company, and all that can be done with them: what the doors call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from qbo_pipeline.catalog import ENTITIES, NOTIFIED, Entity
from qbo_pipeline.errors import UsageError
from qbo_pipeline.installation import Installation
from qbo_pipeline.settings import Settings
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.window import INCREMENTAL, Window

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from qbo_pipeline.attachments import Pulled
    from qbo_pipeline.inbox import ActedOn
    from qbo_pipeline.qbo.clients import Waiting
    from qbo_pipeline.status import CompanyStatus
    from qbo_pipeline.sync.comparison import Reconciliation
    from qbo_pipeline.warehouse.analysts import Rights
    from qbo_pipeline.warehouse.calls import Budget
    from qbo_pipeline.warehouse.companies import Company
    from qbo_pipeline.warehouse.stored_tokens import StoredTokens


#: How long a company waits for its next sync once the month's API calls are spent. Schedules tick a little early.
DAILY = timedelta(hours=23, minutes=30)


class Books(Installation):
    """One installation, and what can be done with the books it keeps."""

    def __init__(self, settings: Settings | None = None, *, waiting: Waiting | None = None) -> None:
        """Without ``settings`` the environment has them; ``waiting`` is how clients of QuickBooks let time pass."""
        super().__init__(settings, waiting=waiting)
        #: Called with an entity's outcome after every page of any sync, beside the caller's own ``progress``.
        self.observers: list[Callable[[EntityOutcome], None]] = []

    def grant(self, role: str) -> Rights:
        """Let an existing role of the database read the tables of the books, and nothing else."""
        from qbo_pipeline.warehouse.analysts import grant

        return grant(self.engine, role)

    def disconnect(self, company: Company) -> bool:
        """Revoke a company's consent, then wipe its tokens; its books stay. False when QuickBooks knew it no more.

        Raises QboError, with nothing wiped, when QuickBooks cannot be asked.
        """
        from qbo_pipeline.connect import revoke
        from qbo_pipeline.warehouse.token_custody import forget_tokens, open_tokens

        self.keeper.check_ours(company.realm_id)
        revoked = revoke(self.oauth, open_tokens(self.engine, self.custody, company.realm_id))
        forget_tokens(self.engine, company.realm_id)
        self.spool.forget(company.realm_id)
        return revoked

    def take_ownership(self, companies: list[Company]) -> None:
        """Make this installation the one that refreshes the tokens of companies."""
        from qbo_pipeline.warehouse.token_custody import take_ownership

        take_ownership(self.engine, self.custody, [company.realm_id for company in companies])

    def rekey(self) -> int:
        """Seal all tokens with a new key (or the first of QBO_TOKEN_KEY); return how many were sealed otherwise."""
        from qbo_pipeline.warehouse.token_custody import rekey
        from qbo_pipeline.warehouse.vault import add_key, vault_of_file

        custody = self.custody
        if not self.settings.token_key:
            add_key(self.settings.token_key_path)
            custody = replace(custody, vault=vault_of_file(self.settings.token_key_path))
        changed = rekey(self.engine, custody)
        self.spool.reseal(custody.vault)
        return changed

    def connected(self) -> list[Company]:
        """Return the companies of this environment, by name."""
        return self.companies.all(self.settings.environment)

    def company(self, word: str | None) -> Company:
        """Return the company a person means by key, realm id or name; without a word, the only one there is.

        Raises UsageError, naming the choices, when that is not clear.
        """
        if word is not None:
            return self.companies.get(word, self.settings.environment)
        connected = self.connected()
        if len(connected) == 1:
            return connected[0]
        if not connected:
            raise UsageError("No company is connected yet: run 'qbo connect' (or 'qbo demo' to look around).")
        keys = ", ".join(company.partition_key for company in connected)
        raise UsageError(f"Several companies are connected; say which one with --company: {keys}.")

    def sync(
        self,
        word: str | None,
        entities: tuple[Entity, ...] = ENTITIES,
        window: Window = INCREMENTAL,
        *,
        trigger: str,
        run_id: str | None = None,
        believe_deletions: bool = False,
        patience: float = 600,
        progress: Callable[[EntityOutcome], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Outcome:
        """Sync one company, holding its lease, and record the run and its calls.

        Failures of single entities are in the outcome; what makes any sync impossible is raised (PipelineError).
        ``believe_deletions`` removes however many records QuickBooks no longer has: a person has looked. BusyError when
        another has the company for more than ``patience`` seconds.
        """
        from qbo_pipeline.syncing import Syncer, new_run

        def tell(each: EntityOutcome) -> None:
            for observer in (progress, *self.observers):
                observer(each)

        run = new_run(self.company(word), entities, window, trigger=trigger, run_id=run_id)
        return Syncer(self.engine, self.client_of).sync(
            run, believe_deletions=believe_deletions, patience=patience, progress=tell, on_wait=on_wait
        )

    def act_on_webhooks(
        self,
        word: str | None,
        entities: tuple[Entity, ...] = ENTITIES,
        *,
        run_id: str | None = None,
        progress: Callable[[EntityOutcome], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> ActedOn | None:
        """Read what webhooks told of one company (``inbox.act_on`` says how); None when nothing waits."""
        from qbo_pipeline.inbox import act_on
        from qbo_pipeline.warehouse.stored import StoredBooks

        company = self.company(word)

        def sync(named: tuple[Entity, ...], window: Window) -> Outcome:
            return self.sync(
                company.realm_id, named, window, trigger="webhook", run_id=run_id, progress=progress, on_wait=on_wait
            )

        stored = StoredBooks(self.engine, company.realm_id)
        return act_on(self.inbox, company.realm_id, entities, stored, sync)

    def retry_dead_letters(self, keys: Sequence[str] | None = None) -> int:
        """Read dead letters again, as this version reads them, and act on those that wait then; return how many.

        All of them without ``keys``.
        """
        from qbo_pipeline.qbo.notifications import read_notification

        letters = self.inbox.dead_letters(keys)
        again = [
            replace(event, key=each.key) for each in letters for event in read_notification(each.raw, NOTIFIED)[:1]
        ]
        self.inbox.retry(again)
        return len(again) - len(self.inbox.dead_letters([each.key for each in again]))

    def reconcile(
        self,
        word: str | None,
        entities: tuple[Entity, ...] = ENTITIES,
        *,
        trigger: str,
        run_id: str | None = None,
        sample: int = 0,
        full: bool = False,
        believe_deletions: bool = False,
        progress: Callable[[EntityOutcome], None] = lambda _: None,
        step: Callable[[str], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Reconciliation:
        """Compare one company with QuickBooks and repair what differs (``Syncer.reconcile`` says how close)."""
        from qbo_pipeline.syncing import Syncer, new_run

        return Syncer(self.engine, self.client_of).reconcile(
            new_run(self.company(word), entities, INCREMENTAL, trigger=trigger, run_id=run_id),
            sample=sample,
            full=full,
            believe_deletions=believe_deletions,
            progress=progress,
            step=step,
            on_wait=on_wait,
        )

    def show(self, entity: Entity, record_id: str, word: str | None) -> dict[str, Any]:
        """Return one record as QuickBooks would give it, rendered from the warehouse.

        Raises UsageError when the warehouse does not have it.
        """
        from qbo_pipeline.sync.render import render
        from qbo_pipeline.warehouse.entity_rows import stored_record

        company = self.company(word)
        found = stored_record(self.engine, entity, company.realm_id, record_id)
        if found is None:
            raise UsageError(
                f"{company.name} has no {entity.name} with id {record_id!r} in the warehouse. "
                f"If QuickBooks has it, 'qbo sync --entity {entity.name}' brings it."
            )
        return render(entity, *found)

    def pull_attachments(
        self, company: Company, folder: Path, *, progress: Callable[[str], None] = lambda _: None
    ) -> Iterator[Pulled]:
        """Download a company's attached files into ``folder``, and yield what became of each."""
        from qbo_pipeline.attachments import pull
        from qbo_pipeline.qbo.transport import new_session
        from qbo_pipeline.warehouse.attachments import attached_files
        from qbo_pipeline.warehouse.calls import CallLedger

        calls: Counter[str] = Counter()
        client = self.client_of(company, lambda call: calls.update([call.kind]))
        files = attached_files(self.engine, company.realm_id)
        try:
            yield from pull(
                files, folder, client=client, environment=self.environment, session=new_session(), progress=progress
            )
        finally:
            CallLedger(self.engine).add(company.realm_id, calls)

    def budget(self) -> Budget:
        """Return what is left of this month's API calls."""
        from qbo_pipeline.warehouse.calls import Budget, CallLedger

        return Budget(sum(CallLedger(self.engine).month().values()), self.settings.monthly_call_budget)

    def hourly_companies(self) -> list[Company]:
        """Return the companies to sync this hour: connected and loaded; once the budget is spent, only once a day."""
        ready = [company for company in self.connected() if company.is_active and company.initial_load_at]
        if not ready or not self.budget().is_spent:
            return ready
        from qbo_pipeline.warehouse.runs import RunLog

        log = RunLog(self.engine)
        return [company for company in ready if not log.has_started_within(company.realm_id, DAILY)]

    def row_count(self, table: str, realm_id: str | None = None) -> int:
        """Return how many rows a table of the catalogue holds, for one company or for all."""
        from qbo_pipeline.warehouse.entity_rows import row_count

        return row_count(self.engine, table, realm_id)

    def due_for_refresh(self) -> list[Company]:
        """Return the companies whose access token is to be renewed now."""
        from qbo_pipeline.tokens import DUE

        due = set(self.token_store.due(DUE))
        return [company for company in self.connected() if company.realm_id in due]

    def refresh(self, company: Company) -> StoredTokens:
        """Renew a company's access token unless somebody has just done it."""
        return self.keeper.refresh(company.realm_id)

    def statuses(self) -> list[CompanyStatus]:
        """Return how every connected company is doing."""
        from qbo_pipeline.status import statuses

        return statuses(self.engine, self.connected(), self.custody.installation)

    def alert(self, job: str, run_id: str) -> bool:
        """Tell people that a run failed, where QBO_ALERT_WEBHOOK_URL says; False when nobody was told."""
        from qbo_pipeline.alerts import failure_text, post

        url = self.settings.alert_webhook_url
        return url is not None and post(url, failure_text(job, run_id, self.statuses()))

    def overview(self) -> pd.DataFrame:
        """Return the connected companies as a table: one row each, with the state of connection and last sync."""
        import pandas as pd

        return pd.DataFrame([status.as_row() for status in self.statuses()])
