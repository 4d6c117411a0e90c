"""The parts of one installation, wired from its settings: databases, QuickBooks, and the tokens between them.

Nothing is read or opened before it is first needed, so a code location loads without any environment at all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from qbo_pipeline.errors import SettingsError, WarehouseError
from qbo_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from qbo_pipeline.connect import Connector
    from qbo_pipeline.qbo.client import Call, QboClient
    from qbo_pipeline.qbo.clients import Clients, Waiting
    from qbo_pipeline.qbo.environments import Environment
    from qbo_pipeline.qbo.oauth import OAuthClient
    from qbo_pipeline.tokens import TokenKeeper
    from qbo_pipeline.warehouse.companies import Company, CompanyStore
    from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
    from qbo_pipeline.warehouse.inbox import Inbox
    from qbo_pipeline.warehouse.spool import Spool
    from qbo_pipeline.warehouse.token_store import TokenStore
    from qbo_pipeline.warehouse.vault import Custody

#: So many notifications are stored at the same time.
LETTERBOX_CONNECTIONS = 16


class Installation:
    """What everything else is made of; each part is made when it is first asked for."""

    def __init__(self, settings: Settings | None = None, *, waiting: Waiting | None = None) -> None:
        """Without ``settings`` the environment has them; ``waiting`` is how clients of QuickBooks let time pass."""
        self._given_settings = settings
        self._waiting = waiting

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
        """What QuickBooks' webhooks told."""
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

    def client_of(self, company: Company, on_call: Callable[[Call], None]) -> QboClient:
        """Return a client of a connected company, which renews its access token when it has to."""
        return self.clients.of(
            company.realm_id, lambda refused: self.keeper.access_token(company.realm_id, refused=refused), on_call
        )
