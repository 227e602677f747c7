"""Bring every slot of a service one step nearer to what Git asks for.

Nothing is remembered between turns: which step comes next is read off the containers that are there. A replacement is
made under a temporary name; the old container keeps the final one until the new one is ready, and comes back when the
new one fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from reconciler.model.desired import FailureAction, Order
from reconciler.model.observed import Phase
from reconciler.model.plan import (
    DeliverFiles,
    Reason,
    RemoveInstance,
    RenameInstance,
    RunHook,
    StartInstance,
    Target,
    Verb,
)
from reconciler.model.rollout import Course, Stage
from reconciler.plan import instances
from reconciler.plan.draft import Chain
from reconciler.plan.ending import ports_are_free, retire, stop
from reconciler.plan.gates import unmet
from reconciler.plan.order import is_staged, recreates
from reconciler.plan.readiness import fails_at, is_complete, is_on_trial, is_ready, was_stopped, why_failed
from reconciler.plan.reasons import because, facts
from reconciler.plan.traffic.serving import is_down, serves, why_not
from reconciler.plan.traffic.staged import advance, is_warm
from reconciler.plan.upkeep import await_ready, bring_back, keep, unpause
from reconciler.plan.view import Member, Slot
from reconciler.plan.work import Work, target_of, written

BREAKER = 3
"""As many replacements of one slot that each leave a difference behind hold the service."""


def roll(work: Work) -> None:
    """Plan one service: what is in flight first, then what is missing, then what is stale, then what is too many."""
    course = advance(work.world, work.view)
    if course is not None:
        work.draft.staged[work.view.service.id] = course
    failing = [slot for slot in work.view.slots if _why_slot_failed(work, slot)]
    for slot in work.view.slots:
        clear(work, slot)
        match slot.current, slot.stale:
            case None, None:
                _create(work, slot)
            case Member() as current, None if slot not in failing:
                keep(work, slot, current)
            case Member() as current, Member() as stale:
                _go_on(work, slot, current, stale, failed=slot in failing)
            case _:
                pass
    if failing:
        _fail(work, failing)
    elif course is not None and course.failed:
        _give_up(work, course)
    else:
        _begin_replacements(work)
        _say_what_is_waited_for(work, course)
    retire_surplus(work)


def _say_what_is_waited_for(work: Work, course: Course | None) -> None:
    if course is not None and course.waits:
        work.draft.wait(work.view.service.id, f"go on ({course.progress.stage})", course.waits, wake_at=course.until)


# --- a slot with nothing in it ---------------------------------------------------------------------------------------


def _create(work: Work, slot: Slot) -> None:
    if work.conflict(slot.name) or (group := _open_creation(work, slot)) is None:
        return
    chain = work.chain(group, slot.number, facts(f"{slot.name} does not exist"))
    _make(work, chain, slot, slot.name, None)
    start(work, chain, slot, Target(slot.name))


def _open_creation(work: Work, slot: Slot) -> str | None:
    """A container that this revision once had is drift; a new slot of a running service is scaling."""
    view, replicas = work.view, _replicas(work)
    if work.was_applied:
        return work.mend(slot.number, f"{slot.name} is gone", replicas)
    if view.members:
        return work.open(Verb.UPDATE, f"scale to {replicas}", _scale_source(work))
    return work.open(Verb.CREATE, replicas, facts("not there yet"))


def _make(work: Work, chain: Chain, slot: Slot, name: str, inherits: Member | None) -> None:
    cleared = work.draft.needed(*(f"cleared:{member.instance.id}" for member in slot.extra))
    change = instances.create(work.world, work.view, slot.number, name, inherits)
    work.makes(chain.then("create", change, (*work.ingredients(name), *cleared)))


def start(work: Work, chain: Chain, slot: Slot, target: Target, stop_first: Member | None = None) -> None:
    """Start a container once its conditions hold; until then it stands ready, created but not started."""
    held = unmet(work.world, work.view.service)
    if held:
        work.draft.wait(chain.group, f"start {slot.name}", held)
        return
    ours = {member.instance.id for member in (slot.current, slot.stale, *slot.extra) if member}
    if not ports_are_free(work, chain, slot.name, ours):
        return
    if work.view.service.files:
        # Whether an interrupted turn delivered them nobody knows; twice is harmless.
        chain.then("deliver", DeliverFiles(target, work.view.service.files))
    if stop_first is not None:
        stop(work, chain, stop_first)
    chain.then("start", StartInstance(target), work.ports_freed())
    for number, hook in enumerate(work.view.service.post_start, 1):
        chain.then(f"post-start-{number}", RunHook(target, hook))


# --- a replacement in flight -----------------------------------------------------------------------------------------


def _go_on(work: Work, slot: Slot, current: Member, stale: Member, *, failed: bool) -> None:
    if failed:
        return
    if work.view.held:
        _go_back(work, slot, current, stale)
        return
    group = work.open(Verb.UPDATE, _title(work), because(stale.comparison, work.view.service, stale.instance))
    chain = work.chain(group, slot.number, work.reasons(group))
    if stale.instance.name.endswith(instances.TEMPORARY):
        _take_back(work, chain, slot, current, stale)
    elif current.instance.phase is Phase.CREATED or (current.instance.phase is Phase.EXITED and not _has_come(work, current)):
        stops = stale if work.view.order[0] is Order.STOP_FIRST else None
        start(work, chain, slot, target_of(current), stops)
    elif _has_come(work, current):
        if not _stays_for_now(work):
            finish(work, chain, slot, current, stale)
    elif current.instance.phase is Phase.PAUSED:
        unpause(work, slot, current)
    else:
        await_ready(work, group, f"finish {slot.name}", current)


def _go_back(work: Work, slot: Slot, current: Member, stale: Member) -> None:
    """This version failed, and what ran before is still there: it stays, also where nobody remembers its commit."""
    reasons = facts(f"this spec failed: {work.view.held}")
    group = work.open(Verb.UPDATE, "failed, the old containers stay", reasons)
    return_to(work, work.chain(group, slot.number, reasons), slot, stale, current)


def _has_come(work: Work, current: Member) -> bool:
    """The new one took its place: it serves, or ended well where it is meant to end."""
    service = work.view.service
    return _is_reached(work, current) or is_complete(current.instance, service) or _tolerated(work, current)


def _is_reached(work: Work, current: Member) -> bool:
    """It is well, and requests come to it; in a set that takes over as a whole they are to come later."""
    if is_staged(work.view.service):
        return is_warm(work.world, work.view, current.instance)
    return is_ready(current.instance, work.view.service, work.world.now) and serves(work.world, work.view, current.instance)


def _stays_for_now(work: Work) -> bool:
    """The old one of a set that is replaced as a whole goes when all of it goes."""
    course = work.draft.staged.get(work.view.service.id)
    return course is not None and course.progress.stage not in (Stage.ROLLING, Stage.RETIRING)


def finish(work: Work, chain: Chain, slot: Slot, current: Member, stale: Member) -> None:
    """Let the old one go, now that the new one is ready, and pass its name on."""
    retire(work, chain, stale)
    if current.instance.name != slot.name:
        chain.then("rename", RenameInstance(target_of(current), slot.name))


def _take_back(work: Work, chain: Chain, slot: Slot, current: Member, stale: Member) -> None:
    """Git went back before the new one took its place: where both may run, it serves until the old one does again."""
    if _may_run_beside(work, current, stale) and not _has_come(work, current):
        keep(work, slot, current)
    else:
        return_to(work, chain, slot, current, stale)


def _may_run_beside(work: Work, old: Member, new: Member) -> bool:
    """Two that run already disturb each other no more than they did, unless both write to one place."""
    run_already = old.instance.running and not written(old.instance) & written(new.instance)
    return new.instance.running and (work.view.order[0] is Order.START_FIRST or run_already)


def return_to(work: Work, chain: Chain, slot: Slot, current: Member, stale: Member) -> None:
    """Let `current` serve again, and `stale` go, which is not wanted (any more)."""
    stop(work, chain, stale, "stop-new")
    bring_back(work, chain, current)
    chain.then("remove-new", RemoveInstance(target_of(stale)))


# --- a failed replacement --------------------------------------------------------------------------------------------


def _why_slot_failed(work: Work, slot: Slot) -> str:
    """A slot fails the update while it holds a new container that failed and there is an old one, or an older version."""
    updating = any(one.stale for one in work.view.slots) or _comes_anew(work, slot)
    if not updating or slot.current is None or _tolerated(work, slot.current):
        return ""
    if slot.stale is not None and slot.stale.instance.name.endswith(instances.TEMPORARY):
        return ""
    if was_stopped(slot.current.instance) and not work.view.held:
        return ""  # By somebody's hands, or by us while Git asked for something else: that says nothing of its version.
    return why_failed(slot.current.instance, work.view.service, work.world.now) or _why_unreached(work, slot.current)


def _why_unreached(work: Work, current: Member) -> str:
    """Say what keeps requests from a container that is well by itself, though it has had the time to become reached.

    A gateway that has not seen it yet, because it is new itself, says nothing of it.
    """
    instance, service, now = current.instance, work.view.service, work.world.now
    if (
        not is_ready(instance, service, now)
        or now < fails_at(instance, service)
        or not is_down(work.world, work.view, instance)
    ):
        return ""
    on = why_not(work.world, work.view, instance)
    return f"is not reached: in time for its start, it was not so that {on}" if on else ""


def _comes_anew(work: Work, slot: Slot) -> bool:
    """No old container is left, and yet there is an older version to go back to."""
    trial = slot.current is not None and is_on_trial(slot.current.instance, work.view.service, work.world.now)
    return trial and work.falls_back and not work.was_applied


def _tolerated(work: Work, current: Member) -> bool:
    """A failure that does not stop the update counts as done; healing takes it from there."""
    goes_on = work.view.service.update.failure_action is FailureAction.CONTINUE or _within_ratio(work)
    return goes_on and bool(why_failed(current.instance, work.view.service, work.world.now))


def _within_ratio(work: Work) -> bool:
    """Say whether as many failures as there are stay within max_failure_ratio."""
    service, now = work.view.service, work.world.now
    failed = sum(1 for slot in work.view.slots if slot.current and why_failed(slot.current.instance, service, now))
    return bool(failed) and failed / max(1, len(work.view.slots)) <= service.update.max_failure_ratio


def _fail(work: Work, failing: list[Slot]) -> None:
    """Give the old containers their place back and remember the spec."""
    view = work.view
    first, instance = next((slot, slot.current.instance) for slot in failing if slot.current is not None)
    why = f"{instance.name} {_why_slot_failed(work, first)}"
    stay = any(slot.stale for slot in view.slots)
    title = "failed, the old containers stay" if stay else "failed, the last good version comes back"
    group = work.open(Verb.UPDATE, title, facts(why))
    work.fail(group, why, instance)
    for slot in failing:
        if slot.current is not None and slot.stale is not None:
            return_to(work, work.chain(group, slot.number, facts(why)), slot, slot.stale, slot.current)


def _give_up(work: Work, course: Course) -> None:
    """The new set as a whole is not what was hoped for: the old one never stopped, and gets everything again."""
    group = work.open(Verb.UPDATE, "failed, the old set stays", facts(course.failed))
    first = next(slot.current.instance for slot in work.view.slots if slot.current is not None)
    work.fail(group, course.failed, first)


# --- stale slots -----------------------------------------------------------------------------------------------------


def _begin_replacements(work: Work) -> None:
    """Replace as many stale slots as parallelism and delay allow, those that serve nobody first."""
    stale = [(slot, slot.stale) for slot in work.view.slots if slot.stale is not None and slot.current is None]
    if not stale:
        return
    reasons = [reason for _, member in stale for reason in because(member.comparison, work.view.service, member.instance)]
    group = work.open(Verb.UPDATE, _title(work), reasons)
    if is_held(work, group, stale):
        return
    course = work.draft.staged.get(work.view.service.id)
    if course is not None and course.progress.paused:
        return
    stale.sort(key=lambda pair: (pair[1].instance.running, pair[0].number))
    budget = _budget(work)
    for slot, member in stale[:budget]:
        begin(work, group, slot, member)
    for slot, _ in stale[budget:]:
        work.draft.wait(group, f"replace {slot.name}", "the slots before it are done", wake_at=_delayed_until(work))


def is_held(work: Work, group: str, stale: list[tuple[Slot, Member]]) -> bool:
    """Say whether replacing is held: this spec has failed, replacing does not help, or a name is taken."""
    service = work.view.service
    if work.view.held:
        hint = f"push a fix, or `reconciler retry {service.id}`"
        work.draft.block(group, "R130", f"{service.id}: this spec failed: {work.view.held}", hint, service.mark("image"))
        return True
    for slot, member in stale:
        if work.world.history.replaced.get((f"{service.id}/{slot.number}", work.view.spec), 0) >= BREAKER:
            fields = ", ".join(sorted({one.attribute for one in member.comparison.recreate}))
            message = f"{service.id} was replaced {BREAKER} times and still differs: {fields}"
            work.draft.block(group, "R131", message, "report this, or add the field to `ignore`", service.mark("image"))
            return True
    return any(work.conflict(slot.name + instances.TEMPORARY, stays=member) for slot, member in stale)


def _budget(work: Work) -> int:
    """How many further slots may be taken: parallelism less what is in flight or not ready; none during the delay."""
    view, now = work.view, work.world.now
    until = _delayed_until(work)
    if until is not None and now < until:
        return 0
    whole = recreates(view.service) or is_staged(view.service)
    width = len(view.slots) if whole else view.service.update.parallelism or len(view.slots)
    busy = sum(1 for slot in view.slots if slot.current is not None and not _steady(work, slot))
    return max(0, width - busy)


def _steady(work: Work, slot: Slot) -> bool:
    member = slot.current
    if member is None or slot.stale is not None:
        return False
    return _has_come(work, member)


def _delayed_until(work: Work) -> datetime | None:
    last, delay = work.world.history.updated.get(work.view.service.id), work.view.service.update.delay_seconds
    if last is None or not delay or last > work.world.now:
        return None  # Nothing was updated in the future: that was before the clock was set back.
    return last + timedelta(seconds=delay)


def begin(work: Work, group: str, slot: Slot, old: Member) -> None:
    """Make a replacement under the temporary name; start-first starts it beside the old one, stop-first in its stead."""
    chain = work.chain(group, slot.number, because(old.comparison, work.view.service, old.instance))
    name = slot.name + instances.TEMPORARY
    if old.instance.name == name:
        # It took over from one that is gone, and Git moved on before it got the name: that must be free for its successor.
        chain.then("rename", RenameInstance(target_of(old), slot.name), work.draft.needed(f"name:{slot.name}"))
    _make(work, chain, slot, name, old)
    stops = old if work.view.order[0] is Order.STOP_FIRST else None
    start(work, chain, slot, Target(name), stops)
    then = f"hand over to {name}" if work.view.keeper else f"finish {slot.name}"
    work.draft.wait(group, then, f"{name} is ready")


def _title(work: Work) -> str:
    order, why = work.view.order
    return f"rolling {_replicas(work)}, {order} ({why})"


def _replicas(work: Work) -> str:
    count = len(work.view.slots)
    return f"{count} replicas" if count != 1 else "1 replica"


# --- what is too many ------------------------------------------------------------------------------------------------


def clear(work: Work, slot: Slot) -> None:
    """Let all but one container of each kind in a slot go: the better one was chosen."""
    for number, member in enumerate(slot.extra, 1):
        reasons = facts(f"{member.instance.name} is one too many in slot {slot.number}")
        group = work.open(Verb.HEAL, "one container too many", reasons)
        chain = work.draft.chain(group, f"{work.view.service.id}/{slot.number}/extra-{number}", reasons)
        retire(work, chain, member)
        work.draft.provides[f"cleared:{member.instance.id}"] = chain.last


def retire_surplus(work: Work) -> None:
    """Let the containers go that are in no slot Git asks for."""
    for member in work.view.surplus:
        reasons = facts(f"{len(work.view.slots)} replicas are wanted")
        group = work.open(Verb.UPDATE, f"scale to {len(work.view.slots)}", (*reasons, *_scale_source(work)))
        retire(work, work.draft.chain(group, f"{work.view.service.id}/{member.instance.name}", reasons), member)


def _scale_source(work: Work) -> Iterable[Reason]:
    service = work.view.service
    mark = service.mark("deploy.replicas", "scale")
    return (Reason("replicas", str(len(work.view.members)), str(service.replicas), mark),)
