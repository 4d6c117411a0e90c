"""Look-ahead for long reads: several pages of one entity in flight, and still nothing lost.

Flows in    a client, an entity, a window of time, and how many records it holds
Flows out   ``Page`` after ``Page``, in order, as ``changed_pages`` yields them

Pages are asked for by position, all at once, so each begins with the record the one before ends with. An edit moves a
record to the end of the order and everything behind it up by one; where two pages do not meet any more, what lies
between their times is read again by time. Records that moved are at the end, so the end is read last. Whatever else is
odd (a short page, no order, no times) ends the look-ahead: the rest is read as ``paging`` reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from qbo_pipeline.qbo.answers import QueryAnswer
from qbo_pipeline.qbo.paging import By, Page, Queries, changed_pages, id_and_time, identity, window
from qbo_pipeline.qbo.query import MAX_RESULTS, Condition, Select

#: Requests in flight for one company; Intuit allows ten a second, and their answers take a second or more.
IN_FLIGHT = 8
#: Fewer pages than this are read one after the other: looking ahead costs a call or two.
WORTH_IT = 5

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class LongRead:
    """One long read of an entity: ``total`` records were counted in ``since <= time < until``."""

    client: Queries
    entity: str
    total: int
    since: datetime | None
    until: datetime | None
    inactive_too: bool
    by: By = "LastUpdatedTime"
    where: Sequence[Condition] = ()
    page_size: int = MAX_RESULTS
    in_flight: int = IN_FLIGHT

    def pages(self) -> Generator[Page, None, None]:
        """Yield every record, a few of them more than once."""
        before: tuple[QueryAnswer, list[datetime]] | None = None
        answers = self._ahead()
        try:
            for answer in answers:
                heads = [id_and_time(record, self.by) for record in answer.records]
                times = [time for _, time in heads if time is not None]
                if not len(heads) == len(times) == self.page_size or times != sorted(times):
                    break  # no page to go on from
                if before is not None and not _meet(*before, answer, times):
                    yield from self._by_time(before[1][-1], times[0] + _SECOND)
                yield Page(answer.records, answer.time, [each for each, _ in heads])
                before = answer, times
        finally:
            answers.close()
        # Nothing is in flight any more, so whoever was moved is at the end by now.
        yield from self._by_time(before[1][-1] if before else self.since, self.until)

    def _ahead(self) -> Generator[QueryAnswer, None, None]:
        """Yield answers in order, of all pages but the last, which is for whoever reads the end."""
        order = f"MetaData.{self.by}"
        statement = window(self.entity, self.where, self.by, self.since, self.until, inactive_too=self.inactive_too)
        stride = self.page_size - 1
        starts = iter(range(1, self.total - stride, stride))
        flying: deque[Future[QueryAnswer]] = deque()
        with ThreadPoolExecutor(self.in_flight, thread_name_prefix=f"reading {self.entity}") as pool:

            def take_off() -> None:
                for start in starts:
                    asked: Select = statement.ordered_by(order).page(start, self.page_size)
                    flying.append(pool.submit(self.client.query, asked, page=start // stride + 1))
                    if len(flying) >= self.in_flight:
                        return

            take_off()
            while flying:
                yield flying.popleft().result()
                take_off()

    def _by_time(self, since: datetime | None, until: datetime | None) -> Iterator[Page]:
        return changed_pages(
            self.client,
            self.entity,
            since=since,
            until=min((end for end in (until, self.until) if end is not None), default=None),
            by=self.by,
            inactive_too=self.inactive_too,
            where=self.where,
            page_size=self.page_size,
        )


def _meet(before: QueryAnswer, earlier: list[datetime], answer: QueryAnswer, times: list[datetime]) -> bool:
    """Say whether nothing can lie between two neighbouring pages, whichever of them was answered first.

    What lies between is no earlier than the end of the one and no later than the beginning of the other. In the same
    second there is no order: there it takes the very same record at both edges, alone in its second. (Should QuickBooks
    order a second differently each time, the count of what was read tells.)
    """
    if times[0] != earlier[-1]:
        return times[0] < earlier[-1]
    alone = earlier[-2] < earlier[-1] and times[0] < times[1]
    return alone and identity(before.records[-1]) == identity(answer.records[0])
