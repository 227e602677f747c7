"""What do Git, the engine and the history say right now, each as far as it answers?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.loop import Look
    from reconciler.model.desired import DesiredState
    from reconciler.model.history import History
    from reconciler.model.status import StackStatus, Turn
    from reconciler.model.traffic import Sample
    from reconciler.plan.traffic.standing import ListenerStanding
    from reconciler.ports import Clock, Gateway, Lease, Runtime, Source, Store
    from reconciler.reading import Load

LAST_TURNS = 50
"""How far back a look goes to find a turn that saw the stacks."""


class Neighbours(Protocol):
    """Whom a reading verb asks; each may fail to be there already when it is opened."""

    def source(self) -> Source: ...

    def load(self) -> Load: ...

    def store(self) -> Store: ...

    def clock(self) -> Clock: ...

    def runtime(self) -> Runtime: ...

    def gateway(self, runtime: Runtime) -> Gateway | None: ...


@dataclass(frozen=True, slots=True)
class Sight:
    """One look around.

    desired  the newest revision that is valid and can be read, None when there is none
    look     what the engine runs and what a turn would do now, None when that is not to be had
    git      why `desired` is not what the branch points at now
    engine   why there is no `look`
    turns    the last turns, newest first
    samples  what the gateway had counted when, as far as it is kept
    """

    now: datetime
    history: History
    turns: tuple[Turn, ...]
    desired: DesiredState | None
    look: Look | None
    git: ReconcilerError | None
    engine: ReconcilerError | None
    samples: tuple[Sample, ...] = ()

    @property
    def troubles(self) -> tuple[ReconcilerError, ...]:
        """Everything that kept somebody from answering."""
        return tuple(one for one in (self.git, self.engine) if one is not None)

    @property
    def seen(self) -> tuple[datetime, tuple[StackStatus, ...]] | None:
        """When the stacks were seen last and how they were: now, else by the last turn that saw them."""
        if self.look is not None:
            from reconciler.plan.status import stacks_status

            look = self.look
            return look.observed.at, stacks_status(look.plan, look.desired, look.observed, look.history, look.previous)
        return next(((turn.finished, turn.stacks) for turn in self.turns if turn.stacks), None)

    @property
    def listeners(self) -> tuple[ListenerStanding, ...]:
        """The ports that the gateway holds, and who is behind them now; () where nobody can tell."""
        if self.look is None:
            return ()
        from reconciler.plan.planner import survey
        from reconciler.plan.traffic.standing import listeners

        look = self.look
        return listeners(survey(look.desired, look.observed, look.history, look.previous))

    @property
    def lease(self) -> Lease | None:
        """Who may change the environment now, None when nobody is known to: the engine keeps leases as volumes."""
        if self.look is None:
            return None
        from reconciler.model import labels
        from reconciler.ports import Lease

        name = self.look.desired.environment.name
        marks = [one.labels for one in self.look.observed.volumes if one.labels.get(labels.LEASE) == name]
        told = (Lease(one[labels.HOLDER], datetime.fromisoformat(one[labels.EXPIRES]), 0) for one in marks)
        return max((one for one in told if one.holder and one.expires > self.now), key=lambda one: one.expires, default=None)


@dataclass(slots=True)
class Lookout:
    """Where somebody stands who looks again and again: the engine is connected once, Git asked once an interval."""

    place: Neighbours
    source: Source = field(init=False)
    load: Load = field(init=False)
    store: Store = field(init=False)
    clock: Clock = field(init=False)
    _runtime: Runtime | None = field(init=False, default=None)
    _git: tuple[DesiredState | None, ReconcilerError | None] | None = field(init=False, default=None)
    _asked: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        place = self.place
        self.source, self.load, self.store, self.clock = place.source(), place.load(), place.store(), place.clock()

    def runtime(self) -> Runtime:
        """Return the engine, connected. Raises what connecting raises."""
        if self._runtime is None:
            self._runtime = self.place.runtime()
        return self._runtime

    def sight(self) -> Sight:
        """Look around. Raises UsageError for what the command line got wrong; all other trouble is in the answer."""
        history = self.store.history()
        desired, git = self.desired(history)
        look, engine = None, None
        if desired is not None:
            try:
                look = self._look(desired, history)
            except UsageError:
                raise
            except ReconcilerError as trouble:
                engine = trouble
        turns, samples = self.store.turns(LAST_TURNS), self.store.samples()
        return Sight(self.clock.now(), history, turns, desired, look, git, engine, samples)

    def desired(self, history: History) -> tuple[DesiredState | None, ReconcilerError | None]:
        """Return the newest revision that is valid and can be read, and why it is not the newest of all."""
        now = self.clock.monotonic()
        if self._git is None or self._git[0] is None or now - self._asked >= self._git[0].environment.interval_seconds:
            self._git, self._asked = self._from_git(history), now
        return self._git

    def _from_git(self, history: History) -> tuple[DesiredState | None, ReconcilerError | None]:
        try:
            revision = self.source.fetch()
            return self.load(self.source.files(revision.id), revision), None
        except UsageError:
            raise
        except ReconcilerError as trouble:
            known = (self.past(name) for name in (history.attempted, history.applied))
            return next((one for one in known if one is not None), None), trouble

    def past(self, name: str) -> DesiredState | None:
        """Return a revision that was seen before, None when it can no longer be read."""
        if not name:
            return None
        try:
            revision = self.source.revision(name)
            return self.load(self.source.files(revision.id), revision)
        except ReconcilerError:
            return None

    def _look(self, desired: DesiredState, history: History) -> Look:
        from reconciler.loop import Look
        from reconciler.observe import observe
        from reconciler.plan import make_plan
        from reconciler.plan.rollback import take_back

        applied = history.applied
        previous = desired if applied == desired.revision.id else self.past(applied)
        versions = {id: version for id in sorted(history.named) if (version := self.past(id)) is not None}
        now = take_back(desired, previous, history, versions)
        runtime = self.runtime()
        gateway = self.place.gateway(runtime)
        observed = observe(runtime, now.desired, now.history, now.previous, gateway=gateway)
        plan = make_plan(now.desired, observed, now.history, now.previous, now.unread)
        return Look(now.desired, now.previous, now.history, observed, plan)
