"""One installation, wired from its settings: what the doors (terminal, Dagster, web) call.

Nothing is read or opened before it is first needed, so a code location loads without any environment at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qbo_pipeline.catalog import ENTITIES, Entity
from qbo_pipeline.errors import SettingsError, UsageError, WarehouseError
from qbo_pipeline.settings import Settings, load_settings
from qbo_pipeline.sync.outcome import EntityOutcome, Outcome
from qbo_pipeline.sync.window import INCREMENTAL, Window

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from sqlalchemy import Engine

    from qbo_pipeline.attachments import Pulled
    from qbo_pipeline.connect import Connector
    from qbo_pipeline.inbox import ActedOn
    from qbo_pipeline.qbo.client import Call, QboClient
    from qbo_pipeline.qbo.clients import Clients, Waiting
    from qbo_pipeline.qbo.environments import Environment
    from qbo_pipeline.qbo.oauth import OAuthClient
    from qbo_pipeline.status import CompanyStatus
    from qbo_pipeline.sync.comparison import Reconciliation
    from qbo_pipeline.tokens import TokenKeeper
    from qbo_pipeline.warehouse.analysts import Rights
    from qbo_pipeline.warehouse.calls import Budget
    from qbo_pipeline.warehouse.companies import Company, CompanyStore
    from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
    from qbo_pipeline.warehouse.inbox import Inbox
    from qbo_pipeline.warehouse.spool import Spool
    from qbo_pipeline.warehouse.stored_tokens import StoredTokens
    from qbo_pipeline.warehouse.token_store import TokenStore
    from qbo_pipeline.warehouse.vault import Custody


#: How long a company waits for its next sync once the month's API calls are spent. Schedules tick a little early.
DAILY = timedelta(hours=23, minutes=30)

#: So many notifications are stored at the same time.
LETTERBOX_CONNECTIONS = 16


class Books:
    """The books of every connected company, and what can be done with them."""

    def __init__(self, settings: Settings | None = None, *, waiting: Waiting | None = None) -> None:
        """Without ``settings`` the environment has them; ``waiting`` is how clients of QuickBooks let time pass."""
        self._given_settings = settings
        self._waiting = waiting
        #: Called with an entity's outcome after every page of any sync, beside the caller's own ``progress``.
        self.observers: list[Callable[[EntityOutcome], None]] = []

    @cached_property
    def settings(self) -> Settings:
        return self._given_settings or load_settings()

    @cached_property
    def embedded(self) -> EmbeddedPostgres | None:
        """The embedded Postgres of this installation; None when ``DATABASE_URL`` names another."""
        from qbo_pipeline.warehouse.embedded import EmbeddedPostgres

        return None if self.settings.database_url else EmbeddedPostgres(self.settings.state_dir)

    @cached_property
    def database(self) -> Engine:
        """The database as it is, migrated or not; starts the embedded one."""
        from qbo_pipeline.warehouse.engine import check_connection, open_engine

        url = self.settings.database_url or (self.embedded.ensure() if self.embedded else "")
        engine = open_engine(url)
        check_connection(engine)
        return engine

    @cached_property
    def dagster_url(self) -> str:
        """URL of Dagster's own storage: a database beside the books, or a schema where we may not make databases."""
        from sqlalchemy import text

        from qbo_pipeline.warehouse.engine import psycopg2_url

        if self.settings.dagster_database_url:
            return psycopg2_url(self.settings.dagster_database_url)
        if self.embedded is not None:
            self.embedded.ensure()
            # Thousands of single writes: not waiting for the disk, a crash may cost half a second of Dagster's history.
            return psycopg2_url(f"{self.embedded.url('dagster')}?options=-csynchronous_commit%3Doff")
        with self.database.begin() as connection:
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS dagster"))
        url = self.database.url.update_query_dict({"options": "-csearch_path=dagster"})
        return url.render_as_string(hide_password=False)

    @cached_property
    def engine(self) -> Engine:
        """The database, with every table in place. The embedded one is upgraded by itself, yours only on request."""
        from qbo_pipeline.warehouse.migrate import current_revision, head_revision

        if current_revision(self.database) != head_revision():
            if self.embedded is None:
                raise WarehouseError("The database is not up to date with this version: run 'qbo db upgrade'.")
            self.upgrade()
        return self.database

    def upgrade(self, *, adopt: bool = False, dry_run: bool = False) -> list[str]:
        """Bring the database up to date and say in words what was done; safe to repeat, and at the same time.

        ``adopt`` allows to move another program's tables aside: only for a person who asks for the upgrade by name.
        With ``dry_run`` the words say what would be done, and nothing is.
        """
        from qbo_pipeline.warehouse.migrate import upgrade

        return upgrade(self.database, adopt=adopt, dry_run=dry_run, custody=self.custody)

    def grant(self, role: str) -> Rights:
        """Let an existing role of the database read the tables of the books, and nothing else."""
        from qbo_pipeline.warehouse.analysts import grant

        return grant(self.engine, role)

    @cached_property
    def environment(self) -> Environment:
        """The QuickBooks that is talked to."""
        from qbo_pipeline.qbo import environments

        if self.settings.environment != "local":
            return {"sandbox": environments.SANDBOX, "production": environments.PRODUCTION}[self.settings.environment]
        if not self.settings.local_url:
            raise SettingsError(
                "QBO_ENVIRONMENT is local, but no local QuickBooks is known: start one with 'qbo demo' or "
                "'qbo sandbox serve', or set QBO_LOCAL_URL. For a real company set QBO_ENVIRONMENT=production."
            )
        return environments.local(self.settings.local_url)

    @cached_property
    def oauth(self) -> OAuthClient:
        from qbo_pipeline.qbo.oauth import OAuthClient
        from qbo_pipeline.qbo.transport import new_session

        client_id, client_secret = self.settings.credentials
        return OAuthClient(self.environment, client_id=client_id, client_secret=client_secret, session=new_session())

    @cached_property
    def clients(self) -> Clients:
        from qbo_pipeline.qbo.clients import Clients

        return Clients(self.environment, self._waiting)

    @cached_property
    def companies(self) -> CompanyStore:
        from qbo_pipeline.warehouse.companies import CompanyStore

        return CompanyStore(self.engine)

    @cached_property
    def inbox(self) -> Inbox:
        """What QuickBooks' webhooks told and nobody has acted on yet."""
        from qbo_pipeline.warehouse.inbox import Inbox

        return Inbox(self.engine, self.settings.environment)

    @cached_property
    def letterbox(self) -> Inbox:
        """The inbox for whoever puts something in while QuickBooks waits: it fails rather than be slow."""
        from qbo_pipeline.warehouse.engine import open_quick_engine
        from qbo_pipeline.warehouse.inbox import Inbox

        url = self.settings.database_url or (self.embedded.ensure() if self.embedded else "")
        return Inbox(open_quick_engine(url, pool_size=LETTERBOX_CONNECTIONS), self.settings.environment)

    @cached_property
    def custody(self) -> Custody:
        """How this installation keeps tokens; makes the key and the installation's name where there are none."""
        from qbo_pipeline.warehouse.engine import address
        from qbo_pipeline.warehouse.vault import Custody, Vault, installation_of, vault_of_file

        settings = self.settings
        database = address(settings.database_url) if settings.database_url else ""
        return Custody(
            Vault(settings.token_key) if settings.token_key else vault_of_file(settings.token_key_path),
            installation_of(settings.state_dir, settings.installation, database),
            hides_access=settings.token_storage != "plain",  # noqa: S105 - a way, not a token
        )

    @cached_property
    def token_store(self) -> TokenStore:
        from qbo_pipeline.warehouse.token_store import TokenStore

        return TokenStore(self.engine, self.custody)

    @cached_property
    def spool(self) -> Spool:
        """The second place of the token pairs."""
        from qbo_pipeline.warehouse.spool import Spool

        return Spool(self.settings.state_dir / "spool", self.custody.vault)

    @cached_property
    def keeper(self) -> TokenKeeper:
        from qbo_pipeline.tokens import TokenKeeper

        return TokenKeeper(self.token_store, self.oauth, self.spool)

    @cached_property
    def connector(self) -> Connector:
        from qbo_pipeline.connect import Connector

        return Connector(
            self.environment,
            self.oauth,
            self.companies,
            self.custody,
            lambda realm_id, token: self.clients.of(realm_id, lambda _: token).company_info().record,
            redirect_uri=self.settings.redirect_uri,
        )

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
        progress: Callable[[EntityOutcome], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Outcome:
        """Sync one company, holding its lease, and record the run and its calls.

        Failures of single entities are in the outcome; what makes any sync impossible is raised (PipelineError).
        ``believe_deletions`` removes however many records QuickBooks no longer has: a person has looked.
        """
        from qbo_pipeline.syncing import Syncer, new_run

        def tell(each: EntityOutcome) -> None:
            for observer in (progress, *self.observers):
                observer(each)

        run = new_run(self.company(word), entities, window, trigger=trigger, run_id=run_id)
        return Syncer(self.engine, self._client_of).sync(
            run, believe_deletions=believe_deletions, progress=tell, on_wait=on_wait
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

        return Syncer(self.engine, self._client_of).reconcile(
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
        client = self._client_of(company, lambda call: calls.update([call.kind]))
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

    def _client_of(self, company: Company, on_call: Callable[[Call], None]) -> QboClient:
        """Return a client of a connected company, which renews its access token when it has to."""
        return self.clients.of(
            company.realm_id, lambda refused: self.keeper.access_token(company.realm_id, refused=refused), on_call
        )
