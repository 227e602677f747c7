"""What did a person say is to be left alone, and how is that told?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from reconciler.model.history import EVERYTHING, History, Suspension
from reconciler.model.plan import Group, Held, Verb
from reconciler.plan.draft import Draft


def suspension_of(history: History, now: datetime, stack: str, service: str = "") -> Suspension | None:
    """Return the widest suspension that holds: of everything, of the stack, of the service."""
    for name in (EVERYTHING, stack, f"{stack}/{service}") if history.suspended else ():
        suspension = history.suspended.get(name)
        if suspension is not None and suspension.holds(now):
            return suspension
    return None


def held_back(key: str, suspension: Suspension, aside: Draft) -> Held:
    """Say what is not done to a suspended stack or service; `aside` holds what would be done."""
    services = frozenset(group.key for group in aside.groups.values() if group.key.count("/") == 1)
    what = tally(aside.groups.values()) or (f"{len(aside.blocked)} blocked" if aside.blocked else "")
    return Held(key, why_suspended(suspension), what, suspension.until, services)


def why_suspended(suspension: Suspension) -> str:
    """Return "suspended", with the reason that was given."""
    return f"suspended: {suspension.reason}" if suspension.reason else "suspended"


def until(end: datetime | None, ends: str = "until `reconciler resume`") -> str:
    """Return until when something is held, to the minute: plans tell it, and are compared as text.

    `ends` says it where no time does.
    """
    return f"until {end.astimezone(UTC):%Y-%m-%d %H:%M}Z" if end else ends


def tally(groups: Iterable[Group]) -> str:
    """Count what is to be done: "1 to create, 2 to update"."""
    counts = Counter(group.verb for group in groups)
    return ", ".join(f"{counts[verb]} to {verb.value}" for verb in Verb if counts[verb])
