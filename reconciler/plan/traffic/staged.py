"""How far may a new version take over: slot after slot, as a whole (blue-green), or step by step (canary)?

The state machine of a rollout: surging, then for a canary a step after the other (shift, pause, judge), then the old set
stands by, then it goes. Where the history lost it, it is read off the weights that the gateway has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.model.desired import Service
from reconciler.model.observed import Instance
from reconciler.model.rollout import Course, Progress, Say, Stage, Verdict
from reconciler.model.traffic import Admission, Check, ObservedServer, server_name
from reconciler.plan.instances import TEMPORARY
from reconciler.plan.order import is_staged
from reconciler.plan.readiness import is_ready
from reconciler.plan.traffic.judging import Counted, count, judge, tallies
from reconciler.plan.traffic.names import backends
from reconciler.plan.traffic.shares import weights
from reconciler.plan.view import Member, ServiceView, World

TRIES = 3
"""So many analyses in a row that find nothing out are a failure, too."""
AGAIN_SECONDS = 10.0
"""How long after one of them the next one comes at the earliest."""


def advance(world: World, view: ServiceView) -> Course | None:
    """Return how far a service's rollout is; None when there is none under way."""
    progress = under_way(world, view)
    if progress is None:
        return None
    word = world.history.words.get(view.service.id)
    if word is None or word == progress.heard:
        return _advance(world, view, progress)
    progress = replace(progress, heard=word)
    match word.say:
        case Say.ABORT:
            return Course(progress, failed=f"aborted{f': {word.reason}' if word.reason else ''}")
        case Say.PAUSE:
            return _advance(world, view, replace(progress, paused=word.reason or "by hand"))
        case Say.RESUME:
            # Its time and its counts begin anew: while it was paused nobody looked at them.
            return _advance(world, view, _entered(world, view, progress, progress.stage, progress.step))
        case Say.PROMOTE:
            return _advance(world, view, replace(progress, paused="", promoted=True))


def under_way(world: World, view: ServiceView) -> Progress | None:
    """Return how far a service's rollout was; None when there is none under way."""
    if view.held:
        return None  # It has failed: the old containers come back, and nothing is shared.
    stale = [slot.stale.instance for slot in view.slots if slot.stale]
    if not stale or any(one.name.endswith(TEMPORARY) for one in stale):
        return None  # What has a temporary name did not take over, or is given its final one first.
    known = world.history.rollouts.get(view.service.id)
    return known if known is not None and known.spec == view.spec and _fits(view.service, known) else _read_off(world, view)


def _fits(service: Service, progress: Progress) -> bool:
    """Say whether there is such a stage, or step, still: Git may ask for the same containers by another way."""
    match progress.stage:
        case Stage.ROLLING:
            return not is_staged(service)
        case Stage.SHIFTING:
            return progress.step < len(_steps(service))
        case Stage.SURGING | Stage.KEEPING | Stage.RETIRING:
            return is_staged(service)


def _advance(world: World, view: ServiceView, progress: Progress) -> Course:
    if progress.paused:
        return _paused(view, progress, progress.paused)
    match progress.stage:
        case Stage.ROLLING | Stage.RETIRING:
            return Course(progress)
        case Stage.SURGING:
            return _surge(world, view, progress)
        case Stage.SHIFTING:
            return _shift(world, view, progress)
        case Stage.KEEPING:
            return _keep(world, view, progress)


def _surge(world: World, view: ServiceView, progress: Progress) -> Course:
    if progress.promoted:
        # Nobody's word makes a container ready; it gives it as much time again.
        progress = _entered(world, view, progress, Stage.SURGING)
    until = progress.since + timedelta(seconds=_rollout(view.service)["timeout"])
    for slot in view.slots:
        if slot.current is None or not is_warm(world, view, slot.current.instance):
            if world.now >= until:
                return _failed(view, progress, f"{slot.name} of the new set was not ready to serve in time")
            return Course(progress, waits=f"the new set is ready to serve: {slot.name} is not yet", until=until)
    if _steps(view.service):
        return _shift(world, view, _entered(world, view, progress, Stage.SHIFTING))
    return _keep(world, view, _entered(world, view, progress, Stage.KEEPING))


def _shift(world: World, view: ServiceView, progress: Progress) -> Course:
    steps = _steps(view.service)
    step = f"step {progress.step + 1} of {len(steps)}, {steps[progress.step]['weight']} %"
    until = _until(progress, steps[progress.step]["pause"])
    if world.now < until and not progress.promoted:
        return Course(progress, waits=f"the pause of {step} is over", until=until)
    verdict, words = _verdict(world, view, progress)
    progress = replace(progress, verdict=words and f"{verdict} at {step}: {words}")
    if verdict is not Verdict.SUCCESSFUL and not progress.promoted:
        return _held_up(world, view, progress, verdict)
    if progress.step + 1 < len(steps):
        return _shift(world, view, _entered(world, view, progress, Stage.SHIFTING, progress.step + 1))
    return _keep(world, view, _entered(world, view, progress, Stage.KEEPING))


