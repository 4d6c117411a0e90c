"""Rate limits and metering: ten requests a second and five hundred a minute for a realm (Intuit: limits and throttles).

Windows slide over real time, not the sandbox's clock: a frozen clock must not throttle for ever. Refused requests do
not count. Metered reads are counted per month of the sandbox's clock, over all realms (App Partner Program).
"""

from __future__ import annotations

import time
from collections import Counter, deque

from qbo_pipeline.sandbox.settings import Settings


class Throttle:
    """Counts what each realm asked for."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = {}
        self.reads: Counter[str] = Counter()

    def admits(self, realm: str, settings: Settings, *, batch: bool) -> bool:
        """Say whether one more request may pass, and count it if so."""
        if not settings.throttle:
            return True
        now = time.monotonic()
        requests, batches = self._window(realm, now), self._window(f"{realm}/batch", now)
        last_second = sum(1 for each in reversed(requests) if each > now - 1)
        if len(requests) >= settings.throttle_per_minute or last_second >= settings.throttle_per_second:
            return False
        if batch and len(batches) >= settings.batch_per_minute:
            return False
        requests.append(now)
        if batch:
            batches.append(now)
        return True

    def within_quota(self, month: str, settings: Settings) -> bool:
        return settings.monthly_quota == 0 or self.reads[month] < settings.monthly_quota

    def _window(self, name: str, now: float) -> deque[float]:
        window = self._seen.setdefault(name, deque())
        while window and window[0] <= now - 60:
            window.popleft()
        return window
