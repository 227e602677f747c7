"""Does a virtual clock run everything in order of time, and the real one go on?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.clock import SystemClock, VirtualClock

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 50), max_size=5))
def test_what_is_due_runs_at_its_time_and_in_its_order(delays: list[float], advances: list[float]) -> None:
    clock, ran = VirtualClock(START), list[tuple[float, int]]()
    for number, delay in enumerate(delays):
        clock.call_later(delay, lambda number=number: ran.append((clock.monotonic(), number)))  # type: ignore[misc]
    for seconds in advances:
        clock.advance(seconds)
    due = sorted((delay, number) for number, delay in enumerate(delays))
    assert ran == [one for one in due if one[0] <= clock.monotonic()] or not advances


def test_an_action_may_set_another_that_is_due_on_the_way() -> None:
    clock, ran = VirtualClock(START), list[float]()

    def tick() -> None:
        ran.append(clock.monotonic())
        clock.call_later(2, tick)

    clock.call_later(2, tick)
    clock.advance(7)
    assert ran == [2, 4, 6]
    assert clock.next_due() == 1


def test_an_action_that_takes_time_itself_moves_everybody_on() -> None:
    clock, ran = VirtualClock(START), list[tuple[str, float]]()

    def slow() -> None:
        clock.advance(5)
        ran.append(("slow", clock.monotonic()))

    clock.call_later(1, slow)
    clock.call_later(3, lambda: ran.append(("quick", clock.monotonic())))
    clock.advance(2)
    assert ran == [("quick", 3), ("slow", 6)]
    assert clock.monotonic() == 6


def test_setting_the_wall_clock_moves_nothing_else() -> None:
    clock, ran = VirtualClock(START), list[datetime]()
    clock.call_later(10, lambda: ran.append(clock.now()))
    clock.jump(-3600)
    assert (clock.now(), clock.monotonic(), ran) == (START - timedelta(hours=1), 0, [])
    clock.advance(10)
    assert ran == [START - timedelta(hours=1) + timedelta(seconds=10)]


def test_the_machines_clock_is_utc_and_never_runs_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()
