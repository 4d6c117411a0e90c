"""Reads a company's books the way the window asks and the catalogue says, and finds out what is gone from them.

An hour is one call of change data capture for everything it covers (``changes.py``); what it cannot tell, and what it
does not cover, is read by query (``exact.py``). Deletions are believed only when QuickBooks no longer has the record
(``deleting.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from qbo_pipeline.catalog import Entity, entity_named
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.paging import Page, changed_pages
from qbo_pipeline.qbo.query import Condition, Select
from qbo_pipeline.sync.changes import Captured, Changes, collect
from qbo_pipeline.sync.deleting import Findings, How, brake, found_in, gone_of, still_there
from qbo_pipeline.sync.exact import ExactReading
from qbo_pipeline.sync.heads import key_in, touched
from qbo_pipeline.sync.named import records_named
from qbo_pipeline.sync.window import Window


class Stored(Protocol):
    """What the warehouse has of one company; ``warehouse.stored`` behind it in real life."""

    def ids(self, entity: Entity, since: datetime | None = None, until: datetime | None = None) -> set[str]:
        """Return the ids of an entity's rows, of those created in a range if one is given."""
        ...

    def present(self, entity: Entity, ids: Collection[str]) -> set[str]:
        """Return which of these ids have a row."""
        ...

    def count(self, entity: Entity) -> int:
        """Return how many rows an entity has."""
        ...

    def deleted_ids(self, entity: Entity) -> set[str]:
        """Return the ids already noted as deleted."""
        ...


