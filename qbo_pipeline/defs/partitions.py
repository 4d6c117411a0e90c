"""Partitions: company x month, so that the backfill dialog is a company picker and a range of months.

A month is the month a record was *created* in QuickBooks, which never moves: a green January stays true whatever is
edited later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

#: No QuickBooks Online company holds records made before this.
FIRST_MONTH = "2010-01-01"

COMPANIES = dg.DynamicPartitionsDefinition(name="companies")
# One month beyond the last complete one: the month we are in has to be there too.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, end_offset=1, timezone="UTC")
COMPANY_MONTHS = dg.MultiPartitionsDefinition({"company": COMPANIES, "month": MONTHS})


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run's partitions ask for: one company, and months from ``since`` up to ``until`` (excluded)."""

    company: str
    since: datetime
    until: datetime
    months: int

    def is_current_month(self, now: datetime) -> bool:
        return self.months == 1 and self.since <= now < self.until


def selection(keys: Iterable[str]) -> Selection:
    """Return what partition keys like ``acme-9130…|2026-11-01`` select.

    Raises dg.Failure when they name several companies, because a run holds one company's lock.
    """
    parts = [key.keys_by_dimension if isinstance(key, dg.MultiPartitionKey) else _split(key) for key in keys]
    companies = sorted({part["company"] for part in parts})
    if len(companies) != 1:
        raise dg.Failure(
            f"A run syncs one company, but its partitions name {len(companies)}: {', '.join(companies) or 'none'}. "
            "Launch a backfill instead: it makes one run per company.",
            allow_retries=False,
        )
    months = sorted(part["month"] for part in parts)
    first, last = MONTHS.time_window_for_partition_key(months[0]), MONTHS.time_window_for_partition_key(months[-1])
    return Selection(companies[0], _utc(first.start), _utc(last.end), len(months))


def current_month(now: datetime) -> str:
    """Return the key of the month ``now`` lies in."""
    return now.astimezone(UTC).strftime("%Y-%m-01")


def key(company: str, month: str) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({"company": company, "month": month})


def _split(text: str) -> dict[str, str]:
    company, _, month = text.rpartition("|")
    return {"company": company, "month": month}


def _utc(time: datetime) -> datetime:
    return datetime.fromtimestamp(time.timestamp(), UTC)
