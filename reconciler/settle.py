"""When is a one-time apply over: when everything is as Git asks and well, or when nothing moves any more?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from reconciler.claim import RENEW_SECONDS, Claim
from reconciler.errors import Unreachable
from reconciler.loop import PATIENCE_SECONDS, Reconciler, next_wake
from reconciler.model.history import History
from reconciler.model.plan import Plan
from reconciler.model.status import Health, Report
from reconciler.plan.suspended import until

NO_PROGRESS_SECONDS = 900.0
"""After so long without anything new happening it is over."""
TRIES, AFTER_TRIES_SECONDS = 3, 30.0
"""What failed so often will hardly work now; whatever else is under way gets this long to move."""
LOOK_AGAIN_SECONDS = 2.0
"""Some things ripen without an event: a container without a healthcheck only has to run for a while."""
DRAIN_SECONDS = 8.0
"""Whoever interrupts an apply gives the calls in flight so long to end."""

UNWELL = frozenset({Health.DEGRADED, Health.MISSING})


def settle(
    reconciler: Reconciler,
    claim: Claim,
    tell: Callable[[Report], None],
    wait: Callable[[float], object],
    timeout_seconds: float = float("inf"),
) -> Report:
    """Turn until nothing is left to do, or nothing moves any more. Returns the last turn's report; see `verdict`.

    The revision is the one that was fetched before. `wait` passes so many seconds, or fewer when something happens;
    `tell` hears of every turn. Raises Refused when somebody else holds the lease, Unreachable when the engine is away
    from the start.
    """
    wanted, clock = reconciler.wanted, reconciler.world.clock
    if wanted is None:
        raise reconciler.trouble or Unreachable("no valid revision has been seen yet")
    claim.take(wanted.environment.name)
    progress = Progress(clock.monotonic(), clock.monotonic() + timeout_seconds)
    while True:
        report = _turn(reconciler, claim, wanted.environment.name)
        tell(report)
        progress.note(report, clock.monotonic())
        busy = bool(reconciler.applier.busy)
        if is_settled(report, reconciler.only) and not busy:
            return report
        if progress.is_over(report, reconciler.world.store.history(), clock.monotonic(), busy=busy):
            return report
        if not (report.plan and report.plan.actions) or busy:
            wait(min(LOOK_AGAIN_SECONDS, RENEW_SECONDS, next_wake(report, LOOK_AGAIN_SECONDS, clock.now())))


def _turn(reconciler: Reconciler, claim: Claim, environment: str) -> Report:
    try:
        claim.take(environment)
    except Unreachable as silence:
        # Without an answer nobody knows who holds the lease, so nothing is done; the engine may come back.
        return reconciler.failed("apply", silence)
    return reconciler.turn("apply", PATIENCE_SECONDS)


def is_settled(report: Report, only: str = "") -> bool:
    """Say whether nothing is left to do or to wait for; `only` looks at one stack."""
    plan = report.plan
    if plan is None or plan.actions or plan.waiting:
        return False
    stacks = (stack for stack in report.stacks if only in ("", stack.name))
    return not any(service.health is Health.PROGRESSING for stack in stacks for service in stack.services)


def verdict_of(report: Report, stack: str) -> tuple[str, ...]:
    """Return what keeps one stack from running what counts now, in words; () when nothing does.

    The plan is about that stack alone; what a person holds back is no fault.
    """
    plan = replace(report.plan, held=()) if report.plan else None
    return verdict(replace(report, plan=plan, stacks=tuple(one for one in report.stacks if one.name == stack)))


def verdict(report: Report) -> tuple[str, ...]:
    """Return what keeps the environment from being as Git asks, in words; () when nothing does."""
    return tuple(dict.fromkeys(_shortcomings(report)))


def _shortcomings(report: Report) -> Iterator[str]:
    if report.error:
        yield report.error
    if report.plan is not None:
        yield from _held_back(report.plan)
    for outcome in report.outcomes:
        if outcome.error:
            yield f"{outcome.action}: {outcome.error}"
    named = {one.group for one in report.plan.blocked} if report.plan else set()
    for stack in report.stacks:
        for service in stack.services:
            id = f"{service.stack}/{service.name}"
            if service.health in UNWELL and id not in named:
                yield f"{id} is {service.health.lower()}" + (f": {service.message}" if service.message else "")


def _held_back(plan: Plan) -> Iterator[str]:
    if not plan.complete:
        yield "not everything could be asked"
    yield from (f"[{one.code}] {one.message}" for one in plan.blocked)
    yield from (f"{failure.service}: {failure.message}" for failure in plan.failures)
    yield from (f"{one.key}: {one.what}, held: {one.why} ({until(one.until, one.ends)})" for one in plan.held if one.what)
    yield from (f"{one.group} has still to {one.what}, once {one.on}" for one in plan.waiting)


@dataclass(slots=True)
class Progress:
    """When did anything last happen that had not happened before? Repairing the same thing again is no progress."""

    moved_at: float
    ends_at: float
    _seen: set[tuple[object, ...]] = field(default_factory=set)

    def note(self, report: Report, now: float) -> None:
        """Take in what a turn did and saw."""
        news = set(_milestones(report))
        if not news <= self._seen:
            self.moved_at = now
            self._seen |= news

    def is_over(self, report: Report, history: History, now: float, *, busy: bool) -> bool:
        """Say whether waiting on makes no sense. `busy`: some action is still in flight, such as a long pull."""
        still = now - self.moved_at
        hopeless = _has_failed_often(report, history) or (not busy and _waits_for_a_person(report))
        given_up = still >= AFTER_TRIES_SECONDS and hopeless
        return now >= self.ends_at or still >= NO_PROGRESS_SECONDS or given_up


def _milestones(report: Report) -> Iterator[tuple[object, ...]]:
    yield from ((outcome.action,) for outcome in report.outcomes if outcome.done)
    for stack in report.stacks:
        for service in stack.services:
            yield service.stack, service.name, service.image, service.ready


def _waits_for_a_person(report: Report) -> bool:
    """Something is held until somebody decides, and whatever else is waited for has no time of its own."""
    plan = report.plan
    return plan is not None and bool(plan.blocked) and not any(one.wake_at or one.until for one in plan.waiting)


def _has_failed_often(report: Report, history: History) -> bool:
    """Something that is still waited for failed again and again, or there is no plan at all any more."""
    if report.plan is None:
        return True
    waited_for = {one.group for one in report.plan.waiting}
    tried = {**history.retries, **history.heals}
    often = (key for key, backoff in tried.items() if backoff.attempts >= TRIES)
    return any(key in waited_for or key.rpartition("/")[0] in waited_for for key in often)
