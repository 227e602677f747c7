"""What wakes the loop, and what holds it back? Interval, Git, engine events, files, timers; the lease and the signals.

The loop itself stays in one thread. Beside it work one thread that fetches (a hung remote must not keep anything from
being healed) and one that reads the engine's events; both only leave word in the bell.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from reconciler.errors import ReconcilerError, Unreachable
from reconciler.loop import PATIENCE_SECONDS, Reconciler, next_wake
from reconciler.model import labels
from reconciler.model.desired import DesiredState
from reconciler.model.status import Operation, Report
from reconciler.ports import Event, Lease

LEASE_SECONDS = 60.0
FETCH_FIRST, FETCH_MOST = 5.0, 180.0
STOP_SECONDS = 8.0
RECONNECT_SECONDS = 2.0
IDLE_EVENTS = frozenset({"exec_create", "exec_start", "exec_die", "top", "attach", "resize", "archive-path", "extract-to-dir"})
"""Events that change nothing a plan looks at."""


class Bell:
    """Wakes the loop. Rings that come close together count as one turn; the first word of each is kept as the reason."""

    def __init__(self) -> None:
        self._rung = threading.Condition()
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


@dataclass(slots=True)
class Pulse:
    """How the loop is, for the health endpoints and for people: written by the loop, read by others."""

    started: datetime
    beat: datetime
    report: Report | None = None
    waiting_for: Lease | None = None

    @property
    def ready(self) -> bool:
        """A turn was made and could be made."""
        return self.report is not None and self.report.operation is not Operation.ERROR


@dataclass(slots=True)
class Resident:
    """The long-running reconciler of one environment."""

    reconciler: Reconciler
    tell: Callable[[Report], None]
    holder: str
    bell: Bell = field(default_factory=Bell)
    stop: threading.Event = field(default_factory=threading.Event)
    pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        now = self.reconciler.world.clock.now()
        self.pulse = Pulse(now, now)

    def run(self) -> None:
        """Turn until `stop` is set and the bell rung; then end what is in flight and give the lease back."""
        threads = [threading.Thread(target=work, daemon=True) for work in (self._fetch, self._listen, self._watch)]
        for thread in threads:
            thread.start()
        woke: tuple[str, ...] = ("start",)
        while not self.stop.is_set():
            woke = self.bell.wait(self.turn(woke)) or ("interval",)
        self.reconciler.applier.stop(STOP_SECONDS)
        self._release()

    def turn(self, woke: tuple[str, ...]) -> float:
        """Make a turn if we may. Returns in how many seconds the next one is due."""
        clock = self.reconciler.world.clock
        self.pulse.beat = clock.now()
        if self.reconciler.wanted is None and self.reconciler.trouble is None:
            return self.interval_seconds
        if lease := self._held_by_other():
            self.pulse.waiting_for = lease
            return max(1.0, min(self.interval_seconds, (lease.expires - clock.now()).total_seconds()))
        self.pulse.waiting_for = None
        report = self.reconciler.turn(", ".join(woke[:3]), PATIENCE_SECONDS)
        self.pulse.report = report
        self.tell(report)
        busy = bool(self.reconciler.applier.busy)
        return min(1.0 if busy else self.interval_seconds, next_wake(report, self.interval_seconds, clock.now()))

    @property
    def interval_seconds(self) -> float:
        wanted = self.reconciler.wanted
        return wanted.environment.interval_seconds if wanted else FETCH_FIRST

    # --- the lease ---------------------------------------------------------------------------------------------------

    def _held_by_other(self) -> Lease | None:
        """Claim or renew the lease; return it when somebody else has it. No engine, no lease: the turn will say so."""
        world, wanted = self.reconciler.world, self.reconciler.wanted
        if wanted is None:
            return None
        try:
            lease = world.runtime.claim_lease(wanted.environment.name, self.holder, world.clock.now(), LEASE_SECONDS)
        except ReconcilerError:
            return None
        return lease if lease.holder != self.holder else None

    def _release(self) -> None:
        wanted = self.reconciler.wanted
        if wanted is not None:
            with contextlib.suppress(ReconcilerError):
                self.reconciler.world.runtime.release_lease(wanted.environment.name, self.holder)

    # --- what wakes us -----------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        """Fetch at every interval; after a failure later and later."""
        pause = 0.0
        while not self.stop.wait(pause):
            before = self.reconciler.wanted
            self.reconciler.refresh()
            if isinstance(self.reconciler.trouble, Unreachable):
                pause = min(FETCH_MOST, max(FETCH_FIRST, 2 * pause))
            else:
                pause = self.interval_seconds
            if self.reconciler.wanted is not before or before is None:
                self.bell.ring("new revision" if self.reconciler.wanted else "no valid revision")

    def _watch(self) -> None:
        """A watched directory tells by itself; a Git remote is asked."""
        with contextlib.suppress(ReconcilerError):
            for _ in self.reconciler.world.source.changes(self.stop):
                self.reconciler.refresh()
                self.bell.ring("files changed")

    def _listen(self) -> None:
        while not self.stop.is_set():
            try:
                for event in self.reconciler.world.runtime.events(self.stop):
                    if _concerns(event, self.reconciler.wanted):
                        self.bell.ring(_word(event))
            except ReconcilerError:
                # Events may have been missed: the next turn looks at everything.
                self.reconciler.swept = None
                self.bell.ring("event stream lost")
                self.stop.wait(RECONNECT_SECONDS)


def _concerns(event: Event, wanted: DesiredState | None) -> bool:
    """Say whether an event may change what a plan would say: a container of ours, or a network or volume Git names."""
    if wanted is None or event.action.partition(":")[0] in IDLE_EVENTS:
        return False
    if event.kind == "container":
        adopted = {project for stack in wanted.stacks for project in stack.adopt}
        ours = event.attributes.get(labels.ENVIRONMENT) == wanted.environment.name
        return ours or event.attributes.get(labels.COMPOSE_PROJECT) in adopted
    named = {one.name for stack in wanted.stacks for one in stack.networks}
    named |= {one.name for stack in wanted.stacks for one in stack.volumes}
    return event.kind in ("network", "volume") and event.name in named


def _word(event: Event) -> str:
    return f"{event.action} {event.name}".strip()


def holder_name() -> str:
    """Return who we are, as the lease says it: host, process, a random part; in a container also its id."""
    inside = f" container={socket.gethostname()}" if Path("/.dockerenv").exists() else ""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}{inside}"
