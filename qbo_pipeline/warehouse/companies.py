"""The companies that are connected, and the one place where a company becomes connected.

``connect`` writes ``companies``, ``tokens`` and ``connections`` in one transaction. ``adopt_tokens`` gives companies
that another program connected (a row in ``tokens``, none in ``connections``) their place here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from qbo_pipeline.errors import UsageError
from qbo_pipeline.warehouse.grants import Grant, write_tokens
from qbo_pipeline.warehouse.naming import environment_of, partition_key
from qbo_pipeline.warehouse.vault import Custody


@dataclass(frozen=True, slots=True)
class Company:
    """One connected QuickBooks company."""

    realm_id: str
    name: str
    environment: str
    partition_key: str
    status: str
    base_url: str | None
    connected_at: dt.datetime
    books_since: dt.date | None
    initial_load_at: dt.datetime | None
    refreshed_at: dt.datetime | None
    last_error: str | None

    @property
    def is_active(self) -> bool:
        """True while its tokens work, or may work again by themselves; False when a person must connect it again."""
        return self.status in ("active", "suspect")


_SELECT = """
SELECT c.realm_id, coalesce(k.name, c.realm_id) AS name, c.environment, c.partition_key, c.status, t.base_url,
       c.connected_at, c.books_since, c.initial_load_at, c.refreshed_at, c.last_error
FROM quickbooks.connections c
LEFT JOIN quickbooks.tokens t ON t.realm_id = c.realm_id
LEFT JOIN quickbooks.companies k ON k.id = coalesce(t.company_id, c.realm_id)
"""

_STRAYS = """
SELECT t.realm_id, coalesce(k.name, t.realm_id) AS name, t.base_url
FROM quickbooks.tokens t
LEFT JOIN quickbooks.companies k ON k.id = t.company_id
WHERE t.is_active AND t.realm_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM quickbooks.connections c WHERE c.realm_id = t.realm_id)
ORDER BY t.id
"""


_CONNECTED = """
UPDATE quickbooks.connections
SET status = 'active', generation = :generation, refreshed_at = now(), lease_epoch = lease_epoch + 1,
    lease_owner = NULL, lease_until = NULL, intent_at = NULL, installation = :installation,
    chain = CAST(gen_random_uuid() AS text), prev_refresh_token = NULL, prev_generation = NULL,
    prev_superseded_at = NULL, refresh_hard_expires_at = now() + make_interval(secs => :hard), failures = 0,
    refusals = 0, suspect_since = NULL, retry_at = NULL, last_error = NULL, last_intuit_tid = :intuit_tid,
    books_since = coalesce(books_since, :books_since)
WHERE realm_id = :realm_id
"""


class CompanyStore:
    """Connected companies in Postgres."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def connect(
        self,
        realm_id: str,
        name: str,
        *,
        environment: str,
        base_url: str,
        grant: Grant,
        custody: Custody,
        scope: str | None = None,
        books_since: dt.date | None = None,
    ) -> Company:
        """Connect a company, or connect it again: its tokens are replaced, its key and its environment stay.

        ``books_since`` is the day the company was made in QuickBooks, where that is known. From now on ``custody``'s
        installation keeps the tokens. A refresh that is under way loses its lease, and what was spooled of the old
        chain counts no more: neither must overwrite what a person has just granted.
        """
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.connections (realm_id, environment, partition_key) "
                    "VALUES (:realm_id, :environment, :key) ON CONFLICT (realm_id) DO NOTHING"
                ),
                {"realm_id": realm_id, "environment": environment, "key": partition_key(name, realm_id)},
            )
            settled, generation = connection.execute(
                sa.text(
                    "SELECT environment, generation FROM quickbooks.connections WHERE realm_id = :realm_id FOR UPDATE"
                ),
                {"realm_id": realm_id},
            ).one()
            if settled != environment:
                raise UsageError(
                    f"Company {realm_id} is connected to the environment '{settled}' and cannot be connected to "
                    f"'{environment}' in the same database: use another database for '{environment}'."
                )
            write_tokens(
                connection,
                realm_id,
                grant,
                custody=custody,
                generation=generation + 1,
                refresh_token=(grant.refresh_token or "").strip() or None,
                base_url=base_url,
                scope=scope,
            )
            connection.execute(
                sa.text(
                    "INSERT INTO quickbooks.companies (id, name) "
                    "SELECT company_id, :name FROM quickbooks.tokens WHERE realm_id = :realm_id "
                    "ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
                    "updated_at = now() AT TIME ZONE 'UTC', last_updated = now() AT TIME ZONE 'UTC'"
                ),
                {"realm_id": realm_id, "name": name[:255]},
            )
            connection.execute(
                sa.text(_CONNECTED),
                {
                    "realm_id": realm_id,
                    "books_since": books_since,
                    "generation": generation + 1,
                    "installation": custody.installation,
                    "hard": grant.refresh_hard_expires_in,
                    "intuit_tid": grant.intuit_tid,
                },
            )
            return _find(connection, realm_id)

    def all(self, environment: str | None = None) -> list[Company]:
        """Return the connected companies in order of their names; only those of one environment if it is given."""
        with self._engine.connect() as connection:
            found = [Company(**row) for row in connection.execute(sa.text(_SELECT)).mappings()]
        wanted = [company for company in found if environment in (None, company.environment)]
        return sorted(wanted, key=lambda company: (company.name.casefold(), company.realm_id))

    def get(self, word: str, environment: str | None = None) -> Company:
        """Return the company that ``word`` means: its key, its realm id, or its name if only one has that name."""
        companies = self.all(environment)
        meant = word.strip().casefold()
        for company in companies:
            if meant in (company.partition_key, company.realm_id):
                return company
        named = [company for company in companies if company.name.casefold() == meant]
        if len(named) == 1:
            return named[0]
        if named:
            raise UsageError(f"{len(named)} companies are called '{word}': say which by its key, {_keys(named)}.")
        if not companies:
            raise UsageError(f"There is no company '{word}': none is connected yet (`qbo connect`).")
        raise UsageError(f"There is no company '{word}'; connected are {_keys(companies)}.")

    def adopt(self) -> list[Company]:
        """Take over the companies that another program has connected since; return them."""
        with self._engine.begin() as connection:
            return adopt_tokens(connection)

    def initial_load_finished(self, realm_id: str) -> None:
        """Note that the first full sync is done; later calls leave the first time as it is."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "UPDATE quickbooks.connections SET initial_load_at = now() "
                    "WHERE realm_id = :realm_id AND initial_load_at IS NULL"
                ),
                {"realm_id": realm_id},
            )


def adopt_tokens(connection: sa.Connection) -> list[Company]:
    """Give every active token row without a connection its connection."""
    strays = connection.execute(sa.text(_STRAYS)).all()
    for stray in strays:
        connection.execute(
            sa.text(
                "INSERT INTO quickbooks.connections (realm_id, environment, partition_key) "
                "VALUES (:realm_id, :environment, :key) ON CONFLICT (realm_id) DO NOTHING"
            ),
            {
                "realm_id": stray.realm_id,
                "environment": environment_of(stray.base_url),
                "key": partition_key(stray.name, stray.realm_id),
            },
        )
    return [_find(connection, stray.realm_id) for stray in strays]


def _find(connection: sa.Connection, realm_id: str) -> Company:
    found = connection.execute(sa.text(_SELECT + "WHERE c.realm_id = :realm_id"), {"realm_id": realm_id})
    return Company(**found.mappings().one())


def _keys(companies: list[Company]) -> str:
    return ", ".join(company.partition_key for company in companies)
