"""What does a turn teach? From the old history and what was done to the new one; storing it is the Store's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.model import labels
from reconciler.model.history import KEPT_IMAGES, KEPT_JOBS, KEPT_RUNS, Backoff, History, Quarantine
from reconciler.model.plan import (
    Action,
    CreateInstance,
    CreateVolume,
    DrainServer,
    Failure,
    HandOver,
    Plan,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RemoveServer,
    RenameInstance,
    Verb,
    WeighServer,
)
from reconciler.model.rollout import Progress
from reconciler.model.status import Outcome, Report, Turn
from reconciler.plan import render
from reconciler.plan.instances import TEMPORARY

HEAL_FIRST, HEAL_FACTOR, HEAL_MOST = 2.0, 3.0, 300.0
RETRY_FIRST, RETRY_FACTOR, RETRY_MOST = 5.0, 2.0, 180.0
STABLE = timedelta(minutes=10)
"""After so long without a repair the next one is immediate again."""
LATELY = timedelta(days=30)
"""Older times decide nothing: registries are asked more often, and no delay between two slots is so long."""


def learn(
    history: History,
    plan: Plan,
    ended: Iterable[tuple[Action, Outcome]],
    now: datetime,
    asked: Iterable[str] = (),
    images: Mapping[str, str] | None = None,
) -> History:
    """Return the history after a turn.

    `plan` is what it decided, `ended` what came to an end meanwhile, `asked` which image references the registry was asked
    about, `images` the reference of each service (by service id) as the plan wants it.
    """
    ended = list(ended)
    known = history if history.attempted == plan.revision_id else _renewed(history, plan.revision_id)
    done = [action for action, outcome in ended if outcome.done]
    failed = [(action, outcome.error) for action, outcome in ended if outcome.error]
    return replace(
        known,
        fresh=known.fresh and not plan.complete,
        applied=plan.revision_id if is_applied(plan) else known.applied,
        manual=_manual(known, plan) if is_applied(plan) else known.manual,
        behind=_behind(known, plan) if is_applied(plan) else known.behind,
        quarantine=_quarantine(known, plan, now),
        heals=_heals(known, ended, now),
        retries=_retries(known, done, failed, now),
        pulled=_pulled(known, ended),
        ran=_ran(known, plan, images or {}) if is_applied(plan) else known.ran,
        jobs=_jobs(known, done),
        replaced=_replaced(known, plan, done),
        updated=_updated(known, done, now),
        handed=_handed(known, done, now),
        drains=_drains(known, done, now),
        rollouts=_rollouts(known, plan),
        words={service: word for service, word in known.words.items() if now - word.at < LATELY},
        asked={**_lately(known.asked, now), **dict.fromkeys(asked, now)},
        overruled={name: one for name, one in known.overruled.items() if one.revision == plan.revision_id},
        suspended={name: one for name, one in known.suspended.items() if one.holds(plan.observed_at)},
    )


def is_applied(plan: Plan) -> bool:
    """Everything the revision asks for is there, but for stacks whose newest version waits for `apply STACK`."""
    held_back = plan.waiting or plan.blocked or plan.failures or any(one.what for one in plan.held)
    return plan.complete and not plan.actions and not held_back


def _manual(history: History, plan: Plan) -> Mapping[str, str]:
    """What was released is of no matter once a newer version has come in."""
    return {name: id for name, id in history.manual.items() if name in plan.withheld or id == plan.revision_id}


def _behind(history: History, plan: Plan) -> Mapping[str, str]:
    return {name: history.manual.get(name, history.behind.get(name, history.applied)) for name in plan.withheld}


def _renewed(history: History, revision: str) -> History:
    """A new revision gets fresh tries."""
    return replace(history, attempted=revision, heals={}, retries={}, replaced={}, handed={})


def _quarantine(history: History, plan: Plan, now: datetime) -> Mapping[str, Quarantine]:
    kept = {service: one for service, one in history.quarantine.items() if one.revision == plan.revision_id}
    return {**kept, **{one.service: _failed(one, kept.get(one.service), plan.revision_id, now) for one in plan.failures}}


def _failed(failure: Failure, known: Quarantine | None, revision: str, now: datetime) -> Quarantine:
    """It may be found to have failed once more while what did so is still there."""
    written = known.written if known and known.spec == failure.spec else ""
    return Quarantine(failure.service, failure.spec, revision, failure.message, now, failure.last_words, written)


def _heals(history: History, ended: Iterable[tuple[Action, Outcome]], now: datetime) -> Mapping[str, Backoff]:
    keys = {_slot_key(action) for action, outcome in ended if action.verb is Verb.HEAL and not outcome.skipped}
    kept = {key: one for key, one in history.heals.items() if now - one.last < STABLE}
    return {**kept, **{key: _next(kept.get(key), now, HEAL_FIRST, HEAL_FACTOR, HEAL_MOST) for key in sorted(keys)}}


def _slot_key(action: Action) -> str:
    """`stack/service/slot` of an action's id `stack/service/slot/step`."""
    return action.id.rpartition("/")[0]


