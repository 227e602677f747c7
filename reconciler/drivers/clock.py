"""What time is it: for people, and for measuring how long something took?"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after so long."""
        time.sleep(seconds)


class VirtualClock:
    """A clock that stands still until it is told to move, and then runs what was due on the way, in order of time."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._jumped = timedelta()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time, UTC."""
        return self._start + timedelta(seconds=self._elapsed) + self._jumped

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Move on by so much."""
        self.advance(seconds)

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run the action when the clock has moved on that far; never at once."""
        with self._lock:
            heapq.heappush(self._timers, (self._elapsed + max(0.0, seconds), next(self._numbers), action))

    def advance(self, seconds: float) -> None:
        """Move on. An action that is due on the way sees its own time, and may set timers or advance the clock itself."""
        until = self._elapsed + seconds
        while action := self._next_due(until):
            action()
        self._elapsed = max(self._elapsed, until)

    def next_due(self) -> float | None:
        """Return in how many seconds the next action is due, None when none is."""
        with self._lock:
            return max(0.0, self._timers[0][0] - self._elapsed) if self._timers else None

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator or a time server does; nothing else moves."""
        self._jumped += timedelta(seconds=seconds)

    def _next_due(self, until: float) -> Callable[[], None] | None:
        with self._lock:
            if not self._timers or self._timers[0][0] > until:
                return None
            due, _, action = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, due)
            return action
