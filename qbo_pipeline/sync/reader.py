"""Reads an entity's pages from QuickBooks the way its catalogue entry says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from qbo_pipeline.catalog import Entity, entity_named
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.paging import Page, changed_pages
from qbo_pipeline.qbo.query import Condition, Select
from qbo_pipeline.sync.window import Window

#: How old what was read of a list must be before an incremental sync reads it again: it comes whole every time, its
#: records say nothing about when they changed, and tax law changes slowly.
LIST_AGE = timedelta(days=7)


class QboReader:
    """A company's books behind a client; satisfies ``resources.Reader``."""

    def __init__(self, client: QboClient, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._client = client
        self._now = now

    def pages(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[Page]:
        """Yield pages of ``entity``: touched since ``since``, or created in the window's range."""
        if entity.singleton:
            return self._only(entity, since)
        if entity.reads == "list":
            return self._whole(entity, window, since)
        if entity.reads == "per currency":
            return self._per_currency(entity, window, since)
        ranged = window.mode == "range"
        return changed_pages(
            self._client,
            entity.name,
            since=since,
            until=window.until if ranged else None,
            by="CreateTime" if ranged else "LastUpdatedTime",
            inactive_too=entity.active,
        )

    def _only(self, entity: Entity, since: datetime | None) -> Iterator[Page]:
        """Read the one record a company has; it cannot be filtered by time, so it is passed on only if touched."""
        answer = self._client.query(Select(entity.name), page=1)
        yield Page(answer.records if since is None else _touched(answer.records, since), answer.time)

    def _whole(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[Page]:
        """Read a list whole; an incremental sync only now and then, and otherwise without a call."""
        if window.mode == "incremental" and since is not None and since > self._now() - LIST_AGE:
            return
        answer = self._client.read_list(entity.name)
        # Where the answer does not say when it was given, our clock decides when the list is read again.
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
        fresh = answer.records if since is None or ranged else _touched(answer.records, since)
        known = [record for record in answer.records if record not in fresh]
        days = _days(window) if ranged else ()
        for records, start in ((fresh, None), (known, since)):
            if codes := _codes(records):
                where = (Condition("SourceCurrencyCode", "in", codes), *days)
                yield from changed_pages(self._client, entity.name, since=start, inactive_too=False, where=where)


class _MetaData(msgspec.Struct, frozen=True):
    updated: datetime | None = msgspec.field(name="LastUpdatedTime", default=None)


class _Head(msgspec.Struct):
    metadata: _MetaData = msgspec.field(name="MetaData", default=_MetaData())


class _Currency(msgspec.Struct):
    code: str = msgspec.field(name="Code", default="")


_head = msgspec.json.Decoder(_Head).decode
_currency = msgspec.json.Decoder(_Currency).decode


def _touched(records: list[msgspec.Raw], since: datetime) -> list[msgspec.Raw]:
    """Return the records touched since then; one that does not say counts as touched."""
    return [record for record in records if (updated := _updated(record)) is None or updated >= since]


def _updated(record: msgspec.Raw) -> datetime | None:
    try:
        updated = _head(record).metadata.updated
    except msgspec.ValidationError:  # an odd time
        return None
    return updated if updated is not None and updated.tzinfo is not None else None


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
