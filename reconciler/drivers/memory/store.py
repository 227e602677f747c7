"""What did earlier turns leave behind, as long as the process lives?"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from reconciler.audit import BEFORE_THE_FIRST, chained
from reconciler.model.audit import Entry, Head, Piece, Trail
from reconciler.model.history import HashKey, History
from reconciler.model.status import Turn
from reconciler.model.traffic import KEPT_SAMPLES, MOST_SAMPLES, Sample

MOST_TURNS, MOST_LINES = 1000, 1000


class MemoryStore:
    """A state directory in memory. Safe to use from many threads; its keys come from a counter, so they are no secret."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = 0
        self._turns: list[Turn] = []
        self._samples: list[Sample] = []
        self._lines: list[bytes] = []
        self._head = Head(0, BEFORE_THE_FIRST)
        self._history = self._fresh()

    def history(self) -> History:
        """Return what earlier turns learned."""
        return self._history

    def record(self, turn: Turn) -> None:
        """Keep a turn; one like the turn before it takes its place."""
        with self._lock:
            if self._turns and _same(self._turns[-1], turn):
                self._turns.pop()
            self._turns = [*self._turns, turn][-MOST_TURNS:]

    def change(self, edit: Callable[[History], History]) -> History:
        """Replace the history by an edited one."""
        with self._lock:
            self._history = edit(self._history)
            return self._history

    def turns(self, limit: int = 100) -> tuple[Turn, ...]:
        """Return the last turns, newest first."""
        return tuple(reversed(self._turns))[:limit]

    def sample(self, samples: Iterable[Sample]) -> None:
        """Keep what the gateway had counted."""
        with self._lock:
            known = [*self._samples, *samples]
            newest = max((one.at for one in known), default=None)
            self._samples = [one for one in known if newest and newest - one.at <= KEPT_SAMPLES][-MOST_SAMPLES:]

    def samples(self) -> tuple[Sample, ...]:
        """Return what is kept of that, oldest first."""
        return tuple(sorted(self._samples, key=lambda one: one.at))

    def audit(self, entries: Iterable[Entry]) -> None:
        """Append to the audit log."""
        with self._lock:
            data, number, hash = chained(entries, self._head.number, self._head.hash)
            self._lines = (self._lines + data.splitlines(keepends=True))[-MOST_LINES:]
            self._head = Head(number, hash, number - len(self._lines) + 1)

    def trail(self) -> Trail:
        """Return the audit log as one piece."""
        with self._lock:
            pieces = (Piece("memory", b"".join(self._lines)),) if self._lines else ()
            return Trail(pieces, self._head if self._lines else None)

    def lose(self) -> None:
        """Be a new, empty state directory."""
        with self._lock:
            self._turns, self._samples, self._history = [], [], self._fresh()
            self._lines, self._head = [], Head(0, BEFORE_THE_FIRST)

    def lose_key(self) -> None:
        """Keep everything but the key of the spec labels."""
        with self._lock:
            self._history = replace(self._history, key=self._key())

    def _fresh(self) -> History:
        return History(key=self._key(), fresh=True)

    def _key(self) -> HashKey:
        self._keys += 1
        secret = hashlib.sha256(f"key {self._keys}".encode()).digest()
        return HashKey(f"k{self._keys}", secret)


def _same(before: Turn, after: Turn) -> bool:
    """Say whether a turn repeats the one before: it did nothing, and says the same but for its time."""
    return (
        not after.failed
        and not after.done
        and replace(before, started=after.started, finished=after.finished, woke=after.woke) == after
    )
