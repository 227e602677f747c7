"""How far may a new version take over: slot after slot, as a whole (blue-green), or step by step (canary)?

The state machine of a rollout: surging, then for a canary a step after the other (shift, pause, judge), then the old set
stands by, then it goes. Where the history lost it, it is read off the weights that the gateway has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from reconciler.model.desired import Service
from reconciler.model.observed import Instance
from reconciler.model.rollout import Course, Progress, Say, Stage, Tally, Verdict
from reconciler.model.traffic import Admission, Check, ObservedServer, server_name
from reconciler.plan.instances import TEMPORARY
from reconciler.plan.order import is_staged
from reconciler.plan.readiness import is_ready
from reconciler.plan.traffic.judging import judge
from reconciler.plan.traffic.names import backends
from reconciler.plan.traffic.shares import weights
from reconciler.plan.view import ServiceView, World


def advance(world: World, view: ServiceView) -> Course | None:
    """Return how far a service's rollout is; None when there is none under way."""
    progress = under_way(world, view)
    if progress is None or view.held:
        return None
    word = world.history.words.get(view.service.id)
    if word is not None and word != progress.heard:
        progress = replace(progress, heard=word)
        match word.say:
            case Say.ABORT:
                return Course(progress, failed=f"aborted{f': {word.reason}' if word.reason else ''}")
            case Say.PAUSE:
                progress = replace(progress, paused=word.reason or "by hand")
            case Say.RESUME:
                progress = replace(progress, paused="")
            case Say.PROMOTE:
                progress = replace(progress, paused="", promoted=True)
    return _advance(world, view, progress)


def under_way(world: World, view: ServiceView) -> Progress | None:
    """Return how far a service's rollout was; None when there is none under way."""
    stale = [slot.stale.instance for slot in view.slots if slot.stale]
    if not stale or any(one.name.endswith(TEMPORARY) for one in stale):
        return None  # What has a temporary name did not take over, or is given its final one first.
    known = world.history.rollouts.get(view.service.id)
    return known if known is not None and known.spec == view.spec else _read_off(world, view)


def _advance(world: World, view: ServiceView, progress: Progress) -> Course:
    if progress.paused:
        return Course(progress, waits=f"somebody says `reconciler rollout promote {view.service.id}` ({progress.paused})")
    match progress.stage:
        case Stage.ROLLING:
            return Course(progress)
        case Stage.SURGING:
            return _surge(world, view, progress)
        case Stage.SHIFTING:
            return _shift(world, view, progress)
        case Stage.KEEPING:
            return _keep(world, view, progress)
        case Stage.RETIRING:
            return Course(progress)


def _surge(world: World, view: ServiceView, progress: Progress) -> Course:
    until = progress.since + timedelta(seconds=_rollout(view.service)["timeout"])
    for slot in view.slots:
        if slot.current is None or not is_warm(world, view, slot.current.instance):
            if world.now >= until:
                return Course(progress, failed=f"{slot.name} of the new set was not ready to serve in time")
            return Course(progress, waits=f"the new set is ready to serve: {slot.name} is not yet", until=until)
    stage = Stage.SHIFTING if _steps(view.service) else Stage.KEEPING
    return _begin(world, view, replace(progress, stage=stage, step=0, since=world.now))


def _shift(world: World, view: ServiceView, progress: Progress) -> Course:
    step = _steps(view.service)[progress.step]
    until = progress.since + timedelta(seconds=step["pause"])
    share = f"step {progress.step + 1} of {len(_steps(view.service))}, {step['weight']} %"
    if world.now < until and not progress.promoted:
        return Course(progress, waits=f"the pause of {share} is over", until=until)
    verdict, words = _judged(world, view, progress)
    if verdict is Verdict.FAILED:
        return Course(progress, failed=f"failed at {share}: {words}")
    if verdict is Verdict.INCONCLUSIVE and not progress.promoted:
        paused = replace(progress, paused=f"inconclusive at {share}: {words}")
        return Course(paused, waits=f"somebody says `reconciler rollout promote {view.service.id}` ({paused.paused})")
    if progress.step + 1 < len(_steps(view.service)):
        return _begin(world, view, replace(progress, step=progress.step + 1, since=world.now, promoted=False))
    return _begin(world, view, replace(progress, stage=Stage.KEEPING, since=world.now, promoted=False))


def _keep(world: World, view: ServiceView, progress: Progress) -> Course:
    until = progress.since + timedelta(seconds=_keeps_old(view.service))
    if world.now < until and not progress.promoted:
        return Course(progress, waits="the old set has stood by long enough", until=until)
    return Course(replace(progress, stage=Stage.RETIRING, since=world.now, promoted=False))


def _begin(world: World, view: ServiceView, progress: Progress) -> Course:
    """Enter a stage: what it is judged by counts from now."""
    begun = {name: _tally(servers) for name, servers in _servers(world, view).items()}
    entered = replace(progress, begun=begun)
    if progress.stage is Stage.KEEPING:
        return _keep(world, view, entered)
    return _shift(world, view, entered) if progress.stage is Stage.SHIFTING else Course(entered)


