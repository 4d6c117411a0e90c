"""The companies that are connected."""

import dagster as dg

from qbo_pipeline.catalog import SCHEMA
from qbo_pipeline.defs.boundary import told_safely
from qbo_pipeline.defs.resources import Books

_ABOUT_COMPANIES = "Companies connected to QuickBooks: one row each, written when a person connects one."


@dg.asset(
    key=[SCHEMA, "companies"],
    description=_ABOUT_COMPANIES,
    group_name="company",
    kinds={"postgres"},
    owners=["team:finance-data"],
    metadata={"dagster/table_name": f"{SCHEMA}.companies"},
)
def connected_companies(books: dg.ResourceParam[Books]) -> dg.MaterializeResult[None]:
    """Report which companies are connected, and how each is doing."""
    with told_safely():
        frame = books.overview()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(frame),
            "companies": dg.MetadataValue.table(
                [dg.TableRecord(dict(zip(frame.columns, row, strict=True))) for row in frame.astype(str).to_numpy()]
            )
            if len(frame)
            else dg.MetadataValue.text("none connected yet: qbo connect"),
        }
    )
