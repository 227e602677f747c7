"""What has the engine done, and who listens?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from reconciler.ports import Event

_LOOK_AGAIN_SECONDS = 0.05


class Timeline(Protocol):
    """A clock on which the engine can have things happen later (drivers/clock.py: VirtualClock)."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def call_later(self, seconds: float, action: Callable[[], None]) -> None: ...

    def advance(self, seconds: float) -> None: ...


class Journal:
    """Every event of the engine, oldest first. Its condition guards the whole engine: one change at a time.

    `witnesses` are told of each event before anything else happens.
    """

    def __init__(self, clock: Timeline) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self.witnesses: list[Callable[[Event], None]] = []
        self.changed = threading.Condition(threading.RLock())
        self.breaks = 0

    def note(self, kind: str, action: str, id: str, name: str, attributes: Mapping[str, str] | None = None) -> None:
        """Write down what happened now."""
        with self.changed:
            event = Event(kind, action, id, name, self.clock.now(), {**(attributes or {}), "name": name})
            self.events.append(event)
            self.changed.notify_all()
            for witness in self.witnesses:
                witness(event)

    def cut(self) -> None:
        """Break every stream that listens, as an engine does that goes away."""
        with self.changed:
            self.breaks += 1
            self.changed.notify_all()

    def listen(self, stop: threading.Event) -> Iterator[Event | None]:
        """Yield events from now on until stopped; None means that the stream broke."""
        heard, breaks = len(self.events), self.breaks
        while not stop.is_set():
            with self.changed:
                if len(self.events) == heard and self.breaks == breaks:
                    self.changed.wait(_LOOK_AGAIN_SECONDS)
                news = tuple(self.events[heard:])
                broken = self.breaks != breaks
            heard += len(news)
            yield from news
            if broken:
                yield None
                return
