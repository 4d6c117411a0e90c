"""Reads an entity's pages from QuickBooks the way its catalogue entry says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from qbo_pipeline.catalog import Entity
from qbo_pipeline.qbo.client import QboClient
from qbo_pipeline.qbo.paging import Page, changed_pages
from qbo_pipeline.qbo.query import Select
from qbo_pipeline.sync.window import Window


class QboReader:
    """A company's books behind a client; satisfies ``resources.Reader``."""

    def __init__(self, client: QboClient) -> None:
        self._client = client

    def pages(self, entity: Entity, window: Window, since: datetime | None) -> Iterator[Page]:
        """Yield pages of ``entity``: touched since ``since``, or created in the window's range.

        A singleton cannot be filtered by time, so it is always read, and passed on only if it was touched.
        """
        if entity.singleton:
            answer = self._client.query(Select(entity.name), page=1)
            fresh = answer.records if since is None else [r for r in answer.records if _touched(r, since)]
            yield Page(fresh, answer.time)
            return
        ranged = window.mode == "range"
        yield from changed_pages(
            self._client,
            entity.name,
            since=since,
            until=window.until if ranged else None,
            by="CreateTime" if ranged else "LastUpdatedTime",
            inactive_too=entity.active,
        )


class _MetaData(msgspec.Struct, frozen=True):
    updated: datetime | None = msgspec.field(name="LastUpdatedTime", default=None)


class _Head(msgspec.Struct):
    metadata: _MetaData = msgspec.field(name="MetaData", default=_MetaData())


_head = msgspec.json.Decoder(_Head).decode


def _touched(record: msgspec.Raw, since: datetime) -> bool:
    """Say whether a record was touched since then; one that does not say counts as touched."""
    try:
        updated = _head(record).metadata.updated
    except msgspec.ValidationError:  # an odd time
        return True
    return updated is None or updated.tzinfo is None or updated >= since