class QboReader:
    """A company's books behind a client; satisfies ``resources.Reader``."""

    def __init__(
        self,
        client: QboClient,
        stored: Stored,
        *,
        believe_deletions: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``believe_deletions`` takes the brake off: a person has looked."""
        self._client = client
        self._stored = stored
        self._believes = believe_deletions
        self._now = now
        self._changes = Changes()
        self._findings: dict[str, Findings] = {}

    @property
    def is_quiet(self) -> bool:
        """Say whether change data capture had nothing to tell."""
        return self._changes.is_quiet

    def prepare(self, entities: tuple[Entity, ...], window: Window, cursors: Mapping[str, datetime]) -> None:
        """Ask once for everything that changed, if the window is about changes."""
        self._findings = {}
        self._changes = Changes()
        if window.mode == "incremental":
            covered = [each for each in entities if each.cdc and each.name in cursors]
            since = {each: window.lower_bound(cursors[each.name]) for each in covered}
            self._changes = collect(self._client, {each: time for each, time in since.items() if time is not None})

    def findings(self, entity: Entity) -> Findings:
        """Return what the read of an entity has found out so far beside its records: all of it after its last page."""
        return self._findings.get(entity.name, Findings())

    def pages(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[Page]:
        """Yield pages of ``entity``: touched since ``since``, or created in the window's range."""
        if (error := self._changes.failed.get(entity.name)) is not None:
            raise error
        if since is not None and (captured := self._changes.captured.get(entity.name)) is not None:
            return self._captured(entity, captured, since)
        if window.mode == "ids":
            return self._named(entity, window.ids.get(entity.name, frozenset()))
        if entity.singleton:
            return self._only(entity, since)
        if entity.reads == "list":
            return self._whole(entity)
        if entity.reads == "per currency":
            return self._per_currency(entity, window, since)
        if window.mode == "range":
            return self._range(entity, window)
        if since is None:
            return self._everything(entity)
        return self._changed(entity, since)

    def _captured(self, entity: Entity, captured: Captured, since: datetime) -> Iterator[Page]:
        """Pass on what change data capture told, and settle who is gone."""
        records = touched(entity, captured.records, since)
        noted = self._stored.deleted_ids(entity) if captured.deleted else set()
        noted &= {each.id for each in captured.deleted}
        settled = noted - self._stored.present(entity, noted)
        # Stubs come again for as long as the window reaches back to them; those that are settled cost no call.
        stubs = {each.id: each.deleted_at for each in captured.deleted if each.id not in settled}
        live = found_in(entity, still_there(self._client, entity, stubs))
        self._note(entity).gone = gone_of(stubs, live, "cdc", stubs)
        # A record that was read alive a moment before it was deleted must not come back with this load.
        gone = {each.id for each in self._note(entity).gone}
        yield Page([each for each in records if key_in(entity, each) not in gone], captured.time)
        yield Page(list(live.values()), captured.time)

    def _changed(self, entity: Entity, since: datetime) -> Iterator[Page]:
        """Read what changed by query; where that is instead of change data capture, find the deleted by counting."""
        reading = ExactReading(self._client, entity)
        yield from self._exactly(reading, since)
        # Change data capture would have named the deleted; whoever it does not speak for is counted.
        if (entity.name in self._changes.uncaptured or not entity.cdc) and not reading.unreadable:
            # Counted, not fetched: there may be millions.
            fresh = len(reading.ids) - len(self._stored.present(entity, reading.ids))
            if reading.count() != self._stored.count(entity) + fresh:
                yield from self._everything(entity)

    def _everything(self, entity: Entity) -> Iterator[Page]:
        """Read all there is, and miss what is not."""
        reading = ExactReading(self._client, entity)
        yield from self._exactly(reading, None)
        stored = self._stored.ids(entity)
        yield from self._missed(entity, reading, stored, stored, "full read")

    def _range(self, entity: Entity, window: Window) -> Iterator[Page]:
        """Read what was created in a range, and miss what was and is not any more."""
        reading = ExactReading(self._client, entity, by="CreateTime")
        yield from self._exactly(reading, window.since, window.until)
        expected = self._stored.ids(entity, window.since, window.until)
        yield from self._missed(entity, reading, expected, self._stored.ids(entity), "range read")

    def _exactly(self, reading: ExactReading, since: datetime | None, until: datetime | None = None) -> Iterator[Page]:
        """Pass on what a read shows, and what there is to know about it."""
        note = self._note(reading.entity)
        for page in reading.pages(since, until):
            note.expected = reading.total
            yield page
        note.problem = reading.problem()

    def _named(self, entity: Entity, ids: frozenset[str]) -> Iterator[Page]:
        """Read single records; those that are not there are gone."""
        named = records_named(self._client, entity, ids)
        note = self._note(entity)
        note.gone, note.problem = gone_of(named.gone, {}, "read by id"), named.problem
        yield Page(list(named.live.values()), None)

    def _missed(
        self, entity: Entity, reading: ExactReading, expected: set[str], stored: set[str], how: How
    ) -> Iterator[Page]:
        """Settle what became of rows that a read did not show; what lies in an unreadable second may well be there."""
        missing = {each for each in expected if each not in reading.ids}
        if not missing or reading.unreadable:
            return
        problem = None if self._believes else brake(entity, len(missing), len(stored))
        if problem is not None:
            self._note(entity).problem = problem
            return
        reading.confirm_nothing()  # whatever a person believes
        live = found_in(entity, still_there(self._client, entity, missing))
        self._note(entity).gone = gone_of(missing, live, how)
        if live:
            yield Page(list(live.values()), None)

    def _note(self, entity: Entity) -> Findings:
        return self._findings.setdefault(entity.name, Findings())

    def _only(self, entity: Entity, since: datetime | None) -> Iterator[Page]:
        """Read the one record a company has; it cannot be filtered by time, so it is passed on only if touched."""
        answer = self._client.query(Select(entity.name), page=1)
        yield Page(answer.records if since is None else touched(entity, answer.records, since), answer.time)

    def _whole(self, entity: Entity) -> Iterator[Page]:
        """Read a list whole, as it comes."""
        answer = self._client.read_list(entity.name)
        # Where the answer does not say when it was given, our clock must do: nothing is filtered by it.
        yield Page(answer.records, answer.time or self._now())

    def _per_currency(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[Page]:
        """Read exchange rates of the currencies the company uses, which QuickBooks must be told.

        What changed is found by LastUpdatedTime, as everywhere: by AsOfDate, a rate that somebody corrects for a day
        long past would never arrive. A range means the days the rates are of, which never move. A currency that was
        switched on since the last sync is read from the start, because its rates may be older than that.
        """
        ranged = window.mode == "range"
        currencies = entity_named("CompanyCurrency")
        answer = self._client.query(Select(currencies.name).where("Active", "in", (True, False)).page(1, 1000))
        yield Page([], answer.time)
        fresh = answer.records if since is None or ranged else touched(currencies, answer.records, since)
        known = [record for record in answer.records if record not in fresh]
        days = _days(window) if ranged else ()
        for records, start in ((fresh, None), (known, since)):
            if codes := _codes(records):
                where = (Condition("SourceCurrencyCode", "in", codes), *days)
                yield from changed_pages(self._client, entity.name, since=start, inactive_too=False, where=where)


class _Currency(msgspec.Struct):
    code: str = msgspec.field(name="Code", default="")


_currency = msgspec.json.Decoder(_Currency).decode


def _codes(records: list[msgspec.Raw]) -> tuple[str, ...]:
    return tuple(sorted({code for record in records if (code := _currency(record).code)}))


def _days(window: Window) -> tuple[Condition, ...]:
    """Return the conditions that hold for the days a window touches; its last day counts whole."""
    days = []
    if window.since is not None:
        days.append(Condition("AsOfDate", ">=", window.since.date()))
    if window.until is not None:
        days.append(Condition("AsOfDate", "<=", (window.until - timedelta(microseconds=1)).date()))
    return tuple(days)
