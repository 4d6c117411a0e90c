"""Asset keys: table ``quickbooks.invoices`` is ``quickbooks/invoices``, its source ``quickbooks_online/Invoice``."""

import dagster as dg

from qbo_pipeline.catalog import SCHEMA, Entity, Table
from qbo_pipeline.catalog.views import View

SOURCE = "quickbooks_online"


def source_key(entity: Entity) -> dg.AssetKey:
    return dg.AssetKey([SOURCE, entity.name])


def table_key(table: Table | View) -> dg.AssetKey:
    return dg.AssetKey([SCHEMA, table.name])
