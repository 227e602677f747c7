"""Which wrong decisions must the random histories find? Each is one small mistake, put where the loop decides or acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from playing import Cast, WatchedRuntime

from reconciler.apply import Applier, Ended
from reconciler.drivers.memory import Repository
from reconciler.errors import ReconcilerError
from reconciler.loop import Reconciler
from reconciler.model import labels
from reconciler.model.desired import DesiredState, Kind, Order, Service
from reconciler.model.history import History
from reconciler.model.observed import Instance, ObservedState, Phase, Probe
from reconciler.model.plan import (
    Action,
    Change,
    ConnectNetwork,
    DisconnectNetwork,
    Plan,
    RemoveInstance,
    RenameInstance,
    Target,
    UpdateInstance,
    Verb,
)
from reconciler.model.source import Revision
from reconciler.plan.rollback import TakenBack
from reconciler.ports import Lease


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake. `calm`: it shows where nothing goes wrong, in how many serve while a revision comes."""

    name: str
    cast: Cast
    calm: bool = False


# --- where a turn is decided -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan is made from."""

    desired: DesiredState
    observed: ObservedState
    history: History
    previous: DesiredState | None


def misled(mistake: Callable[[Known], Known]) -> Cast:
    """Let plans be made from something else than what is known."""

    class Misled(Reconciler):
        def decide(self, now: TakenBack, observed: ObservedState) -> Plan:
            known = mistake(Known(now.desired, observed, now.history, now.previous))
            misled = replace(now, desired=known.desired, history=known.history, previous=known.previous)
            return Reconciler.decide(self, misled, known.observed)

    return Cast(reconciler=Misled)


def spoilt(mistake: Callable[[Plan, Known], Plan]) -> Cast:
    """Let plans be made well, and then be changed."""

    class Spoilt(Reconciler):
        def decide(self, now: TakenBack, observed: ObservedState) -> Plan:
            plan = Reconciler.decide(self, now, observed)
            return mistake(plan, Known(now.desired, observed, now.history, now.previous))

    return Cast(reconciler=Spoilt)


def without(*kinds: type[Change], verb: Verb | None = None) -> Cast:
    """Leave out every action of these kinds, or of this verb; what needed one of them does without."""

    def leave_out(plan: Plan, _: Known) -> Plan:
        kept = [one for one in plan.actions if not (isinstance(one.change, kinds) or one.verb is verb)]
        ids = {one.id for one in kept}
        return replace(
            plan, actions=tuple(replace(one, needs=tuple(need for need in one.needs if need in ids)) for one in kept)
        )

    return spoilt(leave_out)


def each_service(change: Callable[[Service], Service]) -> Callable[[Known], Known]:
    """Ask for something else than Git does."""

    def changed(known: Known) -> Known:
        stacks = tuple(replace(stack, services=tuple(map(change, stack.services))) for stack in known.desired.stacks)
        return replace(known, desired=replace(known.desired, stacks=stacks))

    return changed


def each_instance(change: Callable[[Instance, Known], Instance]) -> Callable[[Known], Known]:
    """See something else than the engine shows."""

    def changed(known: Known) -> Known:
        instances = tuple(change(instance, known) for instance in known.observed.instances)
        return replace(known, observed=replace(known.observed, instances=instances))

    return changed


def _started_is_ready(instance: Instance, known: Known) -> Instance:
    probe = Probe.HEALTHY if instance.probe is Probe.STARTING else instance.probe
    return replace(instance, probe=probe, started=instance.started and instance.started - timedelta(hours=1))


def _other_key_is_another_spec(instance: Instance, known: Known) -> Instance:
    if instance.labels.get(labels.SPEC, "").startswith(f"v1:{known.history.key.id}:"):
        return instance
    config = {**instance.detail["Config"], "Image": "unknown"}
    return replace(instance, image_id="unknown", detail={**instance.detail, "Config": config})


def _ended_job_was_never_started(known: Known) -> Known:
    jobs = {service.id for stack in known.desired.stacks for service in stack.services if service.kind is Kind.JOB}

    def forgotten(instance: Instance, _: Known) -> Instance:
        own = f"{instance.labels.get(labels.STACK)}/{instance.labels.get(labels.SERVICE)}"
        return replace(instance, phase=Phase.CREATED) if own in jobs and instance.phase is Phase.EXITED else instance

    known = each_instance(forgotten)(known)
    volumes = tuple(one for one in known.observed.volumes if one.labels.get(labels.ROLE) != labels.ROLE_JOB)
    return replace(known, observed=replace(known.observed, volumes=volumes), history=replace(known.history, jobs={}))


def _nothing_failed(known: Known) -> Known:
    return replace(known, history=replace(known.history, quarantine={}))


