"""Deletions: who is gone, how we know, and the brake that keeps a broken answer from emptying a table.

Nothing is called deleted on one answer alone. Change data capture names the deleted, a full read lacks them; either
way QuickBooks is asked for those very Ids before a row moves to ``deleted_records``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import PipelineError, RetryableError, SuspiciousDeletionsError
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.query import MAX_RESULTS, Select
from qbo_pipeline.sync.heads import key_in

#: How many Ids one question names; Intuit documents no limit, and this keeps the statement short.
TOGETHER = 100
#: How many rows one read may find missing without a person's word: this many, or this share of the table.
BRAKE_ROWS = 20
BRAKE_SHARE = 0.10

How = Literal["cdc", "full read", "range read", "read by id"]


@dataclass(frozen=True, slots=True)
class Gone:
    """A record QuickBooks no longer has. ``deleted_at`` is None where it does not say when."""

    id: str
    deleted_at: datetime | None
    how: How


@dataclass(slots=True)
class Findings:
    """What a read of an entity found out beside its records."""

    gone: list[Gone] = field(default_factory=list)
    problem: PipelineError | None = None
    #: How many records QuickBooks counted before they were read.
    expected: int | None = None


def still_there(client: QboClient, entity: Entity, ids: Iterable[str]) -> Iterator[list[msgspec.Raw]]:
    """Yield those of the records that QuickBooks still has, a page per question; what it shows unasked is left out.

    Raises RetryableError when it counts another number of them than it shows.
    """
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), TOGETHER):
        asked = wanted[start : start + TOGETHER]
        statement = Select(entity.name).where("Id", "in", asked)
        if entity.active:
            statement = statement.where("Active", "in", (True, False))
        answer = client.query(statement.page(1, MAX_RESULTS))
        # A page of other records, or one of them twice, must not pass for an answer about these. Nor must a page of
        # before they were deleted, which the count tells.
        shown = {key: record for record in answer.records if (key := key_in(entity, record)) in asked}
        records = list(shown.values())
        if client.count(entity.name, statement.conditions) != len(records):
            raise RetryableError(
                f"asking for {entity.name} records that seem deleted: QuickBooks counts another number of them than "
                "it shows, so none was removed; the next sync asks again"
            )
        yield records


def found_in(entity: Entity, pages: Iterable[list[msgspec.Raw]]) -> dict[str, msgspec.Raw]:
    """Return records by Id."""
    return {key_in(entity, record): record for page in pages for record in page}


def brake(entity: Entity, missing: int, stored: int) -> SuspiciousDeletionsError | None:
    """Return why so many deletions are not to be believed; None when they are few enough."""
    most = max(BRAKE_ROWS, int(stored * BRAKE_SHARE))
    if missing <= most:
        return None
    return SuspiciousDeletionsError(
        f"{missing:,} of {stored:,} {entity.name} records seem deleted in QuickBooks, more than the {most:,} that are "
        f"taken on its word: none was removed. Look there; if it is true, run 'qbo reconcile --entity {entity.name} "
        "--yes'."
    )


def gone_of(
    ids: Iterable[str], live: Mapping[str, msgspec.Raw], how: How, times: Mapping[str, datetime | None] | None = None
) -> list[Gone]:
    """Return the ids that are not live, as deletions."""
    return [Gone(each, (times or {}).get(each), how) for each in sorted(set(ids)) if each not in live]
