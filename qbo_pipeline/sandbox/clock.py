"""The sandbox's own time: real time plus an offset, or frozen.

MetaData times follow US Pacific with the daylight-saving rule of their own date, whatever zone the reader lives in
(recorded traffic, 2020–2026). The zone is a knob, because non-US companies may differ (unverified).
"""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from qbo_pipeline.sandbox.settings import KnobError

_INSTANT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s?(?P<offset>Z|z|[+-]\d\d:?\d\d)?)?"
)


class Clock:
    """Tells the time everywhere in the sandbox; tests move it."""

    def __init__(self, zone: str = "America/Los_Angeles") -> None:
        self.zone = ZoneInfo(zone)
        self._offset = 0.0
        self._frozen_at: float | None = None

    def now(self) -> float:
        """Seconds since 1970."""
        return self._frozen_at if self._frozen_at is not None else time.time() + self._offset

    def use_zone(self, zone: str) -> None:
        """Write times in another zone from now on; records keep theirs."""
        try:
            self.zone = ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise KnobError(f"'{zone}' is not a time zone.") from None

    @property
    def is_frozen(self) -> bool:
        return self._frozen_at is not None

    def today(self) -> date:
        return datetime.fromtimestamp(self.now(), self.zone).date()

    def advance(self, seconds: float) -> None:
        self.set(self.now() + seconds)

    def set(self, instant: float) -> None:
        if self._frozen_at is not None:
            self._frozen_at = instant
        else:
            self._offset = instant - time.time()

    def freeze(self) -> None:
        self._frozen_at = self.now()

    def thaw(self) -> None:
        now, self._frozen_at = self.now(), None
        self.set(now)

    def stamp(self, instant: float) -> str:
        """Write an instant as MetaData does: seconds and the zone's offset."""
        return datetime.fromtimestamp(int(instant), self.zone).isoformat()

    def stamp_now(self) -> str:
        """Write the present as the top-level ``time`` of an answer does: with milliseconds."""
        return datetime.fromtimestamp(self.now(), self.zone).isoformat(timespec="milliseconds")

    def instant(self, text: str) -> int | None:
        """Read an ISO date or date-time as whole seconds; one without an offset is meant in the company's zone."""
        return _instant(text, self.zone)


@lru_cache(maxsize=4096)
def _instant(text: str, zone: ZoneInfo) -> int | None:
    match = _INSTANT.fullmatch(text.strip())
    if match is None:
        return None
    offset = (match["offset"] or "").upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{match['day']}T{match['time'] or '00:00:00'}{offset}")
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return int(aware.astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        return None