def _retries(
    history: History, done: Iterable[Action], failed: Iterable[tuple[Action, str]], now: datetime
) -> Mapping[str, Backoff]:
    """A group that got something done is past its failure; one that failed waits longer each time."""
    succeeded = {action.group for action in done}
    kept = {key: one for key, one in history.retries.items() if key not in succeeded}
    for action, error in failed:
        before = history.retries.get(action.group)
        kept[action.group] = replace(_next(before, now, RETRY_FIRST, RETRY_FACTOR, RETRY_MOST), why=error)
    return kept


def _next(before: Backoff | None, now: datetime, first: float, factor: float, most: float) -> Backoff:
    attempts = before.attempts + 1 if before else 1
    return Backoff(attempts, now, now + timedelta(seconds=min(most, first * factor ** (attempts - 1))))


def _pulled(history: History, ended: Iterable[tuple[Action, Outcome]]) -> frozenset[str]:
    """What we pulled is ours to remove, once: what the engine refuses to let go is somebody's."""
    ours = set(history.pulled)
    for action, outcome in ended:
        match action.change:
            case PullImage(reference=reference) if outcome.done:
                ours.add(reference)
            case RemoveImage(reference=reference) if not outcome.skipped:
                ours.discard(reference)
            case _:
                pass
    return frozenset(ours)


def _ran(history: History, plan: Plan, images: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """The images of the last applied versions of each service that Git still has, newest first."""
    before = {service: history.ran.get(service, ()) for service in images}
    applied = {service: image for service, image in images.items() if service.partition("/")[0] not in plan.withheld}
    return before | {
        service: tuple(dict.fromkeys((image, *before[service])))[:KEPT_IMAGES] for service, image in applied.items()
    }


def _jobs(history: History, done: Iterable[Action]) -> Mapping[str, tuple[str, ...]]:
    """The last successes of the jobs that ran last, also of those that Git no longer has: it may have them again."""
    jobs = dict(history.jobs)
    for action in done:
        if isinstance(action.change, CreateVolume) and labels.JOB in action.change.labels:
            specs = (*jobs.pop(action.group, ()), action.change.labels[labels.JOB])
            jobs[action.group] = tuple(dict.fromkeys(specs))[-KEPT_RUNS:]
    return dict(list(jobs.items())[-KEPT_JOBS:])


def _replaced(history: History, plan: Plan, done: Iterable[Action]) -> Mapping[tuple[str, str], int]:
    """Count replacements of a slot as long as its service goes on differing."""
    touched = {group.key for group in plan.groups}
    counts = {key: count for key, count in history.replaced.items() if key[0].rpartition("/")[0] in touched}
    for action in done:
        if isinstance(action.change, CreateInstance) and action.change.name.endswith(TEMPORARY):
            key = (f"{action.change.service}/{action.change.slot}", action.change.payload["Labels"][labels.SPEC])
            counts[key] = counts.get(key, 0) + 1
    return counts


def _updated(history: History, done: Iterable[Action], now: datetime) -> Mapping[str, datetime]:
    """A slot is done when the old container is gone (a rename follows, where there was a temporary name)."""
    ends = (RemoveInstance, RenameInstance)
    slots = {action.group for action in done if isinstance(action.change, ends) and action.verb is Verb.UPDATE}
    return {**_lately(history.updated, now), **dict.fromkeys(slots, now)}


def _lately(times: Mapping[str, datetime], now: datetime) -> Mapping[str, datetime]:
    return {name: time for name, time in times.items() if now - time < LATELY}


def _handed(history: History, done: Iterable[Action], now: datetime) -> Mapping[str, datetime]:
    heirs = (action.change.target.id for action in done if isinstance(action.change, HandOver))
    return {**history.handed, **dict.fromkeys(heirs, now)}


def _rollouts(history: History, plan: Plan) -> Mapping[str, Progress]:
    """Whose actions are in flight was not looked at; who is not told of otherwise has no rollout any more."""
    busy = {action.group for action in plan.actions} | {one.group for one in plan.waiting}
    kept = {service: one for service, one in history.rollouts.items() if service in busy}
    return {**kept, **plan.rollouts}


def _drains(history: History, done: Iterable[Action], now: datetime) -> Mapping[str, datetime]:
    """What has in-flight requests to end counts from the first time it was told so, and no more once it serves again."""
    drains = dict(_lately(history.drains, now))
    for action in done:
        match action.change:
            case DrainServer(server=server):
                drains.setdefault(server, now)
            case WeighServer(server=server) | RemoveServer(server=server):
                drains.pop(server, None)
            case _:
                pass
    return drains


def condense(report: Report) -> Turn:
    """Return what stays of a turn."""
    revision = report.revision
    return Turn(
        started=report.started,
        finished=report.finished,
        woke=report.woke,
        operation=report.operation,
        revision=revision.id if revision else "",
        author=revision.author if revision else "",
        subject=revision.subject if revision else "",
        applied=report.applied,
        summary=render.summary(report.plan) if report.plan else "",
        plan=render.text(report.plan) if report.plan else "",
        failed=tuple(f"{one.action}: {one.error}" for one in report.outcomes if one.error),
        stacks=report.stacks,
        error=report.error,
        hint=report.hint,
        done=sum(one.done for one in report.outcomes),
    )
