"""What can be found by name: entries of the registry, and how able each is to serve."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from reconciler.model.traffic import server_name

ENVIRONMENT, STACK, SERVICE, CONTAINER = (
    "reconciler-environment",
    "reconciler-stack",
    "reconciler-service",
    "reconciler-container",
)
"""Facts that every entry of ours carries beside those of `x-discovery.meta`; the first says whose an entry is."""

LEAVING = "stops, or has stopped"


NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
"""What a service, and an entry, may be called."""


class Standing(StrEnum):
    """Whether an entry may be given to who wants to be served. The words are Consul's."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Entry:
    """One place at which a service answers.

    name      what is asked for
    id        of this entry alone; a container that replaces another one has another id
    address   "" stands for this machine's own, which only whoever runs the reconciler knows
    standing  and `output`, why it is not better
    instance  id of the container, "" for what registered itself
    title     what people call it: "shop-web-1"
    service   "stack/service"
    """

    name: str
    id: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    standing: Standing = Standing.PASSING
    output: str = ""
    instance: str = ""
    title: str = ""
    service: str = ""


def without(entries: Iterable[Entry], leaving: Collection[str]) -> tuple[Entry, ...]:
    """Return the entries with those critical whose container (by id, or its beginning at the gateway) is about to stop."""
    names = {server_name(one) for one in leaving}
    return tuple(
        replace(entry, standing=Standing.CRITICAL, output=LEAVING) if server_name(entry.instance) in names else entry
        for entry in entries
    )


def check_of(entry: str) -> str:
    """Return the id of the one check that an entry (by id) has, as Consul names it."""
    return f"service:{entry}"


@dataclass(frozen=True, slots=True)
class Listing:
    """The registry at one moment.

    index     grows with every change, and only then; begins at the time in milliseconds, so that it grows over restarts too
    entries   by name, then by id; every address is filled in
    changed   by entry id: the index at which it came, and at which it changed last
    node      what this machine is called, and `address` where it is reached
    age_seconds  since the last look at what runs
    """

    index: int
    entries: tuple[Entry, ...]
    changed: Mapping[str, tuple[int, int]]
    node: str
    address: str
    age_seconds: float

    def named(self, name: str) -> tuple[Entry, ...]:
        """Return the entries of a service. Names do not differ by case alone."""
        return tuple(entry for entry in self.entries if entry.name.lower() == name.lower())

    def changed_at(self, entry: Entry) -> tuple[int, int]:
        return self.changed.get(entry.id, (self.index, self.index))
