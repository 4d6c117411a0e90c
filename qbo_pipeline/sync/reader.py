"""Reads an entity's pages from QuickBooks the way its catalogue entry says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

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

        A singleton cannot be filtered by time; it is one record, so it is read whole every time.
        """
        if entity.singleton:
            answer = self._client.query(Select(entity.name), page=1)
            yield Page(answer.records, answer.time)
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
