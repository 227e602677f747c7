"""What wakes a loop that has nothing to do right now? A bell, and the engine's events that ring it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.errors import ReconcilerError
from reconciler.ports import Event, Runtime

RECONNECT_SECONDS = 2.0


class Bell:
    """Wakes the loop. Rings that come close together count as one; each word is kept once, as the reason."""

    def __init__(self) -> None:
        # A signal handler rings in the very thread that may just hold the lock, so it must be one that can be taken twice.
        self._rung = threading.Condition(threading.RLock())
        self._words: list[str] = []

    def ring(self, word: str) -> None:
        """Wake the loop and say why."""
        with self._rung:
            if word not in self._words:
                self._words.append(word)
            self._rung.notify_all()

    def wait(self, seconds: float) -> tuple[str, ...]:
        """Return what rang, at once if something has; () when nothing did for so long."""
        with self._rung:
            if not self._words:
                self._rung.wait(seconds)
            words, self._words = tuple(self._words), []
            return words


def listen(
    runtime: Runtime,
    bell: Bell,
    stop: threading.Event,
    missed: Callable[[], None] = lambda: None,
    heard: Callable[[Event], None] = lambda event: None,
) -> None:
    """Ring at every event of ours until stopped. `missed` is told when the stream broke: events may have been lost.

    `heard` is told of each event before it rings.
    """
    while not stop.is_set():
        try:
            for event in runtime.events(stop):
                heard(event)
                bell.ring(_word(event))
        except ReconcilerError:
            missed()
            bell.ring("event stream lost")
            stop.wait(RECONNECT_SECONDS)


@contextmanager
def listening(runtime: Runtime) -> Iterator[Bell]:
    """Ring the bell at events of ours as long as the block lasts."""
    bell, stop = Bell(), threading.Event()
    thread = threading.Thread(target=listen, args=(runtime, bell, stop), name="events", daemon=True)
    thread.start()
    try:
        yield bell
    finally:
        stop.set()


def _word(event: Event) -> str:
    return f"{event.action} {event.name}".strip()
