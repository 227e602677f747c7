"""Keep a container that is what Git asks for as it should be: running, healthy, named, attached, within its limits."""

from __future__ import annotations

from reconciler.model.desired import Service
from reconciler.model.observed import Phase, Probe
from reconciler.model.plan import (
    ConnectNetwork,
    DeliverFiles,
    DisconnectNetwork,
    RemoveInstance,
    RenameInstance,
    RunHook,
    StartInstance,
    StopInstance,
    UnpauseInstance,
    UpdateInstance,
    Verb,
)
from reconciler.plan import instances
from reconciler.plan.diff import Reattach
from reconciler.plan.draft import Chain
from reconciler.plan.ending import ports_are_free
from reconciler.plan.gates import unmet
from reconciler.plan.readiness import fails_at, is_complete, is_ready, settles_at, start_error, why_stuck
from reconciler.plan.reasons import because, facts
from reconciler.plan.traffic.names import GLANCE
from reconciler.plan.traffic.serving import why_not
from reconciler.plan.view import Member, Slot
from reconciler.plan.work import Work, target_of


def keep(work: Work, slot: Slot, member: Member) -> None:
    """Repair what differs without a new container, then bring it back to life if it does not live."""
    _rename(work, slot, member)
    _adjust(work, slot, member)
    _follow_restart(work, slot, member)
    match member.instance.phase:
        case Phase.CREATED:
            _first_start(work, slot, member)
        case Phase.RUNNING if member.instance.probe is Probe.UNHEALTHY:
            _restart(work, slot, member, f"{member.instance.name} is unhealthy")
        case Phase.RUNNING | Phase.RESTARTING if not is_ready(member.instance, work.view.service, work.world.now):
            # A revision counts as applied, and `apply` ends, when everything serves: not when everything was started.
            await_ready(work, work.view.service.id, f"see {slot.name} serve", member)
        case Phase.PAUSED:
            unpause(work, slot, member)
        case Phase.EXITED if not is_complete(member.instance, work.view.service):
            _revive(work, slot, member)
        case Phase.DEAD:
            _make_anew(work, slot, member, f"{member.instance.name} is dead", "a dead container cannot start")
        case Phase.REMOVING:
            work.draft.wait(work.view.service.id, f"create {slot.name}", "its removal by the engine is done")
        case _:
            pass


def keep_at_work(work: Work, slot: Slot, member: Member) -> None:
    """Repair what differs of the container this reconciler works in. Nothing here stops it: nobody would start it again."""
    _rename(work, slot, member)
    _adjust(work, slot, member)
    if not is_ready(member.instance, work.view.service, work.world.now):
        await_ready(work, work.view.service.id, f"see {slot.name} serve", member)


def tend(work: Work) -> None:
    """Only keep alive what is there, whatever it was made for."""
    for slot in work.view.slots:
        for member in (slot.current, slot.stale):
            match member and member.instance.phase:
                case Phase.PAUSED if member:
                    unpause(work, slot, member)
                case Phase.EXITED if member and not is_complete(member.instance, work.view.service):
                    _revive(work, slot, member)
                case _:
                    pass


def unpause(work: Work, slot: Slot, member: Member) -> None:
    """Let a container go on that somebody paused."""
    if group := work.mend(slot.number, f"{member.instance.name} is paused"):
        work.chain(group, slot.number, facts("paused by hand")).then("unpause", UnpauseInstance(target_of(member)))


def await_ready(work: Work, group: str, what: str, member: Member) -> None:
    """Wait until a container serves, and wake when it should at the latest."""
    instance, service = member.instance, work.view.service
    if instance.phase is Phase.RESTARTING:
        work.draft.wait(group, what, f"{instance.name} stops crashing")
    elif is_ready(instance, service, work.world.now):
        work.draft.wait(group, what, why_not(work.world, work.view, instance), wake_at=work.world.now + GLANCE)
    elif instance.probe is Probe.NONE:
        work.draft.wait(group, what, f"{instance.name} has run for a while", wake_at=settles_at(instance, service))
    else:
        until = fails_at(instance, service)
        wake_at = until if until > work.world.now else None
        work.draft.wait(group, what, f"{instance.name} is healthy", wake_at=wake_at, until=until)


def _rename(work: Work, slot: Slot, member: Member) -> None:
    instance = member.instance
    if instance.name == slot.name:
        return
    fact = f"{instance.name} should be named {slot.name}"
    moved = instance.name.endswith(instances.TEMPORARY) or not work.was_applied
    group = work.open(Verb.UPDATE, "rename", facts(fact)) if moved else work.mend(slot.number, fact, "rename")
    if group and not work.conflict(slot.name, stays=member):
        change = RenameInstance(target_of(member), slot.name)
        work.chain(group, slot.number, facts(fact)).then("rename", change, work.draft.needed(f"name:{slot.name}"))


def _adjust(work: Work, slot: Slot, member: Member) -> None:
    """Change limits in place and mend network attachments."""
    comparison, service = member.comparison, work.view.service
    if not (comparison.live or comparison.reattach):
        return
    reasons = because(comparison, service, member.instance)
    if work.was_applied:
        opened = work.mend(slot.number, "; ".join(_in_words(one.text, one.old, one.new) for one in reasons), "drift → in place")
    else:
        opened = work.open(Verb.UPDATE, "in place", reasons)
    if opened is None:
        return
    chain = work.chain(opened, slot.number, reasons)
    if comparison.live:
        body = {one.engine: one.new for one in comparison.live}
        chain.then("update", UpdateInstance(target_of(member), _with_swap(body, service)))
    for one in comparison.reattach:
        _reattach(work, chain, slot, member, one)


