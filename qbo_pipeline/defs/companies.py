"""The companies that are connected, and the tokens they are read with."""

from datetime import UTC, datetime

import dagster as dg

from qbo_pipeline.catalog import SCHEMA
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.errors import PipelineError

_ABOUT_COMPANIES = "Companies connected to QuickBooks: one row each, written when a person connects one."
_ABOUT_TOKENS = (
    "OAuth tokens, one row per company. Renewed every 50 minutes; other programs may read the access token here, "
    "but must never refresh by themselves."
)


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


@dg.asset(
    key=[SCHEMA, "tokens"],
    description=_ABOUT_TOKENS,
    group_name="company",
    kinds={"postgres"},
    owners=["team:finance-data"],
    metadata={"dagster/table_name": f"{SCHEMA}.tokens"},
)
def tokens(context: dg.AssetExecutionContext, books: dg.ResourceParam[Books]) -> dg.MaterializeResult[None]:
    """Renew the access tokens that are due, one company after the other."""
    report, failures = [], []
    for company in books.due_for_refresh():
        try:
            stored = books.refresh(company)
        except PipelineError as error:
            failures.append(f"{company.partition_key}: {error}")
            report.append({"company": company.partition_key, "outcome": str(error), "generation": "", "expires_at": ""})
        else:
            valid_until = f"{datetime.now(UTC) + stored.expires_in:%Y-%m-%d %H:%M:%S} UTC"
            context.log.info("%s: renewed, valid until %s", company.partition_key, valid_until)
            report.append(
                {
                    "company": company.partition_key,
                    "outcome": "renewed",
                    "generation": str(stored.generation),
                    "expires_at": valid_until,
                }
            )
    if failures:
        raise dg.Failure("; ".join(failures), allow_retries=False)
    metadata: dict[str, dg.MetadataValue] = {"renewed": dg.MetadataValue.int(len(report))}
    if report:
        metadata["companies"] = dg.MetadataValue.table([dg.TableRecord(row) for row in report])
    return dg.MaterializeResult(metadata=metadata)
