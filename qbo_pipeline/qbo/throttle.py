"""Stay below Intuit's limits: 10 requests a second and 500 a minute for one company.

Flows in    ``take()`` before every request, ``pause(seconds)`` when Intuit asked us to slow down
Flows out   nothing; ``take`` returns when a request may start

One ``Throttle`` per company, shared by every thread that calls for it: Intuit counts the company, not our threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

# Below Intuit's own 10 and 500: requests bunch up on their way there, and other processes may share the company.
PER_SECOND = 8
PER_MINUTE = 450


class Throttle:
    """Spaces the requests made for one company."""

    def __init__(
        self,
        *,
        per_second: int = PER_SECOND,
        per_minute: int = PER_MINUTE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = ((per_second, 1.0), (per_minute, 60.0))
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._starts: deque[float] = deque(maxlen=max(per_second, per_minute))
        self._paused_until = float("-inf")

    def take(self) -> None:
        """Wait until one more request may start."""
        while True:
            with self._lock:
                start = self._reserve()
            while (wait := start - self._clock()) > 0:
                self._sleep(wait)
            with self._lock:
                if self._paused_until <= start:
                    return
            # A pause began while we slept: our slot lies inside it, so queue again behind the pause.

    def pause(self, seconds: float) -> None:
        """Let nothing start for ``seconds`` from now; a longer pause already running stays."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def wait_left(self) -> float:
        """Seconds until the running pause ends; 0 when there is none."""
        with self._lock:
            return max(0.0, self._paused_until - self._clock())

    def _reserve(self) -> float:
        start = max(self._clock(), self._paused_until)
        for limit, window in self._limits:
            if len(self._starts) >= limit:
                start = max(start, self._starts[-limit] + window)
        self._starts.append(start)
        return start


class Throttles:
    """One throttle per company, made when first asked for."""

    def __init__(self, make: Callable[[], Throttle] = Throttle) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._by_realm: dict[str, Throttle] = {}

    def of(self, realm_id: str) -> Throttle:
        """Return the throttle every caller of this company shares."""
        with self._lock:
            if realm_id not in self._by_realm:
                self._by_realm[realm_id] = self._make()
            return self._by_realm[realm_id]


# Intuit's limits hold per company however many clients a process builds, so a process has one registry.
SHARED = Throttles()
# A QuickBooks on this machine has none; its throttles are there for the pauses it may ask for.
LOCAL = Throttles(lambda: Throttle(per_second=10_000, per_minute=600_000))
