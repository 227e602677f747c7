"""Turn after turn: source → load → observe → plan → apply → record, woken by what happens or by the interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.apply import Applier, Ended
from reconciler.errors import Conflict, InvalidState, ReconcilerError, Refused, Unreachable
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Plan
from reconciler.model.source import Revision
from reconciler.model.status import Operation, Report
from reconciler.observe import asked_registries, observe
from reconciler.plan import make_plan
from reconciler.plan.status import stacks_status
from reconciler.ports import Clock, Files, Runtime, Source, Store
from reconciler.record import condense, learn

Load = Callable[[Files, Revision], DesiredState]
"""The pure loader with the operator's settings bound: load/__init__.py."""

SWEEP = timedelta(minutes=10)
"""How often everything is inspected, whatever events and lists say."""

PATIENCE_SECONDS = 5.0
"""How long a turn of the resident loop waits for its own actions before it goes on beside them."""


@dataclass(frozen=True, slots=True)
class World:
    """The neighbours of the loop, as ports."""

    source: Source
    load: Load
    runtime: Runtime
    store: Store
    clock: Clock


@dataclass(slots=True)
class Reconciler:
    """The loop's own memory between turns: only what makes the next turn cheaper or safer, nothing it could not relearn.

    wanted   the newest revision that is valid, loaded
    good     the last revision applied whole, loaded (None until there is one)
    """

    world: World
    applier: Applier
    wanted: DesiredState | None = None
    good: DesiredState | None = None
    swept: datetime | None = None
    trouble: ReconcilerError | None = field(default=None)

    def refresh(self) -> None:
        """Ask the source: take the newest revision if it is valid, else keep the last good one and remember why.

        Everything that touches the source happens here, so that a resident loop can do it in a thread of its own.
        """
        history = self.world.store.history()
        try:
            revision = self.world.source.fetch()
            if self.wanted is None or revision.id != self.wanted.revision.id:
                self.wanted = self.world.load(self.world.source.files(revision.id), revision)
            self.trouble = None
        except (Unreachable, Refused, InvalidState) as problem:
            self.trouble = problem
            self.wanted = self.wanted or self._load_revision(history.applied)
        if history.applied and (self.good is None or self.good.revision.id != history.applied):
            self.good = self._load_revision(history.applied)
        if self.good is not None:
            self.world.source.keep(self.good.revision.id, self.good.environment.name)

    def _load_revision(self, name: str) -> DesiredState | None:
        """Return a past revision, or None when it can no longer be read: then nothing can fall back to it."""
        if not name:
            return None
        try:
            revision = self.world.source.revision(name)
            return self.world.load(self.world.source.files(revision.id), revision)
        except ReconcilerError:
            return None

    def turn(self, woke: str = "command", patience_seconds: float | None = None) -> Report:
        """Do one turn with what the source said last. Never raises for what a person or a neighbour did: the report says so.

        `patience_seconds` is how long it waits for its own actions; what takes longer is left in flight.
        """
        started = self.world.clock.now()
        try:
            return self._turn(started, woke, patience_seconds)
        except (Unreachable, Conflict, Refused, InvalidState) as problem:
            return self._failed(started, woke, problem)

    def _turn(self, started: datetime, woke: str, patience_seconds: float | None) -> Report:
        wanted = self.wanted
        if wanted is None:
            raise self.trouble or Unreachable("no valid revision has been seen yet")
        history = self.world.store.history()
        previous = self.good if self.good and self.good.revision.id == history.applied else None
        observed = self._observe(wanted, history, previous)
        plan = make_plan(wanted, observed, history, previous, self.applier.busy)
        ended = (*self.applier.collect(), *self.applier.apply(plan, patience_seconds))
        return self._record(started, woke, wanted, plan, ended, observed, history, previous)

    # --- observe -----------------------------------------------------------------------------------------------------

    def _observe(self, desired: DesiredState, history: History, previous: DesiredState | None) -> ObservedState:
        now = self.world.clock.now()
        thorough = self.swept is None or now - self.swept >= SWEEP
        observed = observe(self.world.runtime, desired, history, previous, thorough=thorough)
        self.swept = now if thorough else self.swept
        return observed

    # --- record ------------------------------------------------------------------------------------------------------

    def _record(
        self,
        started: datetime,
        woke: str,
        wanted: DesiredState,
        plan: Plan,
        ended: Iterable[Ended],
        observed: ObservedState,
        history: History,
        previous: DesiredState | None,
    ) -> Report:
        ended, now = tuple(ended), self.world.clock.now()
        learned = learn(history, plan, ended, now, asked_registries(wanted, history, observed), images_of(wanted))
        if learned.applied == wanted.revision.id:
            self.good = wanted
        outcomes = tuple(outcome for _, outcome in ended)
        report = Report(
            started=started,
            finished=now,
            woke=woke,
            operation=Operation.FAILED if any(one.error for one in outcomes) else Operation.SUCCEEDED,
            plan=plan,
            outcomes=outcomes,
            stacks=stacks_status(plan, wanted, observed, learned, previous),
            revision=wanted.revision,
            applied=learned.applied,
            error=str(self.trouble) if self.trouble else "",
            hint=self.trouble.hint if self.trouble else "",
        )
        self.world.store.record(condense(report), learned)
        return report

    def _failed(self, started: datetime, woke: str, problem: ReconcilerError) -> Report:
        applied = self.world.store.history().applied
        report = Report(
            started=started,
            finished=self.world.clock.now(),
            woke=woke,
            operation=Operation.ERROR,
            revision=self.wanted.revision if self.wanted else None,
            applied=applied,
            error=str(problem),
            hint=problem.hint,
        )
        self.world.store.record(condense(report), None)
        return report


def images_of(desired: DesiredState) -> dict[str, str]:
    """Return the image reference of each service, by service id."""
    return {service.id: service.image for stack in desired.stacks for service in stack.services}


def next_wake(report: Report, interval_seconds: float, now: datetime) -> float:
    """Return in how many seconds the next turn is due, if nothing happens before: a timer of the plan, or the interval."""
    due = now + timedelta(seconds=interval_seconds)
    times = [one.wake_at for one in report.plan.waiting if one.wake_at] if report.plan else []
    return max(0.0, (min([due, *times]) - now).total_seconds())
