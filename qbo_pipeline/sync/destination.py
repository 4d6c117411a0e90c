"""dlt's Postgres destination, with exact numbers, and with a fence around everything it writes.

dlt stages every decimal as ``numeric(38,9)``: more than nine decimals would be rounded on the way, silently, and
``3.30`` would come out as ``3.300000000``. Here decimals are staged as plain ``numeric``, which keeps every digit.

A fence is called with a cursor at the start of every transaction and raises LeaseLostError when the company is being
written by another by now. It has to be inside: between any check of ours and dlt's next statement a process may sleep.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlt.common.data_types.typing import TDataType
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.exceptions import TerminalException
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration
from dlt.destinations.impl.postgres.factory import PostgresTypeMapper
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresCsvCopyJob
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.sql_client import raise_database_error
from dlt.destinations.typing import DBTransaction

from qbo_pipeline.errors import LeaseLostError
from qbo_pipeline.sync.fence import Fence
from qbo_pipeline.sync.files import SEPARATOR

#: How much is sent to Postgres at once.
_COPY_BYTES = 256 * 1024


class ExactTypeMapper(PostgresTypeMapper):
    """Postgres types as dlt maps them, decimals without precision."""

    sct_to_unbound_dbt: dict[TDataType, str] = {  # noqa: RUF012 - dlt declares it so
        **PostgresTypeMapper.sct_to_unbound_dbt,
        "decimal": "numeric",
        "text": "text",
    }

    def to_db_decimal_type(self, column: TColumnSchema) -> str:  # noqa: ARG002 - every decimal alike
        return "numeric"


class CopyTextJob(RunnableLoadJob, HasFollowupJobs):
    """Copies a file of rows (``files.py``) into the staging table; dlt itself knows ``COPY`` for CSV alone.

    dlt has no name for the format either, so the files pass as CSV as far as it is concerned.
    """

    _job_client: PostgresClient

    def run(self) -> None:
        client = self._job_client.sql_client
        with Path(self._file_path).open("rb") as file:
            names = file.readline().decode().rstrip("\n").split(SEPARATOR)
            columns = ", ".join(client.escape_column_name(name) for name in names)
            table = client.make_qualified_table_name(self.load_table_name)
            with client.begin_transaction(), client.native_connection.cursor() as cursor:
                command = f"COPY {table} ({columns}) FROM STDIN (FORMAT text, NULL '', ENCODING 'utf-8')"
                cursor.copy_expert(command, file, size=_COPY_BYTES)


class FencedOutError(LeaseLostError, TerminalException):
    """The lease was lost, said so that dlt gives up at once instead of trying again."""


class FencedSqlClient(Psycopg2SqlClient):
    """dlt's connection, on which no statement runs outside a transaction that the fence began."""

    fence: Fence

    @contextmanager
    def begin_transaction(self) -> Iterator[DBTransaction]:
        with super().begin_transaction() as transaction:
            self._hold_the_fence()
            yield transaction

    @contextmanager
    def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        if not self.native_connection.autocommit:
            with super().execute_query(query, *args, **kwargs) as cursor:
                yield cursor
        else:  # what dlt would run by itself, the row that makes a load count among it
            with self.begin_transaction(), super().execute_query(query, *args, **kwargs) as cursor:
                yield cursor

    @raise_database_error
    def _hold_the_fence(self) -> None:
        with self.native_connection.cursor() as cursor:
            try:
                self.fence(cursor)
            except LeaseLostError as lost:
                raise FencedOutError(str(lost)) from lost


class exact_postgres(postgres):  # noqa: N801 - dlt names its destinations in lower case
    """Postgres with ``ExactTypeMapper``, behind a fence if one is given."""

    #: Whose ``__init__`` has the defaults: dlt drops settings that equal them, so that they do not count as explicit.
    __orig_base__ = postgres

    def __init__(self, *, fence: Fence | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._fence = fence

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.type_mapper = ExactTypeMapper
        return capabilities

    @property
    def client_class(self) -> type[PostgresClient]:
        return _fenced_client(self._fence) if self._fence is not None else CopyingClient


class CopyingClient(PostgresClient):
    """dlt's client, with ``CopyTextJob`` for the files."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        job = super().create_load_job(table, file_path, load_id, restore)
        return CopyTextJob(file_path) if isinstance(job, PostgresCsvCopyJob) else job


def _fenced_client(the_fence: Fence) -> type[PostgresClient]:
    # dlt makes a client for every job from the class alone, so it is the class that has to know the fence.
    class FencedClient(CopyingClient):
        def __init__(
            self, schema: Schema, config: PostgresClientConfiguration, capabilities: DestinationCapabilitiesContext
        ) -> None:
            super().__init__(schema, config, capabilities)
            plain = self.sql_client
            self.sql_client = FencedSqlClient(
                plain.dataset_name, plain.staging_dataset_name, config.credentials, capabilities
            )
            self.sql_client.fence = the_fence

    return FencedClient
