"""How does a reconciler stay: woken by whom, held back by whom, and how does it end?

The loop itself stays in one thread. Beside it work threads that fetch (a hung remote must not keep anything from being
healed), that watch files and that read the engine's events; they only leave word in the bell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from reconciler.claim import RENEW_SECONDS, Claim
from reconciler.errors import ReconcilerError, Unreachable
from reconciler.loop import PATIENCE_SECONDS, Reconciler, next_wake
from reconciler.model.status import Operation, Report
from reconciler.ports import Event, Lease
from reconciler.wake import Bell, listen

FETCH_FIRST, FETCH_MOST = 5.0, 180.0
WAIT_SECONDS = 2.0
"""How often one who waits for the lease asks for it: so long nobody is at work when it is passed on."""
OUT_OF_SERVICE = frozenset({"die", "pause", "health_status: unhealthy"})
"""After these events of a container nobody is to find it, also while a turn waits for its own actions."""
STOP_SECONDS = 8.0
"""How long after the signal the calls in flight may take to end."""


@dataclass(slots=True)
class Pulse:
    """How the loop is, for the health endpoints and for people: written by the loop, read by others.

    beat     when the loop last came round, on the monotonic clock
    trouble  what keeps the first turn from being made, "" when nothing does
    """

    beat: float = 0.0
    trouble: str = ""
    report: Report | None = None
    waiting_for: Lease | None = None

    @property
    def ready(self) -> bool:
        """A turn could be made, on a valid revision of Git."""
        report = self.report
        return report is not None and report.operation is not Operation.ERROR and report.revision is not None


@dataclass(slots=True)
class Resident:
    """The long-running reconciler of one environment. `tell` hears of every turn, `yielded` of whom we wait for."""

    reconciler: Reconciler
    tell: Callable[[Report], None]
    holder: str
    yielded: Callable[[Lease], None] = lambda lease: None
    bell: Bell = field(default_factory=Bell)
    stop: threading.Event = field(default_factory=threading.Event)
    pulse: Pulse = field(default_factory=Pulse)
    _claim: Claim = field(init=False)
    _due: float = field(init=False)
    _ended: float | None = field(init=False, default=None)
    _fetching: threading.Lock = field(init=False, default_factory=threading.Lock)
    _bug: Exception | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        world = self.reconciler.world
        self._claim = Claim(world.runtime, world.clock, self.holder, self.reconciler.ledger)
        self._due = world.clock.monotonic()
        self.pulse.beat, self.pulse.trouble = self._due, ""

    def run(self) -> None:
        """Turn until told to end; then let end what is in flight, and give the lease back."""
        listening = partial(listen, self.reconciler.world.runtime, self.bell, self.stop, self._missed, self._heard)
        for work in (self._fetch, self._watch, listening):
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()
        try:
            woke: tuple[str, ...] = ("start",)
            while not self.stop.is_set():
                woke = self.bell.wait(self.turn(woke))
                if self._bug is not None:
                    raise self._bug
        finally:
            self.stop.set()
            self._end()

    def once(self) -> Report | None:
        """Fetch, make one turn whatever it takes, and give the lease back. Returns None when somebody else has the lease."""
        self.reconciler.refresh()
        try:
            self.turn(("once",), patience_seconds=None)
        finally:
            self._end()
        return self.pulse.report

    def end(self) -> None:
        """Ask the loop to end, from any thread or a signal handler."""
        self._ended = self.reconciler.world.clock.monotonic()
        self.stop.set()
        self.bell.ring("signal")

    def turn(self, woke: tuple[str, ...], patience_seconds: float | None = PATIENCE_SECONDS) -> float:
        """Make a turn if something woke us or one is due, and if we may. Returns in how many seconds to come again.

        A patience of None waits for every action of the turn.
        """
        now = self.reconciler.world.clock.monotonic()
        self.pulse.beat = now
        if self.reconciler.wanted is None and self.reconciler.trouble is None:
            return self.interval_seconds
        if woke or now >= self._due:
            self._due = now + self._turn(", ".join(woke[:3]) or "interval", patience_seconds)
        else:
            self._renew()
        ask_again = WAIT_SECONDS if self.pulse.waiting_for else RENEW_SECONDS
        return max(0.0, min(ask_again, self._due - self.reconciler.world.clock.monotonic()))

    @property
    def interval_seconds(self) -> float:
        """How often Git is asked, and whether everything is as it should be, whatever happens."""
        wanted = self.reconciler.wanted
        return wanted.environment.interval_seconds if wanted else FETCH_FIRST

    # --- one turn ----------------------------------------------------------------------------------------------------

    def _turn(self, woke: str, patience_seconds: float | None) -> float:
        """Returns in how many seconds the next one is due."""
        try:
            if not self._may_act():
                return WAIT_SECONDS
            report = self.reconciler.turn(woke, patience_seconds)
        except ReconcilerError as problem:
            # Without an answer nobody knows who holds the lease, so nothing is done.
            report = self.reconciler.failed(woke, problem)
        self.pulse.report = report
        self.tell(report)
        # However seldom Git is asked, and however often an event wakes us: what no event tells is seen by looking.
        until_list = self.reconciler.until_list(self.interval_seconds)
        wait = next_wake(report, until_list, self.reconciler.world.clock.now())
        return min(1.0, wait) if self.reconciler.applier.busy else wait

    def _may_act(self) -> bool:
        wanted = self.reconciler.wanted
        lease = self._claim.held_by_other(wanted.environment.name) if wanted else None
        before, self.pulse.waiting_for = self.pulse.waiting_for, lease
        if lease is not None and (before is None or before.holder != lease.holder):
            self.yielded(lease)
        return lease is None

    def _renew(self) -> None:
        """Keep the lease between turns. An engine that does not answer now is the next turn's matter."""
        waited = self.pulse.waiting_for is not None
        try:
            if self._may_act() and waited:
                self._due = self.reconciler.world.clock.monotonic()
        except ReconcilerError:
            self._due = self.reconciler.world.clock.monotonic()

    def _end(self) -> None:
        clock = self.reconciler.world.clock
        passed = clock.monotonic() - self._ended if self._ended is not None else 0.0
        self.reconciler.end(max(0.0, STOP_SECONDS - passed))
        self._claim.release()

    # --- what wakes us -----------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        """A bug in a thread must end the program as loudly as one in the loop."""
        try:
            work()
        except Exception as bug:  # noqa: BLE001 - the loop raises it
            self._bug = bug
            self.bell.ring("bug")

    def _fetch(self) -> None:
        """Fetch at every interval; after a failure later and later."""
        pause = 0.0
        while not self.stop.wait(pause):
            self._refresh("new revision")
            if isinstance(self.reconciler.trouble, Unreachable):
                pause = min(FETCH_MOST, max(FETCH_FIRST, 2 * pause))
            else:
                pause = self.interval_seconds

    def _watch(self) -> None:
        """A watched directory tells by itself; a Git remote is asked."""
        while not self.stop.is_set():
            try:
                for _ in self.reconciler.world.source.changes(self.stop):
                    self._refresh("files changed")
                return
            except ReconcilerError:
                # The directory is gone; fetching says so. It may come back.
                self.stop.wait(FETCH_FIRST)

    def _refresh(self, word: str) -> None:
        """Ask the source, one thread at a time; wake the loop when there is news."""
        with self._fetching:
            before = self._news()
            self.reconciler.refresh()
            after = self._news()
        if after != before:
            self.bell.ring(word if after[0] != before[0] else "word from Git")

    def _news(self) -> tuple[str, str, tuple[str, ...]]:
        wanted, trouble = self.reconciler.wanted, self.reconciler.trouble
        return wanted.revision.id if wanted else "", str(trouble or ""), tuple(sorted(self.reconciler.versions))

    def _missed(self) -> None:
        """Events may have been lost: the next turn looks at everything."""
        self.reconciler.swept = None

    def _heard(self, event: Event) -> None:
        catalog = self.reconciler.world.catalog
        if catalog is not None and event.kind == "container" and event.action in OUT_OF_SERVICE:
            catalog.leave(event.id)