def _with_update(**settings: Any) -> Callable[[Service], Service]:
    return lambda service: replace(service, update=replace(service.update, **settings))


def _touch_a_neighbour(plan: Plan, known: Known) -> Plan:
    found: Iterable[Any] = known.observed.neighbours or ()
    extra = tuple(
        replace(plan.actions[0], id=f"neighbour/{one.name}", change=RemoveInstance(Target(one.name, one.id)), needs=())
        for one in found
        if plan.actions
    )
    return replace(plan, actions=(*plan.actions, *extra))


def _tell_secrets(plan: Plan, known: Known) -> Plan:
    files = [file for stack in known.desired.stacks for service in stack.services for file in service.files]
    return replace(plan, notes=(*plan.notes, *(file.content.decode() for file in files)))


def _one_by_name(plan: Plan, known: Known) -> Plan:
    """The order of the actions is the order of their names."""
    return replace(plan, actions=tuple(sorted(plan.actions, key=lambda action: action.id)))


# --- where it is carried out -----------------------------------------------------------------------------------------


class HeldByAll(WatchedRuntime):
    """Whoever asks for the lease is told to have it."""

    def claim_lease(self, environment: str, holder: str, now: datetime, ttl_seconds: float) -> Lease:
        lease = super().claim_lease(environment, holder, now, ttl_seconds)
        return replace(lease, holder=holder)


class Hasty(WatchedRuntime):
    """Every change is made twice, as by somebody who was not sure."""

    def do(self, change: Change) -> None:
        super().do(change)
        try:
            super().do(change)
        except ReconcilerError:
            return


class ForgetfulSource:
    """A remote that does not answer has nothing: its last stack is gone."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def fetch(self) -> Revision:
        try:
            return self._repository.fetch()
        except ReconcilerError:
            nothing: Mapping[str, bytes] = {
                "reconciler.yaml": b"api: v1\nname: test\nstacks: {shop: {path: shop}}\n",
                "shop/compose.yaml": b"name: shop\nservices: {last: {image: plain:1}}\n",
            }
            self._repository.up, self._repository.branch_gone = True, False
            return self._repository.push(nothing, "nothing")


class Sloppy(Applier):
    """The last action of a plan is left out."""

    def apply(
        self, plan: Plan, patience_seconds: float | None = None, secrets: frozenset[str] = frozenset()
    ) -> tuple[Ended, ...]:
        return super().apply(replace(plan, actions=plan.actions[:-1]), patience_seconds, secrets)


# --- all of them -----------------------------------------------------------------------------------------------------


def _without_reasons(action: Action) -> Action:
    return replace(action, reasons=())


MUTANTS = (
    Mutant("takes what was started for what serves", misled(each_instance(_started_is_ready))),
    Mutant("lets nobody wait for anybody", misled(each_service(lambda one: replace(one, depends_on=())))),
    Mutant("stops the old one first where it need not", misled(each_service(_with_update(order=Order.STOP_FIRST)))),
    Mutant("lets two write to one volume", misled(each_service(_with_update(order=Order.START_FIRST)))),
    Mutant("replaces all at once", misled(each_service(_with_update(parallelism=0))), calm=True),
    Mutant("makes one replica too few", misled(each_service(lambda one: replace(one, replicas=max(0, one.replicas - 1))))),
    Mutant("makes what an unknown key labelled anew", misled(each_instance(_other_key_is_another_spec))),
    Mutant("runs a job again", misled(_ended_job_was_never_started)),
    Mutant("tries what failed again and again", misled(_nothing_failed)),
    Mutant("knows of no version to go back to", misled(lambda known: replace(known, previous=None))),
    Mutant("forgets to rename", without(RenameInstance)),
    Mutant("forgets limits", without(UpdateInstance)),
    Mutant("forgets networks", without(ConnectNetwork, DisconnectNetwork)),
    Mutant("heals nothing", without(verb=Verb.HEAL)),
    Mutant("removes nothing", without(verb=Verb.REMOVE)),
    Mutant("removes a neighbour", spoilt(_touch_a_neighbour)),
    Mutant("tells secrets", spoilt(_tell_secrets)),
    Mutant("acts in the order of names", spoilt(_one_by_name)),
    Mutant("acts without a reason", spoilt(lambda plan, _: replace(plan, actions=tuple(map(_without_reasons, plan.actions))))),
    Mutant("says too early that all is applied", spoilt(lambda plan, _: replace(plan, waiting=()))),
    Mutant("ignores the lease", Cast(runtime=HeldByAll)),
    Mutant("does everything twice", Cast(runtime=Hasty)),
    Mutant("takes a silent remote for an empty one", Cast(source=ForgetfulSource)),
    Mutant("leaves the last action out", Cast(applier=Sloppy)),
)
