"""What can be found by name right now, and who waits to hear that it changed?"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.errors import Refused, Unreachable
from reconciler.model.catalog import Entry, Listing, Standing, without
from reconciler.ports import Clock

MOST_REGISTRATIONS = 1000


@dataclass(frozen=True, slots=True)
class Registration:
    """What said of itself where it is, and until when it counts (on the monotonic clock); `forget_at` None: never."""

    entry: Entry
    ttl_seconds: float
    forget_seconds: float
    due: float

    @property
    def forget_at(self) -> float | None:
        return self.due + self.forget_seconds if self.forget_seconds else None

    def at(self, now: float) -> Registration | None:
        """Return it as it is at a time: critical once it is overdue, None once it is to be forgotten."""
        if self.forget_at is not None and now >= self.forget_at:
            return None
        if now < self.due or self.entry.standing is Standing.CRITICAL:
            return self
        return replace(self, entry=replace(self.entry, standing=Standing.CRITICAL, output="nothing was heard of it in time"))


class MemoryCatalog:
    """The registry, in memory: it is derived from what runs, so a new process has it again after its first look.

    node     what this machine is called
    address  where it is reached; entries without an address of their own get it
    """

    def __init__(self, clock: Clock, node: str, address: str = "127.0.0.1") -> None:
        self._clock, self._node, self._address = clock, node, address
        self._changed = threading.Condition()
        self._ours: tuple[Entry, ...] = ()
        self._registered: dict[str, Registration] = {}
        self._index = 0
        self._entries: tuple[Entry, ...] = ()
        self._marks: Mapping[str, tuple[int, int]] = {}
        self._published: float | None = None
        self._left: dict[str, float] = {}

    def publish(self, entries: Iterable[Entry], looked_at: float) -> None:
        """Replace what is known of our containers by what a look saw that began at this time (on the monotonic clock)."""
        with self._changed:
            first, self._published = self._published is None, looked_at
            self._left = {instance: at for instance, at in self._left.items() if at >= looked_at}
            here = (replace(entry, address=entry.address or self._address) for entry in entries)
            self._ours = without(here, self._left)
            self._renew(first)

    def leave(self, instance: str) -> None:
        """Take a container (by id) out of what may be used, until a look that begins later says otherwise."""
        with self._changed:
            # Also one that nobody was told of yet: the look that saw it alive may still be under way.
            self._left[instance] = self._clock.monotonic()
            self._ours = without(self._ours, self._left)
            self._renew()

    def listing(self) -> Listing:
        """Return what is known. Raises Unreachable before anything was published."""
        with self._changed:
            return self._listing()

    def wait(self, index: int, seconds: float) -> Listing:
        """Return what is known as soon as its index differs from this one, or so many seconds are over."""
        until = self._clock.monotonic() + seconds
        with self._changed:
            while (listing := self._listing()).index == index:
                now = self._clock.monotonic()
                if now >= until:
                    break
                self._changed.wait(min(until, *self._deadlines(now)) - now if self._registered else until - now)
            return listing

    def register(self, entry: Entry, ttl_seconds: float, forget_seconds: float = 0.0) -> None:
        """Enter what says of itself how it is. Raises Refused for an id of ours, and when there are too many."""
        with self._changed:
            if any(one.id == entry.id for one in self._ours):
                raise Refused(f"{entry.id} is an entry of the reconciler's own")
            if entry.id not in self._registered and len(self._registered) >= MOST_REGISTRATIONS:
                raise Refused(f"there are {MOST_REGISTRATIONS} registrations already")
            entry = replace(entry, address=entry.address or self._address)
            due = self._clock.monotonic() + ttl_seconds
            self._registered[entry.id] = Registration(entry, ttl_seconds, forget_seconds, due)
            self._renew()

    def tell(self, id: str, standing: Standing, output: str = "") -> None:
        """Note how an entry that registered itself is. Raises Refused when it did not."""
        with self._changed:
            known = self._known(id)
            entry = replace(known.entry, standing=standing, output=output)
            self._registered[id] = replace(known, entry=entry, due=self._clock.monotonic() + known.ttl_seconds)
            self._renew()

    def deregister(self, id: str) -> None:
        """Take out what registered itself. Raises Refused when it did not."""
        with self._changed:
            self._known(id)
            del self._registered[id]
            self._renew()

    # --- under the lock ----------------------------------------------------------------------------------------------

    def _known(self, id: str) -> Registration:
        if id not in self._registered:
            raise Refused(f"nothing registered itself as {id}")
        return self._registered[id]

    def _deadlines(self, now: float) -> tuple[float, ...]:
        """When registrations change by themselves."""
        times = (time for one in self._registered.values() for time in (one.due, one.forget_at) if time is not None)
        return tuple(time for time in times if time > now)

    def _listing(self) -> Listing:
        if self._published is None:
            raise Unreachable("what runs has not been looked at yet")
        if self._overdue():
            self._renew()
        age = self._clock.monotonic() - self._published
        return Listing(self._index, self._entries, self._marks, self._node, self._address, age)

    def _overdue(self) -> bool:
        """Take in what registrations have become by now. Returns whether that changes anything."""
        now, before = self._clock.monotonic(), self._registered
        self._registered = {id: there for id, one in before.items() if (there := one.at(now)) is not None}
        return self._registered != before

    def _renew(self, changed: bool = False) -> None:
        """Join both kinds of entries as they are now; if that changes anything, say so to whoever waits."""
        self._overdue()
        everything = (*self._ours, *(one.entry for one in self._registered.values()))
        entries = tuple(sorted(everything, key=lambda entry: (entry.name, entry.id)))
        if entries == self._entries and not changed:
            return
        self._index = max(self._index + 1, int(self._clock.now().timestamp() * 1000))
        known = {entry.id: entry for entry in self._entries}
        self._marks = {entry.id: self._mark(entry, known) for entry in entries}
        self._entries = entries
        self._changed.notify_all()

    def _mark(self, entry: Entry, known: Mapping[str, Entry]) -> tuple[int, int]:
        if entry.id not in known:
            return self._index, self._index
        created, modified = self._marks[entry.id]
        return created, modified if known[entry.id] == entry else self._index