def _in_words(text: str, old: str, new: str) -> str:
    return f"{text} {old}, want {new}" if old or new else text


def _with_swap(body: dict[str, object], service: Service) -> dict[str, object]:
    """Memory and swap go in one call; where Git says nothing of swap, the engine's own rule is twice the memory."""
    memory, host = body.get("Memory"), service.container.get("HostConfig", {})
    if isinstance(memory, int) and memory > 0 and not host.get("MemorySwap"):
        return {**body, "MemorySwap": 2 * memory}
    return body


def _reattach(work: Work, chain: Chain, slot: Slot, member: Member, one: Reattach) -> None:
    if one.connected:
        chain.then(f"disconnect-{one.network}", DisconnectNetwork(target_of(member), one.network))
    if one.new is not None:
        full = instances.endpoint(one.new, work.view.service, slot.number)
        body = {**full.endpoint, "Aliases": list(full.aliases)}
        needs = work.draft.needed(f"network:{one.network}")
        chain.then(f"connect-{one.network}", ConnectNetwork(target_of(member), one.network, body), needs)


def _follow_restart(work: Work, slot: Slot, member: Member) -> None:
    """`depends_on.restart`: who started before its dependency was made anew is restarted after it."""
    started = member.instance.started
    if not member.instance.running or started is None:
        return
    for dependency in work.view.service.depends_on:
        view = work.world.views.get(f"{work.view.service.stack}/{dependency.on}")
        if not dependency.restart or view is None or not view.settled(work.world.now):
            continue
        births = [one.current.instance.created for one in view.slots if one.current and one.current.instance.created]
        # What was born in the future was born before the clock was set back: a restart would not make us any younger.
        if any(started < birth <= work.world.now for birth in births):
            fact = f"{dependency.on} was replaced after {member.instance.name} started"
            group = work.open(Verb.UPDATE, "restart (depends_on.restart)", facts(fact))
            _cycle(work, work.chain(group, slot.number, facts(fact)), member)
            return


# --- life ------------------------------------------------------------------------------------------------------------


def _first_start(work: Work, slot: Slot, member: Member) -> None:
    """Go on where a creation stopped: files again (harmless), then start when its conditions hold."""
    service, error = work.view.service, start_error(member.instance)
    fact = f"{member.instance.name} is created, not started" + (f": {error}" if error else "")
    group = work.mend(slot.number, fact) if error else work.open(Verb.CREATE, "start", facts(fact))
    if group is None:
        return
    if held := unmet(work.world, service):
        work.draft.wait(group, f"start {slot.name}", held)
        return
    chain = work.chain(group, slot.number, facts(fact))
    if not ports_are_free(work, chain, slot.name, {member.instance.id}):
        return
    if service.files:
        chain.then("deliver", DeliverFiles(target_of(member), service.files))
    _begin(work, chain, member)


def _make_anew(work: Work, slot: Slot, member: Member, what: str, why: str) -> None:
    if group := work.mend(slot.number, what):
        work.chain(group, slot.number, facts(why)).then("remove", RemoveInstance(target_of(member)))


def _revive(work: Work, slot: Slot, member: Member) -> None:
    instance = member.instance
    if stuck := why_stuck(instance):
        _make_anew(work, slot, member, f"{instance.name} cannot start any more: {stuck}", "the engine starts it never again")
        return
    memory = ", out of memory" if instance.oom_killed else ""
    fact = f"{instance.name} stopped (exit code {instance.exit_code}{memory})"
    group = work.mend(slot.number, fact)
    if group is None:
        return
    if held := unmet(work.world, work.view.service, healing=True):
        work.draft.wait(group, f"start {slot.name}", held)
        return
    _begin(work, work.chain(group, slot.number, facts(fact)), member)


def _restart(work: Work, slot: Slot, member: Member, fact: str) -> None:
    if group := work.mend(slot.number, fact):
        _cycle(work, work.chain(group, slot.number, facts(fact)), member)


def _cycle(work: Work, chain: Chain, member: Member) -> None:
    for number, hook in enumerate(work.view.service.pre_stop, 1):
        chain.then(f"pre-stop-{number}", RunHook(target_of(member), hook))
    chain.then("stop", StopInstance(target_of(member), work.view.service.stop_grace_seconds))
    _begin(work, chain, member)


def bring_back(work: Work, chain: Chain, member: Member) -> None:
    """Let a container live again that stopped, or that somebody paused."""
    match member.instance.phase:
        case Phase.PAUSED:
            chain.then("unpause", UnpauseInstance(target_of(member)))
        case Phase.CREATED if unmet(work.world, work.view.service):
            pass  # It never ran: it starts when its conditions hold.
        case Phase.CREATED | Phase.EXITED:
            _begin(work, chain, member)
        case _:
            pass  # It lives, the engine starts it, or nobody can any more.


def _begin(work: Work, chain: Chain, member: Member) -> None:
    chain.then("start", StartInstance(target_of(member)), work.ports_freed())
    for number, hook in enumerate(work.view.service.post_start, 1):
        chain.then(f"post-start-{number}", RunHook(target_of(member), hook))
