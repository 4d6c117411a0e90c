"""Every changed record of an entity, exactly, while people keep editing the books.

Flows in    a client, an entity, a window of time
Flows out   ``Page`` after ``Page``: records never yielded before, or changed since, and Intuit's clock
Refuses     to guess: an answer that ignores order or bounds is an error, not a shorter list

Paging by STARTPOSITION, as everybody does, loses rows: an edit moves a record to the end of the order, everything
behind it moves up by one, and the record at the page's edge is skipped; its old timestamp hides it from the next run
too. So every page starts at position 1 and the closed lower bound moves up instead. Why nothing is lost: a record is
either in a page, or its time is not below the page's last one, where the next page begins; and edits only move it up.

Timestamps are whole seconds, and an import can put thousands of records into one. Where a full page lies within one
second the bound cannot move; that second alone is paged by STARTPOSITION, until two passes agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

import msgspec

from qbo_pipeline.errors import RejectedError, RetryableError
from qbo_pipeline.qbo.answers import QueryAnswer, moment
from qbo_pipeline.qbo.query import MAX_RESULTS, Condition, Select

By: TypeAlias = Literal["LastUpdatedTime", "CreateTime"]
Identity: TypeAlias = tuple[str | int | bytes, str | int | None, str | None]  # who, and in which state

# Every loop below ends by itself; these are the proof. 200,000 pages are 200 million records of one entity.
MOST_PAGES = 200_000
MOST_PASSES = 12

_SECOND = timedelta(seconds=1)


class Queries(Protocol):
    """The part of ``QboClient`` that paging needs."""

    def query(self, statement: Select, *, page: int | None = None) -> QueryAnswer: ...


@dataclass(frozen=True, slots=True)
class Page:
    """Records nobody was given before in this state; ``time`` is Intuit's clock when it answered.

    The first page may be empty: its ``time`` is still news. ``ids`` are the records' own where they were read anyway,
    else none.
    """

    records: list[msgspec.Raw]
    time: datetime | None
    ids: Sequence[str] = ()


class _Times(msgspec.Struct):
    created: str | None = msgspec.field(default=None, name="CreateTime")
    updated: str | None = msgspec.field(default=None, name="LastUpdatedTime")


class _Head(msgspec.Struct):
    id: str | int | None = msgspec.field(default=None, name="Id")
    sync_token: str | int | None = msgspec.field(default=None, name="SyncToken")
    times: _Times | None = msgspec.field(default=None, name="MetaData")


_head = msgspec.json.Decoder(_Head)
_wrapped_head = msgspec.json.Decoder(dict[str, _Head])


def changed_pages(
    client: Queries,
    entity: str,
    *,
    since: datetime | None,
    until: datetime | None = None,
    by: By = "LastUpdatedTime",
    inactive_too: bool,
    where: Sequence[Condition] = (),
    page_size: int = MAX_RESULTS,
    trust_short_pages: bool = True,
) -> Iterator[Page]:
    """Yield every record changed (or created) in ``since <= time < until``; an open end is None.

    ``inactive_too`` belongs to name lists: without it QuickBooks hides their inactive records. ``where`` must hold too,
    and must not depend on anything that changes. A page shorter than asked for ends the read, as Intuit documents;
    without ``trust_short_pages`` only an empty one does, which costs a few calls more.

    A record that existed all the while is yielded, however often it was edited meanwhile, unless the edit moved it
    past ``until``. Memory is one page, and inside a crowded second one digest per record.
    """
    return _Reading(
        client,
        entity,
        until,
        by,
        inactive_too=inactive_too,
        where=tuple(where),
        page_size=page_size,
        trust_short_pages=trust_short_pages,
    ).pages(since)


class _Reading:
    """One read of one entity: what to ask for, and how to tell an end from a page."""

    def __init__(
        self,
        client: Queries,
        entity: str,
        until: datetime | None,
        by: By,
        *,
        inactive_too: bool,
        where: tuple[Condition, ...],
        page_size: int,
        trust_short_pages: bool,
    ) -> None:
        self._client = client
        self._entity = entity
        self._until = until
        self._by = by
        self._property = f"MetaData.{by}"
        self._inactive_too = inactive_too
        self._where = where
        self._page_size = page_size
        self._trust_short_pages = trust_short_pages
        self._asked = 0

    def pages(self, since: datetime | None) -> Iterator[Page]:
        bound = since and _whole(since)
        seen: set[bytes] = set()  # what was yielded of the bound's own second, which is all that can come again
        while True:
            answer, times = self._ordered_answer(bound)
            fresh = _not_in(seen, answer.records)
            if fresh or self._asked == 1:
                yield Page(fresh, answer.time)
            if not self._may_go_on(answer):
                return
            first, last = times[0], times[-1]
            if last is None:
                # Without times no bound can move. Offsets, repeated until they agree, are the best QuickBooks has.
                yield from self._passes(self._window(bound, self._until), seen | _digests(fresh), answer)
                return
            if first != last and (bound is None or last > bound):
                bound = last
                seen = _digests(record for record, time in zip(answer.records, times, strict=True) if time == last)
                continue
            after = last + _SECOND
            yield from self._passes(self._window(last, after), seen | _digests(fresh), answer)
            if self._until is not None and after >= self._until:
                return
            bound, seen = after, set()

    def _passes(self, window: Select, seen: set[bytes], sample: QueryAnswer) -> Iterator[Page]:
        """Page ``window`` by offset until two passes in a row show the same records, and none of them twice.

        Why that is enough: a record is skipped only when another, seen earlier in the same pass, has left the window;
        then the next pass differs. An order that changes from page to page shows as a record met twice. Within one
        second time gives no order at all, so records that have an Id are ordered by it.
        """
        by_id = all(_head_of(record).id is not None for record in sample.records)
        window = window.ordered_by("Id") if by_id else window
        before: set[Identity] = set()
        futile = 0
        while futile < MOST_PASSES:
            met: list[Identity] = []
            while True:
                answer = self._ask(window.page(len(met) + 1, self._page_size))
                identities = [identity(record) for record in answer.records]
                nothing_new = set(identities) <= set(met)
                met += identities
                fresh = _not_in(seen, answer.records)
                seen |= _digests(fresh)
                if fresh:
                    yield Page(fresh, answer.time)
                if nothing_new or not self._may_go_on(answer):
                    break
            if set(met) == before and len(met) == len(before):
                return
            # Whoever leaves a past second never comes back, so passes that saw somebody leave cannot go on for ever.
            futile += {who for who, *_ in before} <= {who for who, *_ in met}
            before = set(met)
        raise RetryableError(
            f"reading {self._entity}: {MOST_PASSES} passes over the records of one second never agreed, because they"
            " are being changed right now or STARTPOSITION is ignored; read it again later"
        )

    def _ordered_answer(self, bound: datetime | None) -> tuple[QueryAnswer, list[datetime | None]]:
        """Ask for the page that begins at ``bound``; one that is out of order is asked for again, then refused."""
        statement = self._window(bound, self._until).ordered_by(self._property).page(1, self._page_size)
        for _ in range(2):
            answer = self._ask(statement)
            # Order matters only where there is more to come. An edit can fall between QuickBooks' sorting and its
            # writing, so one disorder proves nothing; two in a row mean that the order or the bound is ignored.
            if not self._may_go_on(answer):
                return answer, []
            times = [time_of(record, self._by) for record in answer.records]
            known = [time for time in times if time is not None]
            if known == sorted(known) and (bound is None or not known or known[0] >= bound):
                return answer, times
        raise self._refusal(f"the order or the lower bound of {self._property}")

    def _may_go_on(self, answer: QueryAnswer) -> bool:
        return len(answer.records) >= (self._page_size if self._trust_short_pages else 1)

    def _window(self, since: datetime | None, until: datetime | None) -> Select:
        end = min((end for end in (until, self._until) if end is not None), default=None)
        return window(self._entity, self._where, self._by, since, end, inactive_too=self._inactive_too)

    def _ask(self, statement: Select) -> QueryAnswer:
        self._asked += 1
        if self._asked > MOST_PAGES:
            raise self._refusal("every end")
        return self._client.query(statement, page=self._asked)

    def _refusal(self, what: str) -> RejectedError:
        return RejectedError(
            f"reading {self._entity}: QuickBooks ignored {what}, so records could be lost unnoticed; the read stopped"
            " here and its cursor must not move"
        )


def window(
    entity: str,
    where: Sequence[Condition],
    by: By,
    since: datetime | None,
    until: datetime | None,
    *,
    inactive_too: bool,
) -> Select:
    """Return the statement for every record with ``since <= time < until``; an open end is None."""
    select = Select(entity, tuple(where))
    if since is not None:
        select = select.where(f"MetaData.{by}", ">=", _whole(since))
    if until is not None:
        select = select.where(f"MetaData.{by}", "<", until)
    return select.where("Active", "in", (True, False)) if inactive_too else select


def time_of(record: msgspec.Raw, by: By) -> datetime | None:
    """Return when a record was changed (or created), in whole seconds; None where it does not say."""
    return id_and_time(record, by)[1]


def id_and_time(record: msgspec.Raw, by: By) -> tuple[str, datetime | None]:
    """Return a record's Id, empty where it has none, and what ``time_of`` returns."""
    head = _head_of(record)
    times = head.times
    found = moment(times.updated if by == "LastUpdatedTime" else times.created) if times else None
    return "" if head.id is None else str(head.id), _whole(found) if found is not None else None


def _whole(time: datetime) -> datetime:
    return time.replace(microsecond=0)


def _head_of(record: msgspec.Raw) -> _Head:
    """Read who a record is. RecurringTransaction wraps the template that has the Id in an object of one member."""
    try:
        head = _head.decode(record)
        if head.id is None and head.times is None:
            inner = list(_wrapped_head.decode(record).values())
            return inner[0] if len(inner) == 1 else head
    except msgspec.ValidationError:
        return _Head()
    return head


def identity(record: msgspec.Raw) -> Identity:
    """Return who a record is, and in which state."""
    # Not the bytes where there is an Id: an Attachable's download address is another one in every answer.
    head = _head_of(record)
    who = _digest(record) if head.id is None else head.id
    return (who, head.sync_token, head.times.updated if head.times else None)


def _digest(record: msgspec.Raw) -> bytes:
    return hashlib.blake2b(record, digest_size=16).digest()


def _digests(records: Iterable[msgspec.Raw]) -> set[bytes]:
    return {_digest(record) for record in records}


def _not_in(seen: set[bytes], records: list[msgspec.Raw]) -> list[msgspec.Raw]:
    return [record for record in records if _digest(record) not in seen] if seen else records