def _judged(world: World, view: ServiceView, progress: Progress) -> tuple[Verdict, str]:
    analysis = _rollout(view.service).get("analysis")
    if analysis is None:
        return Verdict.SUCCESSFUL, ""
    new, old = _since(world, view, progress, current=True), _since(world, view, progress, current=False)
    return judge(analysis, new, old)


def _since(world: World, view: ServiceView, progress: Progress, *, current: bool) -> Tally:
    """Sum what a set has answered since the step began."""
    found = _servers(world, view)
    total = Tally()
    for slot in view.slots:
        member = slot.current if current else slot.stale
        name = server_name(member.instance.id) if member else ""
        if name in found:
            now, then = _tally(found[name]), progress.begun.get(name, Tally())
            gained = now if now.requests < then.requests else _less(now, then)
            total = Tally(total.requests + gained.requests, total.failed + gained.failed, total.millis + gained.millis)
    return total


def _less(now: Tally, then: Tally) -> Tally:
    return Tally(now.requests - then.requests, max(0, now.failed - then.failed), max(0, now.millis - then.millis))


def _servers(world: World, view: ServiceView) -> Mapping[str, list[ObservedServer]]:
    names = {backend.name for backend in backends(view.service)}
    found: dict[str, list[ObservedServer]] = {}
    for server in world.observed.gateway.servers if world.observed.gateway else ():
        if server.backend in names:
            found.setdefault(server.name, []).append(server)
    return found


def _tally(servers: Iterable[ObservedServer]) -> Tally:
    totals = [server.totals for server in servers]
    return Tally(*(sum(one.get(field, 0) for one in totals) for field in ("requests", "failed", "millis")))


# --- what is read off ------------------------------------------------------------------------------------------------


def _read_off(world: World, view: ServiceView) -> Progress:
    """Begin, or go on where the weights say that somebody was: the history was lost."""
    heavy = sum(_weight(world, view, slot.current.instance) for slot in view.slots if slot.current)
    light = sum(_weight(world, view, slot.stale.instance) for slot in view.slots if slot.stale)
    fresh = Progress(view.spec, Stage.SURGING if is_staged(view.service) else Stage.ROLLING, world.now)
    if not heavy or fresh.stage is Stage.ROLLING:
        return fresh
    if not light:
        return replace(fresh, stage=Stage.KEEPING)
    share = 100 * heavy / (heavy + light)
    reached = [number for number, step in enumerate(_steps(view.service)) if step["weight"] <= share + 1]
    return replace(fresh, stage=Stage.SHIFTING, step=max(reached, default=0)) if _steps(view.service) else fresh


def _weight(world: World, view: ServiceView, instance: Instance) -> int:
    servers = _servers(world, view).get(server_name(instance.id), [])
    return max((one.weight for one in servers if one.admission is Admission.READY), default=0)


# --- what follows ----------------------------------------------------------------------------------------------------


def is_warm(world: World, view: ServiceView, instance: Instance) -> bool:
    """Say whether a container could serve: well by itself, and known to the gateway, whose check passes."""
    if not is_ready(instance, view.service, world.now):
        return False
    known = {one.backend: one for one in _servers(world, view).get(server_name(instance.id), [])}
    return all(one.name in known and known[one.name].check is Check.UP for one in backends(view.service))


def shares(world: World, view: ServiceView, progress: Progress | None) -> Mapping[str, int]:
    """Return the weights of a service's containers, by id, as far as its rollout says anything about them."""
    if progress is None or not is_staged(view.service):
        return {}
    new = [slot.current.instance for slot in view.slots if slot.current]
    old = [slot.stale.instance for slot in view.slots if slot.stale]
    able = [one for one in new if is_warm(world, view, one)], [one for one in old if one.running]
    heavy, light = weights(_share(view.service, progress), *map(len, able))
    return {**{one.id: heavy for one in new}, **{one.id: light for one in old}}


def _share(service: Service, progress: Progress) -> int:
    match progress.stage:
        case Stage.SURGING:
            return 0
        case Stage.SHIFTING:
            return int(_steps(service)[progress.step]["weight"])
        case Stage.ROLLING | Stage.KEEPING | Stage.RETIRING:
            return 100


def _steps(service: Service) -> tuple[Mapping[str, Any], ...]:
    rollout = _rollout(service)
    return tuple(rollout["canary"]["steps"]) if rollout.get("strategy") == "canary" else ()


def _keeps_old(service: Service) -> float:
    rollout = _rollout(service)
    if rollout.get("strategy") == "canary":
        return 0.0
    return float((rollout.get("blue_green") or {}).get("keep_old", 600.0))


def _rollout(service: Service) -> Mapping[str, Any]:
    found: Mapping[str, Any] = service.extensions.get("x-rollout", {})
    return found
