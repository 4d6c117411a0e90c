"""A company's requests stay below Intuit's limits, and a throttled company is left alone by everybody."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from qbo_pipeline.qbo.throttle import Throttle, Throttles
from tests.unit.qbo.fakes import FakeTime

steps = st.lists(
    st.one_of(
        st.just(("take", 0.0)),
        st.tuples(st.just("idle"), st.floats(0, 5)),
        st.tuples(st.just("pause"), st.floats(0, 30)),
    ),
    max_size=120,
)


@given(steps, st.integers(1, 9), st.integers(1, 30))
def test_no_window_ever_holds_more_than_its_limit(
    plan: list[tuple[str, float]], per_second: int, per_minute: int
) -> None:
    fake = FakeTime()
    throttle = Throttle(per_second=per_second, per_minute=per_minute, clock=fake.clock, sleep=fake.sleep)
    starts: list[float] = []
    paused_until = 0.0
    for step, seconds in plan:
        if step == "idle":
            fake.now += seconds
        elif step == "pause":
            throttle.pause(seconds)
            paused_until = max(paused_until, fake.now + seconds)
        else:
            throttle.take()
            assert fake.now >= paused_until
            starts.append(fake.now)
    for first in starts:
        assert sum(first <= start < first + 0.999 for start in starts) <= per_second
        assert sum(first <= start < first + 59.999 for start in starts) <= per_minute


def test_a_lone_request_never_waits() -> None:
    fake = FakeTime()
    Throttle(clock=fake.clock, sleep=fake.sleep).take()
    assert fake.slept == []


def test_a_pause_reaches_a_request_that_was_already_waiting() -> None:
    """Two threads: one waits for its slot when the other is answered 429. It must not start inside the pause."""
    fake = FakeTime()
    throttle = Throttle(per_second=1, clock=fake.clock, sleep=lambda seconds: sleep(seconds))
    paused = False

    def sleep(seconds: float) -> None:
        nonlocal paused
        if not paused:
            paused = True
            throttle.pause(60)
        fake.sleep(seconds)

    throttle.take()
    throttle.take()
    assert fake.now >= 1060


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    fake = FakeTime()
    throttle = Throttle(clock=fake.clock, sleep=fake.sleep)
    throttle.pause(60)
    throttle.pause(1)
    assert throttle.wait_left() == 60
    throttle.take()
    assert fake.now == 1060


def test_callers_of_one_company_share_a_throttle_and_companies_do_not() -> None:
    throttles = Throttles()
    assert throttles.of("1") is throttles.of("1")
    assert throttles.of("1") is not throttles.of("2")


def test_threads_together_stay_below_the_limit() -> None:
    throttle = Throttle(per_second=20, per_minute=1000)
    starts: list[float] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(5):
            throttle.take()
            starts.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    starts.sort()
    # 40 slots of which any 20 span a second: the 21st cannot start before one second has passed.
    assert len(starts) == 40
    assert starts[20] - starts[0] >= 0.95
