"""Turn after turn: source → load → observe → plan → apply → record, woken by what happens or by the interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.apply import Applier, Ended
from reconciler.audit import Ledger
from reconciler.errors import InvalidState, ReconcilerError, Unreachable
from reconciler.last_words import heard
from reconciler.model.catalog import without
from reconciler.model.desired import DesiredState, Environment
from reconciler.model.history import VERSION, History
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Plan
from reconciler.model.status import Operation, Outcome, Report
from reconciler.observe import asked_registries, observe, registered
from reconciler.plan import make_plan
from reconciler.plan.discovery import leaving
from reconciler.plan.healing import only_healing
from reconciler.plan.memory import Memory
from reconciler.plan.narrow import narrowed
from reconciler.plan.rollback import News, TakenBack, note, take_back
from reconciler.plan.status import stacks_status
from reconciler.plan.traffic.sampling import samples
from reconciler.ports import Catalog, Clock, Depth, Gateway, Registries, Runtime, Source, Store, Writer
from reconciler.reading import Load, Reader
from reconciler.recollection import Recollection
from reconciler.record import condense, learn
from reconciler.reverting import Reverting
from reconciler.steady import Steady, moved

SWEEP_SECONDS = 600.0
"""How often everything is inspected, whatever events and lists say; and how often it is listed at least."""

SAMPLE_SECONDS = 10.0
"""How often at most the gateway's counters are kept: each time costs a wait for the disk."""

PATIENCE_SECONDS = 5.0
"""How long a turn of the resident loop waits for its own actions before it goes on beside them."""


