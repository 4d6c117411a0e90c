"""Reading by query so that nothing is missed: what was read is counted, and an unreadable record costs only itself.

QuickBooks ends a list with a page shorter than asked for, so a page that is short for another reason looks like an end:
``COUNT(*)`` over the same window, asked first, tells; where it is zero there is nothing to read. Where a second look is
short of a second count too, what was seen is loaded and the cursor stays. One record QuickBooks cannot write (4002,
10000) fails every page it is on: the window is halved until that record's second is alone, everything around it is
read, and the second is named.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from qbo_pipeline.catalog import Entity
from qbo_pipeline.errors import PipelineError, QboError, RetryableError, UnreadableRecordError
from qbo_pipeline.qbo.ahead import WORTH_IT, LongRead
from qbo_pipeline.qbo.answers import CountAnswer
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.paging import By, Page, changed_pages
from qbo_pipeline.qbo.query import MAX_RESULTS, Condition
from qbo_pipeline.sync.heads import key_in
from qbo_pipeline.sync.id_set import IdSet

#: Intuit's codes for "one of these records cannot be written out".
_POISON = frozenset({"4002", "10000"})
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
#: More records than this are read with several pages in flight.
AHEAD = WORTH_IT * MAX_RESULTS


@dataclass(slots=True)
class ExactReading:
    """One read of an entity; ``ids`` fills with what was read, ``unreadable`` with windows that cannot be.

    ``total`` is how many records were counted before, None where they could not be.
    """

    client: QboClient
    entity: Entity
    by: By = "LastUpdatedTime"
    where: tuple[Condition, ...] = ()
    ids: IdSet = field(default_factory=IdSet)
    unreadable: list[tuple[datetime, datetime]] = field(default_factory=list)
    total: int | None = None
    #: How many records QuickBooks counts and does not show.
    unseen: int = 0
    _time: datetime | None = None
    _asked: tuple[datetime | None, datetime | None] = (None, None)

    def pages(self, since: datetime | None, until: datetime | None = None) -> Iterator[Page]:
        """Yield every record touched (or created) from ``since`` up to ``until``; open ends are None."""
        self._asked = (since, until)
        counted = self._counted(since, until)
        if counted is not None and counted.total == 0:
            yield Page([], counted.time)
            return
        if counted is None:
            yield from self._window(since, until)
            return
        self._time, self.total = counted.time, counted.total
        # What is touched after the count is the next sync's, so the read may end once it has shown as many as that.
        yield from self._enough(self._counted_pages(counted.total, since, until), counted)
        if not self.unreadable and len(self.ids) < counted.total:
            # A page was short, or empty, and was no end. The second look goes on until a page is empty, and no further
            # than the count: people who add records meanwhile would keep it going for ever.
            counted_at = (counted.time or datetime.now(UTC)).replace(microsecond=0) + _SECOND
            yield from self._second_look(since, min(until, counted_at) if until is not None else counted_at)

    def confirm_nothing(self) -> None:
        """Raise RetryableError when nothing at all was read where QuickBooks counts something: that is no answer."""
        if not self.ids and (counted := self.count(*self._asked)):
            raise RetryableError(
                f"reading {self.entity.name}: QuickBooks counts {counted:,} records but shows none; read it again later"
            )

    def count(self, since: datetime | None = None, until: datetime | None = None) -> int:
        """Return how many records QuickBooks counts in a window."""
        return self._count(since, until).total

    def _counted(self, since: datetime | None, until: datetime | None) -> CountAnswer | None:
        """Return how many records there should be, None where a record that cannot be read spoils even that."""
        try:
            return self._count(since, until)
        except QboError as error:
            if error.code not in _POISON:
                raise
            return None

    def _count(self, since: datetime | None, until: datetime | None) -> CountAnswer:
        where = list(self.where)
        if since is not None:
            where.append(Condition(f"MetaData.{self.by}", ">=", since.replace(microsecond=0)))
        if until is not None:
            where.append(Condition(f"MetaData.{self.by}", "<", until))
        if self.entity.active:
            where.append(Condition("Active", "in", (True, False)))
        return self.client.counted(self.entity.name, where)

    def problem(self) -> PipelineError | None:
        """Return what was not read though it is there: windows of time, or how many records; None when all was."""
        if self.unseen:
            return RetryableError(
                f"reading {self.entity.name}: QuickBooks counts {self.unseen:,} more records than it shows, twice "
                "over. What it showed is loaded; the cursor stays, and the next sync reads the same again"
            )
        if not self.unreadable:
            return None
        windows = ", ".join(f"{since:%Y-%m-%d %H:%M:%S} UTC" for since, _ in self.unreadable[:5])
        return UnreadableRecordError(
            f"QuickBooks cannot write out {len(self.unreadable)} second{'s' if len(self.unreadable) > 1 else ''} of "
            f"{self.entity.name} ({self.by} {windows}): open the records last changed then in QuickBooks, mend what it "
            "complains about (an e-mail address, often) and save them. Everything else was read; the cursor stays."
        )

    def _window(
        self, since: datetime | None, until: datetime | None, *, trust_short_pages: bool = True
    ) -> Iterator[Page]:
        yield from self._noted(self._pages(since, until, trust_short_pages=trust_short_pages), since, until)

    def _counted_pages(self, total: int, since: datetime | None, until: datetime | None) -> Generator[Page, None, None]:
        """Read a window that holds ``total`` records, by the way that asks least, or waits least."""
        pages = (
            LongRead(
                self.client,
                self.entity.name,
                total,
                since,
                until,
                inactive_too=self.entity.active,
                by=self.by,
                where=self.where,
            ).pages()
            if total > AHEAD
            else self._pages(since, until)
        )
        yield from self._noted(pages, since, until)

    def _enough(self, pages: Generator[Page, None, None], counted: CountAnswer) -> Iterator[Page]:
        with closing(pages):
            for number, page in enumerate(pages):
                # The cursor may not be younger than the count.
                yield replace(page, time=counted.time) if number == 0 else page
                if len(self.ids) >= counted.total and not self.unreadable:
                    return

    def _second_look(self, since: datetime | None, until: datetime) -> Iterator[Page]:
        """Read a window again, to the last empty page, and note how many records of it are still not shown."""
        shown: set[str] = set()
        for page in self._window(since, until, trust_short_pages=False):
            shown.update(key_in(self.entity, record) for record in page.records)
            yield page
        if not self.unreadable and (counted := self._counted(since, until)) is not None:
            self.unseen = max(0, counted.total - len(shown))

    def _pages(self, since: datetime | None, until: datetime | None, **more: bool) -> Iterator[Page]:
        return changed_pages(
            self.client,
            self.entity.name,
            since=since,
            until=until,
            by=self.by,
            inactive_too=self.entity.active,
            where=self.where,
            **more,
        )

    def _noted(self, pages: Iterator[Page], since: datetime | None, until: datetime | None) -> Iterator[Page]:
        """Note what was read; what cannot be is read around."""
        try:
            for page in pages:
                self._time = self._time or page.time
                known = page.ids if self.entity.key_fields == ("Id",) and not self.entity.wrapped else ()
                self.ids.update(known or (key_in(self.entity, record) for record in page.records))
                yield page
        except QboError as error:
            if error.code not in _POISON:
                raise
            yield from self._around_poison(since, until)

    def _around_poison(self, since: datetime | None, until: datetime | None) -> Iterator[Page]:
        first = (since or _FIRST).astimezone(UTC).replace(microsecond=0)
        last = (until or self._now() + timedelta(days=1)).astimezone(UTC).replace(microsecond=0)
        if last - first <= _SECOND:
            self.unreadable.append((first, last))
            return
        middle = first + timedelta(seconds=int((last - first).total_seconds()) // 2)
        yield from self._window(first, middle)
        yield from self._window(middle, last if until is not None else None)

    def _now(self) -> datetime:
        return self._time or datetime.now(UTC)