def _keep(world: World, view: ServiceView, progress: Progress) -> Course:
    """The old set stands by. A new one that took over at once is judged now, and given up as soon as it is found bad."""
    until = _until(progress, _keeps_old(view.service))
    if not progress.promoted and not _steps(view.service):
        verdict, words = _verdict(world, view, progress)
        if verdict is Verdict.FAILED or (verdict is not Verdict.SUCCESSFUL and world.now >= until):
            return _held_up(world, view, replace(progress, verdict=f"{verdict}: {words}"), verdict)
    if world.now < until and not progress.promoted:
        return Course(progress, waits="the old set has stood by long enough", until=until)
    return Course(_entered(world, view, progress, Stage.RETIRING))


def _entered(world: World, view: ServiceView, progress: Progress, stage: Stage, step: int = 0) -> Progress:
    """Begin a stage or a step: whatever a person or an analysis said was about the one before, and counting begins."""
    begun = tallies(_servers(world), backends(view.service))
    return replace(progress, stage=stage, step=step, since=world.now, paused="", promoted=False, begun=begun, errors=0)


def _until(progress: Progress, seconds: float) -> datetime:
    return progress.since + timedelta(seconds=max(seconds, AGAIN_SECONDS) if progress.errors else seconds)


# --- what an analysis leads to ---------------------------------------------------------------------------------------


def _verdict(world: World, view: ServiceView, progress: Progress) -> tuple[Verdict, str]:
    analysis = _rollout(view.service).get("analysis")
    if analysis is None:
        return Verdict.SUCCESSFUL, ""
    if world.observed.gateway is None:
        return Verdict.ERROR, "the gateway did not answer"
    new = _counted(world, view, progress, (slot.current for slot in view.slots))
    old = _counted(world, view, progress, (slot.stale for slot in view.slots))
    return judge(analysis, new, old)


def _counted(world: World, view: ServiceView, progress: Progress, members: Iterable[Member | None]) -> Counted:
    names = {server_name(member.instance.id) for member in members if member}
    return count((one for one in _servers(world) if one.name in names), backends(view.service), progress.begun)


def _held_up(world: World, view: ServiceView, progress: Progress, verdict: Verdict) -> Course:
    """Return what becomes of a rollout that its analysis did not find good."""
    said = f"analysis {progress.verdict}"
    if verdict is Verdict.FAILED:
        return _failed(view, progress, said)
    if verdict is Verdict.INCONCLUSIVE:
        return _paused(view, progress, said)
    errors = progress.errors + 1
    if errors == TRIES:
        return _failed(view, progress, f"{TRIES} analyses in a row found nothing out; the last one: {progress.verdict}")
    again = replace(_entered(world, view, progress, progress.stage, progress.step), errors=errors)
    until = _until(again, _patience(view.service, again))
    return Course(again, waits=f"another analysis is due ({said})", until=until)


def _patience(service: Service, progress: Progress) -> float:
    """Return how many seconds a set is looked at where it is now."""
    return float(_steps(service)[progress.step]["pause"]) if progress.stage is Stage.SHIFTING else _keeps_old(service)


def _failed(view: ServiceView, progress: Progress, why: str) -> Course:
    """Give the new set up, or leave it where it is, where Git asks that a person looks first."""
    pauses = _rollout(view.service)["on_failure"] == "pause"
    return _paused(view, progress, why) if pauses else Course(progress, failed=why)


def _paused(view: ServiceView, progress: Progress, why: str) -> Course:
    says = f"somebody says `reconciler rollout promote {view.service.id}` ({why})"
    return Course(replace(progress, paused=why), waits=says)


def _servers(world: World) -> tuple[ObservedServer, ...]:
    return world.observed.gateway.servers if world.observed.gateway else ()


# --- what is read off ------------------------------------------------------------------------------------------------


def _read_off(world: World, view: ServiceView) -> Progress:
    """Begin, or go on where the weights say that somebody was: the history was lost."""
    heavy = sum(_weight(world, view, slot.current.instance) for slot in view.slots if slot.current)
    light = sum(_weight(world, view, slot.stale.instance) for slot in view.slots if slot.stale)
    stage = Stage.SURGING if is_staged(view.service) else Stage.ROLLING
    begun = tallies(_servers(world), backends(view.service))
    # What was said before it began was said of another one.
    fresh = Progress(view.spec, stage, world.now, heard=world.history.words.get(view.service.id), begun=begun)
    if not heavy or fresh.stage is Stage.ROLLING:
        return fresh
    if not light:
        return replace(fresh, stage=Stage.KEEPING)
    share = 100 * heavy / (heavy + light)
    reached = [number for number, step in enumerate(_steps(view.service)) if step["weight"] <= share + 1]
    return replace(fresh, stage=Stage.SHIFTING, step=max(reached, default=0)) if _steps(view.service) else fresh


def _weight(world: World, view: ServiceView, instance: Instance) -> int:
    servers = _known(world, view, instance).values()
    return max((one.weight for one in servers if one.admission is Admission.READY), default=0)


def _known(world: World, view: ServiceView, instance: Instance) -> Mapping[str, ObservedServer]:
    """Return what the gateway knows of a container of the service, by backend."""
    names, name = {backend.name for backend in backends(view.service)}, server_name(instance.id)
    return {one.backend: one for one in _servers(world) if one.name == name and one.backend in names}


# --- what follows ----------------------------------------------------------------------------------------------------


def is_warm(world: World, view: ServiceView, instance: Instance) -> bool:
    """Say whether a container could serve: well by itself, and known to the gateway, whose check passes."""
    if not is_ready(instance, view.service, world.now):
        return False
    known = _known(world, view, instance)
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
