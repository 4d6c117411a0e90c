"""The tokens as an asset: renewed by a small run that leaves evidence, and checked for what a person has to do."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from qbo_pipeline.catalog import SCHEMA
from qbo_pipeline.defs.boundary import told_safely
from qbo_pipeline.defs.resources import Books
from qbo_pipeline.errors import PipelineError
from qbo_pipeline.secret import scrub
from qbo_pipeline.status import HARD_WARNING, ROLLING_WARNING, CompanyStatus
from qbo_pipeline.warehouse.companies import Company

TOKENS = dg.AssetKey([SCHEMA, "tokens"])

#: A consent that ends within this is an error, and no warning any more.
_LAST_WEEK = timedelta(days=7)

_CHECKS = {
    "access_is_fresh": "Every connected company has an access token that works for another minute at least.",
    "rolling_expiry": "No refresh token ends within 14 days: it lives for 100, and every refresh begins them anew.",
    "hard_expiry": "No consent ends within 90 days: QuickBooks ends each after five years, whatever is done.",
    "encrypted_at_rest": "No refresh token lies open in the database; nor an access token, where that is asked for.",
}

Result = dg.MaterializeResult[None] | dg.AssetCheckResult


@dg.asset(
    key=TOKENS,
    description="OAuth tokens, one row per company. Renewed every 50 minutes; other programs may read the access token "
    "here, but must never refresh by themselves.",
    group_name="company",
    kinds={"postgres"},
    owners=["team:finance-data"],
    metadata={"dagster/table_name": f"{SCHEMA}.tokens"},
    check_specs=[dg.AssetCheckSpec(name, asset=TOKENS, description=about) for name, about in _CHECKS.items()],
)
def tokens(context: dg.AssetExecutionContext, books: dg.ResourceParam[Books]) -> Iterator[Result]:
    """Renew the access tokens that are due, one company after the other; then check those of all."""
    with told_safely():
        report = [_renewed(context, books, company) for company in books.due_for_refresh()]
        failures = [f"{each['company']}: {each['outcome']}" for each in report if each["outcome"] != "renewed"]
        if not failures:
            yield dg.MaterializeResult(metadata=_metadata(report))
        yield from _checked(books.statuses(), hides_access=books.custody.hides_access)
        if failures:
            raise dg.Failure("; ".join(failures), metadata=_metadata(report), allow_retries=False)


def _renewed(context: dg.AssetExecutionContext, books: Books, company: Company) -> dict[str, str]:
    """Renew one company's pair; return the evidence, in which nothing is secret."""
    row = {"company": company.partition_key, "generation": "", "expires_at": "", "refresh_expires_at": ""}
    try:
        stored = books.refresh(company)
    except PipelineError as error:
        return row | {"outcome": scrub(str(error)), "intuit_tid": str(getattr(error, "intuit_tid", None) or "")}
    now = datetime.now(UTC)
    context.log.info("%s: renewed, valid until %s", company.partition_key, _time(now, stored.expires_in))
    return row | {
        "outcome": "renewed",
        "generation": str(stored.generation),
        "expires_at": _time(now, stored.expires_in),
        "refresh_expires_at": _time(now, stored.refresh_expires_in),
        "intuit_tid": stored.last_intuit_tid or "",
    }


def _metadata(report: Sequence[dict[str, str]]) -> dict[str, dg.MetadataValue]:
    renewed = sum(row["outcome"] == "renewed" for row in report)
    metadata: dict[str, dg.MetadataValue] = {"renewed": dg.MetadataValue.int(renewed)}
    if report:
        metadata["companies"] = dg.MetadataValue.table([dg.TableRecord(row) for row in report])
    return metadata


def _checked(statuses: list[CompanyStatus], *, hides_access: bool) -> Iterator[dg.AssetCheckResult]:
    """Judge the tokens of every company that is connected; one that was disconnected has none."""
    held = [(status, status.tokens) for status in statuses if status.tokens and status.state != "disconnected"]
    over = [f"{s.company.partition_key}: {s.state}" for s, t in held if t.expires_in <= timedelta(minutes=1)]
    yield _result("access_is_fresh", over, "Every access token works.", is_error=True)
    rolling = [(s, t.refresh_expires_in) for s, t in held if t.refresh_expires_in is not None]
    yield _result("rolling_expiry", _ending(rolling, ROLLING_WARNING), _next_end(rolling))
    hard = [(s, t.refresh_hard_expires_in) for s, t in held if t.refresh_hard_expires_in is not None]
    last_week = bool(_ending(hard, _LAST_WEEK))
    yield _result("hard_expiry", _ending(hard, HARD_WARNING), _next_end(hard), is_error=last_week)
    open_ones = [
        s.company.partition_key for s, t in held if not t.is_sealed or (hides_access and not t.hides_its_access_token)
    ]
    yield _result("encrypted_at_rest", open_ones, "Every refresh token is sealed.")


def _ending(ends: Sequence[tuple[CompanyStatus, timedelta]], within: timedelta) -> list[str]:
    """Return who ends within some time, in steps a reader notices: 90, 30 and 7 days."""
    return [
        f"{status.company.partition_key}: in {max(left.days, 0)} days, {status.connection_action}"
        for status, left in ends
        if left <= within
    ]


def _next_end(ends: Sequence[tuple[CompanyStatus, timedelta]]) -> str:
    return f"The first ends in {min(left for _, left in ends).days} days." if ends else "QuickBooks told no end."


def _result(name: str, bad: list[str], good: str, *, is_error: bool = False) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=TOKENS, check_name=name, passed=not bad, severity=severity, description="; ".join(bad) or good
    )


def _time(now: datetime, left: timedelta | None) -> str:
    return "" if left is None else f"{now + left:%Y-%m-%d %H:%M:%S} UTC"
