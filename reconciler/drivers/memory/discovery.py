"""A registry of services in memory: what it holds, of ours and of others, and whether it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.errors import Unreachable
from reconciler.model.catalog import ENVIRONMENT, Entry


@dataclass(slots=True)
class MemoryRegistry:
    """`known` is everything it holds, by id; while it is not `up` it answers nobody."""

    address: str = "127.0.0.1"
    known: dict[str, Entry] = field(default_factory=dict)
    up: bool = True

    def entries(self, environment: str) -> tuple[Entry, ...]:
        """Return the entries of an environment of ours; nobody else's."""
        self._answer()
        return tuple(entry for entry in self.known.values() if entry.meta.get(ENVIRONMENT) == environment)

    def register(self, entry: Entry) -> None:
        """Have the entry there, as it is now."""
        self._answer()
        self.known[entry.id] = entry

    def deregister(self, id: str) -> None:
        """Have the entry gone; also when it is gone already."""
        self._answer()
        self.known.pop(id, None)

    def _answer(self) -> None:
        if not self.up:
            raise Unreachable("the registry in memory does not answer")
