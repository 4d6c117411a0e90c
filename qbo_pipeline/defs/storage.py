"""Dagster's storage in Postgres, over connections that stay open.

dagster-postgres connects anew for every statement: a thousand times in a run of all tables, which is most of what the
run costs, and minutes where Postgres is a network away (Neon). Here each process keeps one connection per storage and
asks whether it is still alive before it uses it. ``dagster.yaml`` names this class.
"""

from typing import Any

from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config
from sqlalchemy import Engine

#: Kept open and used again; more are opened while more are needed at once, and closed again.
_KEPT, _MORE = 1, 20
#: Seconds after which a connection is replaced: some proxies drop old ones without a word.
_RECYCLE = 300


class PooledPostgresStorage(DagsterPostgresStorage):
    """What ``dagster-postgres`` stores, configured as it is: ``postgres_url`` and the like."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True, inst_data: Any = None) -> None:
        """Make the tables, if they are missing and wanted."""
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        self._event_log_storage = _EventLog(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = _pooled(postgres_url)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "PooledPostgresStorage":
        """Return the storage that a ``dagster.yaml`` describes."""
        return cls(pg_url_from_config(config_value), config_value.get("should_autocreate_tables", True), inst_data)


class _EventLog(PostgresEventLogStorage):
    """Remembers which tables there are: it is asked before every event, and none ever goes away."""

    def has_table(self, table_name: str) -> bool:
        known: set[str] = self.__dict__.setdefault("_known_tables", set())
        if table_name not in known and super().has_table(table_name):
            known.add(table_name)
        return table_name in known


def _pooled(url: str) -> Engine:
    engine: Engine = create_pg_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=_KEPT,
        max_overflow=_MORE,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE,
    )
    return engine
