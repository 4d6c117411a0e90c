"""An installation whose client never waits: its clock moves by sleeping, so a storm of faults takes no time.

And Intuit's two round numbers made small, so that books of thirty records have pages, and answers that are cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from qbo_pipeline.books import Books
from qbo_pipeline.qbo.ahead import WORTH_IT, LongRead
from qbo_pipeline.qbo.clients import Waiting
from qbo_pipeline.qbo.paging import Page, changed_pages
from qbo_pipeline.settings import Settings


class _Time:
    """A clock that moves only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def untimed_books(settings: Settings) -> Books:
    """Return an installation as any other, but for its clients' sense of time."""
    time = _Time()
    return Books(settings, waiting=Waiting(time.sleep, time.clock))


@contextmanager
def small_pages(size: int, cdc_limit: int = 1000, between: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Let pages hold ``size`` records, and change data capture ``cdc_limit`` (the sandbox's knob must say the same).

    ``between`` is called after every page.
    """

    def paged(*arguments: Any, **more: Any) -> Any:
        for page in changed_pages(*arguments, **{"page_size": size, **more}):
            yield page
            between()

    class ahead(LongRead):  # noqa: N801 - stands in for a class
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **{"page_size": size, **more})

        def pages(self) -> Generator[Page, None, None]:
            for page in super().pages():
                yield page
                between()

    with pytest.MonkeyPatch.context() as patch:
        for module in ("exact", "reader"):
            patch.setattr(f"qbo_pipeline.sync.{module}.changed_pages", paged)
        patch.setattr("qbo_pipeline.sync.exact.LongRead", ahead)
        patch.setattr("qbo_pipeline.sync.exact.AHEAD", WORTH_IT * size)
        patch.setattr("qbo_pipeline.qbo.answers.CDC_LIMIT", cdc_limit)
        yield
