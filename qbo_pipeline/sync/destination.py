"""dlt's Postgres destination, with exact numbers.

dlt stages every decimal as ``numeric(38,9)``: more than nine decimals would be rounded on the way, silently, and
``3.30`` would come out as ``3.300000000``. Here decimals are staged as plain ``numeric``, which keeps every digit.
"""

from __future__ import annotations

from dlt.common.data_types.typing import TDataType
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema.typing import TColumnSchema
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.factory import PostgresTypeMapper


class ExactTypeMapper(PostgresTypeMapper):
    """Postgres types as dlt maps them, decimals without precision."""

    sct_to_unbound_dbt: dict[TDataType, str] = {  # noqa: RUF012 - dlt declares it so
        **PostgresTypeMapper.sct_to_unbound_dbt,
        "decimal": "numeric",
        "text": "text",
    }

    def to_db_decimal_type(self, column: TColumnSchema) -> str:  # noqa: ARG002 - every decimal alike
        return "numeric"


class exact_postgres(postgres):  # noqa: N801 - dlt names its destinations in lower case
    """Postgres with ``ExactTypeMapper``."""

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.type_mapper = ExactTypeMapper
        return capabilities