@dataclass(frozen=True, slots=True)
class World:
    """The neighbours of the loop, as ports.

    catalog     hears what can be found, None: nobody does
    writer_for  who commits to the source of an environment, None: nobody does
    registries  external ones, by URL; None: they are nobody's business here
    """

    source: Source
    load: Load
    runtime: Runtime
    store: Store
    clock: Clock
    gateway: Gateway | None = None
    catalog: Catalog | None = None
    registries: Registries | None = None
    writer_for: Callable[[Environment], Writer] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Everything a turn decides from, and the decision.

    previous  the last revision applied whole, None when there is none or it can no longer be read
    news      what the newest revision makes of rollbacks
    """

    desired: DesiredState
    previous: DesiredState | None
    history: History
    observed: ObservedState
    plan: Plan
    news: Mapping[str, News] = field(default_factory=dict)

    @property
    def secrets(self) -> frozenset[str]:
        """The texts that no message about this turn may hold."""
        return self.desired.secrets | (self.previous.secrets if self.previous else frozenset())


@dataclass(slots=True)
class Reconciler:
    """The loop's own memory between turns: only what makes the next turn cheaper or safer, nothing it could not relearn.

    wanted   the newest revision that is valid, loaded
    good     the last revision applied whole, loaded (None until there is one)
    versions the other revisions that the history names, loaded, by id
    only     the one stack that is worked on; "" for all of them
    swept    when everything was inspected last, on the monotonic clock; None: nobody knows what it is like
    listed   when everything was listed last
    sampled  when the gateway's counters were kept last
    memory   what the last plan found out
    """

    world: World
    applier: Applier
    wanted: DesiredState | None = None
    good: DesiredState | None = None
    versions: Mapping[str, DesiredState] = field(default_factory=dict)
    only: str = ""
    swept: float | None = None
    listed: float | None = None
    sampled: float | None = None
    trouble: ReconcilerError | None = field(default=None)
    memory: Memory = field(default_factory=Memory)
    steady: Steady = field(init=False)
    reader: Reader = field(init=False)
    ledger: Ledger = field(init=False)
    recollection: Recollection = field(init=False)

    def __post_init__(self) -> None:
        self.steady = Steady(self.world.clock)
        self.reader = Reader(self.world.load)
        self.ledger = Ledger(self.world.store, self.world.clock)
        self.recollection = Recollection(self.world.store)

    def refresh(self) -> None:
        """Ask the source: take the newest revision if it is valid, else keep the last good one and remember why.

        Everything that touches the source happens here, so that a resident loop can do it in a thread of its own.
        """
        reverted = _raised(self._revert)
        # What was taken back comes first: the newest revision must not be worked on without it.
        taken_back, newest = _raised(self._take_versions), _raised(self._take_newest)
        # Said before an older revision may take its place: nobody must believe that to be the newest.
        self.trouble = newest or taken_back or reverted
        held = _raised(self.hold_good)
        self.trouble = self.trouble or held

    def hold_good(self) -> None:
        """Have the last revision that was applied whole at hand, to fall back to, whatever becomes of the remote."""
        history = self.world.store.history()
        if history.applied and (self.good is None or self.good.revision.id != history.applied):
            self.good = self._load_revision(history.applied)
        self.wanted = self.wanted or self._half_way(history) or self.good
        if self.good is not None:
            self.world.source.keep(self.good.revision.id, self.good.environment.name)
        if self.wanted is not None and self.wanted.revision.id != history.applied:
            self.world.source.keep(self.wanted.revision.id, f"newest-{self.wanted.environment.name}")

    def _half_way(self, history: History) -> DesiredState | None:
        """Return what was worked on last and is not there whole: that a remote is down is no reason to take it back."""
        begun = history.attempted not in ("", history.applied)
        return self._load_revision(history.attempted) if begun else None

    def _revert(self) -> None:
        """Take back in Git what failed, before Git is asked: what comes of that is the newest revision then."""
        world = self.world
        if self.wanted is not None and world.writer_for is not None:
            Reverting(world.source, world.load, world.store, world.clock, world.writer_for).revert(self.wanted)

    def _take_versions(self) -> None:
        """Have the revisions at hand that the history names. Raises Unreachable for one that can no longer be read."""
        history = self.world.store.history()
        found = {id: self.versions.get(id) or self._load_revision(id) for id in history.named}
        self.versions = {id: version for id, version in found.items() if version is not None}
        self.world.source.keep_only(history.named, VERSION)
        missing = history.named - self.versions.keys()
        for target, one in sorted(history.rollbacks.items()):
            if one.to in missing:
                message = f"{target} is rolled back to {one.to[:7]}, which cannot be read"
                hint = f"until it can, nothing is done to it; `reconciler retry {target}` ends the rollback"
                raise Unreachable(message, hint=hint)
        for stack, id in sorted({**history.behind, **history.manual}.items()):
            if id in missing:
                message = f"{stack} waits in version {id[:7]}, which cannot be read"
                hint = f"until it can, nothing is done to it; `reconciler apply {stack}` releases the newest"
                raise Unreachable(message, hint=hint)

    def _take_newest(self) -> None:
        revision = self.world.source.fetch()
        if self.wanted is None or revision.id != self.wanted.revision.id:
            self.wanted = self.reader.read(self.world.source.files(revision.id), revision)

    def _load_revision(self, name: str) -> DesiredState | None:
        """Return a past revision, or None when it can no longer be read: then nothing can fall back to it."""
        try:
            revision = self.world.source.revision(name)
            return self.reader.read(self.world.source.files(revision.id), revision)
        except ReconcilerError:
            return None

    def look(self) -> Look:
        """Plan what a turn would do now, and do nothing. Raises what keeps it from that, such as an engine that is away."""
        wanted = self.wanted
        if wanted is None:
            raise self.trouble or Unreachable("no valid revision has been seen yet")
        history = self._history(self.steady.set_by())
        good = self.good if self.good and self.good.revision.id == history.applied else None
        now = take_back(wanted, good, history, self.versions)
        observed = self.steady.corrected(self._observe(now.desired, now.history, now.previous))
        plan = self.decide(now, observed)
        # Only the newest revision of all says what becomes of a rollback; one that is worked on for want of it does not.
        return Look(now.desired, now.previous, now.history, observed, plan, {} if self.trouble else now.news)

    def decide(self, now: TakenBack, observed: ObservedState) -> Plan:
        """Make the plan of a turn: the one place where the loop decides anything."""
        busy, stopping = self.applier.busy | now.unread, leaving(self.applier.unfinished)
        plan = make_plan(now.desired, observed, now.history, now.previous, busy, self.memory, stopping)
        if self.recollection.trouble:
            plan = only_healing(plan)
        return narrowed(plan, self.only) if self.only else plan

    def turn(self, woke: str = "command", patience_seconds: float | None = None) -> Report:
        """Do one turn with what the source said last. Never raises for what a person or a neighbour did: the report says so.

        `patience_seconds` is how long it waits for its own actions; what takes longer is left in flight.
        """
        started = self.world.clock.now()
        try:
            began = self.world.clock.monotonic()
            look = self._hearing(self.look())
            self._publish(look.plan, began)
            self.ledger.begin(look.plan, look.desired.revision, woke)
            ended = (*self.applier.collect(), *self.applier.apply(look.plan, patience_seconds, look.secrets))
            return self._record(started, woke, look, ended)
        except ReconcilerError as problem:
            return self.failed(woke, problem, started)

    def _publish(self, plan: Plan, looked_at: float) -> None:
        """Say what can be found, before anything is done: what is to stop must not be found any more when it does."""
        if self.world.catalog is not None and plan.entries is not None:
            stopping = leaving((*plan.actions, *self.applier.unfinished))
            self.world.catalog.publish(without(plan.entries, stopping), looked_at)

    def end(self, patience_seconds: float) -> None:
        """Begin nothing more, and give the calls in flight this long to end."""
        self.ledger.end(self.applier.stop(patience_seconds))

    def failed(self, woke: str, problem: ReconcilerError, started: datetime | None = None) -> Report:
        """Record a turn that could not even plan."""
        now = self.world.clock.now()
        report = Report(
            started=started or now,
            finished=now,
            woke=woke,
            operation=Operation.ERROR,
            revision=self.wanted.revision if self.wanted else None,
            applied=self.good.revision.id if self.good else "",
            error=_said(problem),
            hint=problem.hint,
        )
        return self._keep(report)

    def _hearing(self, look: Look) -> Look:
        """Hear what failed before anything is done: its container may go in this very turn."""
        failures = heard(self.world.runtime, look.plan.failures, look.secrets)
        return replace(look, plan=replace(look.plan, failures=failures))

    def _history(self, set_by: timedelta) -> History:
        """Return what was learned, its times moved with the clock where that was set since the last look."""
        known = self.recollection
        return known.change(lambda history: moved(history, set_by)) if set_by else known.history()

    # --- observe -----------------------------------------------------------------------------------------------------

    def _observe(self, desired: DesiredState, history: History, previous: DesiredState | None) -> ObservedState:
        now = self.world.clock.monotonic()
        depth = self._depth(now, desired.environment.interval_seconds)
        runtime, gateway = self.world.runtime, self.world.gateway
        observed = observe(runtime, desired, history, previous, self.memory, gateway=gateway, depth=depth)
        observed = replace(observed, registered=registered(self.world.registries, desired.environment))
        if depth is not Depth.HEARD:
            self.listed = now
        if depth is Depth.WHOLE:
            self.swept = now
        return observed

    def _depth(self, now: float, interval_seconds: float) -> Depth:
        """What events tell is enough between two lists, and lists are between two sweeps."""
        if self.swept is None or self.listed is None or now - self.swept >= SWEEP_SECONDS:
            return Depth.WHOLE
        return Depth.LISTED if now - self.listed >= min(interval_seconds, SWEEP_SECONDS) else Depth.HEARD

    def until_list(self, interval_seconds: float) -> float:
        """Return in how many seconds everything is due to be listed; after a turn that could not, in a whole interval."""
        most = min(interval_seconds, SWEEP_SECONDS)
        passed = self.world.clock.monotonic() - self.listed if self.listed is not None else 0.0
        return most - passed if passed < most else most

    # --- record ------------------------------------------------------------------------------------------------------

    def _record(self, started: datetime, woke: str, look: Look, ended: tuple[Ended, ...]) -> Report:
        now = self.world.clock.now()
        self.ledger.end(ended)
        asked = tuple(asked_registries(look.desired, look.history, look.observed))
        images = {service.id: service.image for stack in look.desired.stacks for service in stack.services}
        # Learned on top of what is stored by now: a person may have said `retry` while this turn went on.
        learned = self.recollection.change(
            lambda history: learn(note(history, look.news), look.plan, ended, now, asked, images)
        )
        if learned.applied == look.desired.revision.id:
            self.good = look.desired
        self._sample(look.observed)
        outcomes = tuple(outcome for _, outcome in ended)
        report = Report(
            started=started,
            finished=now,
            woke=woke,
            operation=self._operation(outcomes),
            plan=look.plan,
            outcomes=outcomes,
            stacks=stacks_status(look.plan, look.desired, look.observed, learned, look.previous, self.memory),
            revision=look.desired.revision,
            applied=learned.applied,
            error=_joined(_said(self.trouble) if self.trouble else "", self.recollection.trouble, self.ledger.trouble),
            hint=self.trouble.hint if self.trouble else "",
        )
        return self._keep(report)

    def _sample(self, observed: ObservedState) -> None:
        """Keep what the gateway has counted, for whoever asks for its course later."""
        now = self.world.clock.monotonic()
        is_due = self.sampled is None or now - self.sampled >= SAMPLE_SECONDS
        if is_due and (found := samples(observed)):
            self.sampled = now
            self.recollection.sample(found)

    def _keep(self, report: Report) -> Report:
        """Put the turn into the state directory's log; a full disk must not end the loop, so the report says it."""
        try:
            self.recollection.record(condense(report))
        except ReconcilerError as problem:
            return replace(report, error=_joined(report.error, str(problem)))
        return report

    def _operation(self, outcomes: Iterable[Outcome]) -> Operation:
        if self.recollection.trouble:
            return Operation.ERROR
        return Operation.FAILED if any(one.error for one in outcomes) else Operation.SUCCEEDED


def _raised(work: Callable[[], None]) -> ReconcilerError | None:
    try:
        work()
    except ReconcilerError as problem:
        return problem
    return None


def _joined(*errors: str) -> str:
    """One neighbour that does not answer may stand in the way of several things."""
    said: list[str] = []
    for error in filter(None, errors):
        if not any(error in one for one in said):
            said.append(error)
    return "; ".join(said)


def _said(problem: ReconcilerError) -> str:
    """Say in one line what is wrong: the first problem of a wrong file, and how many more there are."""
    more = len(problem.problems) - 1 if isinstance(problem, InvalidState) else 0
    return f"{problem} (and {more} more; `reconciler validate` shows them)" if more else str(problem)


def next_wake(report: Report, interval_seconds: float, now: datetime) -> float:
    """Return in how many seconds the next turn is due, if nothing happens before: a timer of the plan, or the interval."""
    due = now + timedelta(seconds=interval_seconds)
    plan = report.plan
    times = [*(one.wake_at for one in plan.waiting), *(one.until for one in plan.held)] if plan else []
    return max(0.0, (min([due, *filter(None, times)]) - now).total_seconds())
