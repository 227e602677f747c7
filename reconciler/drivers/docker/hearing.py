"""What did the engine's events tell since the last look, and may the next look rely on that?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from reconciler.ports import Event

CONTAINER, NETWORK, VOLUME, IMAGE = "container", "network", "volume", "image"
LASTING = ("create", "destroy", "remove")
"""What happens to a network itself; everything else happens to a container on it."""


@dataclass(frozen=True, slots=True)
class News:
    """What may be other than it was seen last.

    containers  the ids of those that something happened to, whoever they belong to
    kinds       of which something came, went or changed
    enough      whoever looks after this, and at nothing else, sees everything
    """

    containers: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    enough: bool = False


@dataclass
class Hearing:
    """Collects between two looks. Whoever hears events, and whoever changes something, may tell from a thread of its own.

    An event proves that the stream is alive: while nothing is told, nobody knows whether there was nothing to tell.
    """

    _containers: set[str] = field(default_factory=set)
    _kinds: set[str] = field(default_factory=set)
    _streams: int = 0
    _proven: bool = False
    _doubted: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Events are heard for the block. What came before it, and comes after it, is not."""
        with self._lock:
            self._streams += 1
            self._doubted = True
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1
                self._doubted = True

    def heard(self, event: Event) -> None:
        """Take note of an event."""
        with self._lock:
            self._proven = True
            if event.kind == CONTAINER:
                self._containers.add(event.id)
            elif event.kind == NETWORK and event.action not in LASTING:
                self._containers.add(event.attributes.get("container", ""))
            else:
                self._kinds.add(event.kind)

    def changed(self, container: str) -> None:
        """Take note of a change that we made, or tried to make: to this container ("" if to another thing), and who knows
        to what else.
        """
        with self._lock:
            self._containers.add(container)
            self._doubted = True

    def moved(self, kind: str) -> None:
        """Take note that we made or removed something of a kind, and nothing else."""
        with self._lock:
            self._kinds.add(kind)

    def take(self) -> News:
        """Return what was told since this was asked last."""
        with self._lock:
            enough = self._streams > 0 and self._proven and not self._doubted
            news = News(frozenset(self._containers - {""}), frozenset(self._kinds), enough)
            self._containers, self._kinds, self._proven, self._doubted = set(), set(), False, False
            return news

    def untake(self, news: News) -> None:
        """The look that took it failed: the next one must see it."""
        with self._lock:
            self._containers |= news.containers
            self._kinds |= news.kinds
            self._doubted = True
