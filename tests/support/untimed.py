"""An installation whose client never waits: its clock moves by sleeping, so a storm of faults takes no time.

And Intuit's two round numbers made small, so that books of thirty records have pages, and answers that are cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from qbo_pipeline.books import Books
from qbo_pipeline.qbo.client import Call, QboClient
from qbo_pipeline.qbo.paging import changed_pages
from qbo_pipeline.qbo.throttle import Throttle
from qbo_pipeline.qbo.transport import new_session


class _Time:
    """A clock that moves only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class UntimedBooks(Books):
    """An installation as any other, but for the client's sense of time."""

    def _client(
        self,
        realm_id: str,
        access_token: Callable[[str | None], str],
        on_call: Callable[[Call], None] = lambda _: None,
    ) -> QboClient:
        time, last = _Time(), [""]

        def token(was_refused: bool) -> str:
            last[0] = access_token((last[0] or None) if was_refused else None)
            return last[0]

        return QboClient(
            self.environment,
            realm_id,
            access_token=token,
            session=new_session(),
            throttle=Throttle(clock=time.clock, sleep=time.sleep),
            on_call=on_call,
            sleep=time.sleep,
            clock=time.clock,
        )


@contextmanager
def small_pages(size: int, cdc_limit: int = 1000, between: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Let pages hold ``size`` records, and change data capture ``cdc_limit`` (the sandbox's knob must say the same).

    ``between`` is called after every page.
    """

    def paged(*arguments: Any, **more: Any) -> Any:
        for page in changed_pages(*arguments, **{"page_size": size, **more}):
            yield page
            between()

    with pytest.MonkeyPatch.context() as patch:
        for module in ("exact", "reader"):
            patch.setattr(f"qbo_pipeline.sync.{module}.changed_pages", paged)
        patch.setattr("qbo_pipeline.qbo.answers.CDC_LIMIT", cdc_limit)
        yield
