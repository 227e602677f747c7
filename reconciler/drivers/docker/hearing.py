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
MOST_NAMED = 10_000
"""Who does not look for so long that more containers are named, such as one who waits for the lease, looks at all."""


@dataclass(frozen=True, slots=True)
class News:
    """What may be other than it was seen last.

    containers  the ids of those that something happened to, whoever they belong to
    kinds       of which something came, went or changed
    enough      whoever looks after this, and at nothing else, sees everything
    lost        so much was told that nobody knows any more what
    """

    containers: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    enough: bool = False
    lost: bool = False


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
    _lost: bool = False
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
                self._name(event.id)
            elif event.kind == NETWORK and event.action not in LASTING:
                self._name(event.attributes.get("container", ""))
            else:
                self._kinds.add(event.kind)

    def changed(self, container: str) -> None:
        """Take note of a change that we made, or tried to make: to this container ("" if to another thing), and who knows
        to what else.
        """
        with self._lock:
            self._name(container)
            self._doubted = True

    def moved(self, kind: str) -> None:
        """Take note that we made or removed something of a kind, and nothing else."""
        with self._lock:
            self._kinds.add(kind)

    def take(self) -> News:
        """Return what was told since this was asked last."""
        with self._lock:
            enough = self._streams > 0 and self._proven and not (self._doubted or self._lost)
            news = News(frozenset(self._containers - {""}), frozenset(self._kinds), enough, self._lost)
            self._containers, self._kinds = set(), set()
            self._proven = self._doubted = self._lost = False
            return news

    def untake(self, news: News) -> None:
        """The look that took it failed: the next one must see it."""
        with self._lock:
            self._containers |= news.containers
            self._kinds |= news.kinds
            self._doubted, self._lost = True, self._lost or news.lost

    def _name(self, container: str) -> None:
        self._containers.add(container)
        if len(self._containers) > MOST_NAMED:
            self._containers.clear()
            self._lost = True
