"""Run what is to run once, once."""

from __future__ import annotations

from reconciler.model import labels
from reconciler.model.desired import Kind
from reconciler.model.observed import Phase
from reconciler.model.plan import DeliverFiles, DisconnectNetwork, Reason, RemoveInstance, StartInstance, Target, Verb
from reconciler.plan import instances
from reconciler.plan.draft import Chain
from reconciler.plan.ending import retire
from reconciler.plan.finished import finished, marked, marker
from reconciler.plan.gates import unmet
from reconciler.plan.readiness import start_error
from reconciler.plan.reasons import because, facts
from reconciler.plan.upkeep import unpause
from reconciler.plan.view import Member, Slot
from reconciler.plan.work import Work, target_of


def run_job(work: Work) -> None:
    """Run every slot of a job to its end; remember the success; never run the same spec again."""
    if _all_succeeded(work):
        _remember(work)
    elif not finished(work.world, work.view):
        for slot in work.view.slots:
            _advance(work, slot)
    for slot in work.view.slots:
        _leave_networks(work, slot)
    for member in work.view.surplus:
        group = work.open(Verb.REMOVE, "slot no longer wanted", facts(f"{len(work.view.slots)} runs are wanted"))
        retire(work, work.draft.chain(group, f"{work.view.service.id}/{member.instance.name}", facts("surplus")), member)


def _all_succeeded(work: Work) -> bool:
    members = [slot.current for slot in work.view.slots]
    return bool(members) and all(one is not None and one.instance.ended and one.instance.exit_code == 0 for one in members)


def _remember(work: Work) -> None:
    """The marker is written once; while the container is there it proves the success by itself."""
    if not marked(work.world, work.view) and not finished(work.world, work.view):
        group = work.open(Verb.CREATE, "job succeeded", facts("exit code 0"))
        work.draft.act(f"{work.view.service.id}/remember", marker(work.world, work.view), group, facts("exit code 0"))


def _leave_networks(work: Work, slot: Slot) -> None:
    """A run that is over keeps no network alive that Git no longer gives it."""
    member = slot.current
    if member is None or not member.instance.ended:
        return
    for gone in (one.network for one in member.comparison.reattach if one.connected and one.new is None):
        reasons = facts(f"network {gone}: no longer in Git")
        chain = work.chain(work.open(Verb.UPDATE, "in place", reasons), slot.number, reasons)
        chain.then(f"disconnect-{gone}", DisconnectNetwork(target_of(member), gone))


def _advance(work: Work, slot: Slot) -> None:
    if slot.current is None and slot.stale is None:
        _run(work, slot, facts("has not run yet"), None)
    elif slot.current is None and slot.stale is not None:
        _again(work, slot, slot.stale)
    elif slot.current is not None:
        _watch(work, slot, slot.current)


def _again(work: Work, slot: Slot, old: Member) -> None:
    """A changed job runs again, once its last run has ended; what was no job yet would never end."""
    reasons = because(old.comparison, work.view.service, old.instance)
    goes_on = old.instance.phase in (Phase.RUNNING, Phase.PAUSED)
    if goes_on and old.instance.labels.get(labels.KIND, Kind.JOB) == Kind.JOB:
        _await_end(work, work.open(Verb.UPDATE, "run again", reasons), f"run {slot.name}", slot, old)
        return
    _run(work, slot, reasons, old)


def _run(work: Work, slot: Slot, reasons: tuple[Reason, ...], old: Member | None) -> None:
    verb, title = (Verb.UPDATE, "job, run again") if old else (Verb.CREATE, "job")
    group = work.open(verb, title, reasons)
    if _failed_before(work, group) or work.conflict(slot.name, stays=old):
        return
    chain = work.chain(group, slot.number, reasons)
    if old is not None:
        retire(work, chain, old)
    change = instances.create(work.world, work.view, slot.number, slot.name)
    work.makes(chain.then("create", change, work.ingredients(slot.name)))
    _start(work, chain, slot, Target(slot.name))


def _start(work: Work, chain: Chain, slot: Slot, target: Target) -> None:
    if held := unmet(work.world, work.view.service):
        work.draft.wait(chain.group, f"run {slot.name}", held)
        return
    if work.view.service.files:
        chain.then("deliver", DeliverFiles(target, work.view.service.files))
    chain.then("start", StartInstance(target), work.ports_freed())


def _watch(work: Work, slot: Slot, member: Member) -> None:
    instance = member.instance
    group = work.open(Verb.CREATE, "job", facts(f"{instance.name} is {instance.phase}"))
    error = start_error(instance)
    if error or (instance.ended and instance.exit_code != 0):
        _give_up(work, group, member, error)
    elif instance.phase is Phase.CREATED:
        _start(work, work.chain(group, slot.number, facts("created, not started")), slot, target_of(member))
    else:
        _await_end(work, group, f"finish {slot.name}", slot, member)


def _await_end(work: Work, group: str, what: str, slot: Slot, member: Member) -> None:
    """A run that somebody paused has to go on first."""
    if member.instance.phase is Phase.PAUSED:
        unpause(work, slot, member)
    work.draft.wait(group, what, f"{member.instance.name} has ended")


def _give_up(work: Work, group: str, member: Member, error: str) -> None:
    """A failed job is not repeated by itself: running a half-done migration again may do harm."""
    if _failed_before(work, group):
        return
    instance = member.instance
    why = f"{instance.name} " + (f"could not be started: {error}" if error else f"exited with code {instance.exit_code}")
    if _released(work, member):
        work.chain(group, 1, facts(why, "tried again")).then("remove", RemoveInstance(target_of(member)))
    else:
        work.fail(group, why, instance)


def _released(work: Work, member: Member) -> bool:
    """The revision moved, or a person said `retry`, after this run was made."""
    if member.instance.labels.get(labels.REVISION) != work.world.revision_of(work.view.service):
        return True
    retried = work.world.history.retried.get(work.view.service.id)
    return retried is not None and (member.instance.finished is None or retried > member.instance.finished)


def _failed_before(work: Work, group: str) -> bool:
    view = work.view
    if view.held:
        hint = f"push a fix, or `reconciler retry {view.service.id}`"
        work.draft.block(group, "R130", f"{view.service.id}: this job failed: {view.held}", hint, view.service.mark("image"))
    return bool(view.held)
