"""Ask the engine once, then whatever the plan needs beyond that: one snapshot with one timestamp."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.errors import Refused, Unreachable
from reconciler.model import labels
from reconciler.model.desired import GATEWAY_STACK, DesiredState, Environment
from reconciler.model.history import History
from reconciler.model.masking import masked
from reconciler.model.observed import Instance, ObservedState, Registered
from reconciler.model.traffic import ObservedGateway
from reconciler.plan.memory import Memory
from reconciler.plan.questions import ask_registry, questions
from reconciler.ports import Depth, Gateway, Registries, Runtime

ROUNDS = 4
"""Questions lead to questions at most this often: images, those that containers were made from, contents, neighbours."""


def observe(
    runtime: Runtime,
    desired: DesiredState,
    history: History,
    previous: DesiredState | None = None,
    memory: Memory | None = None,
    *,
    gateway: Gateway | None = None,
    depth: Depth = Depth.LISTED,
    ask_registries: bool = True,
) -> ObservedState:
    """Return a snapshot that answers everything a plan will ask. Raises Unreachable when the engine does not answer."""
    adopted = {project for stack in desired.stacks for project in stack.adopt}
    snapshot = _veiled(runtime.observe(desired.environment.name, sorted(adopted), depth=depth), desired)
    if ask_registries and (references := ask_registry(desired, history, snapshot.at)):
        snapshot = replace(snapshot, digests=runtime.digests(references))
    if gateway and (container := _gateway_of(snapshot)):
        snapshot = replace(snapshot, gateway=_asked(gateway, container))
    for _ in range(ROUNDS):
        asked = questions(desired, snapshot, history, previous, memory)
        if not asked:
            break
        answers = runtime.answer(asked)
        snapshot = replace(
            snapshot,
            images={**snapshot.images, **answers.images},
            contents={**snapshot.contents, **answers.contents},
            neighbours=snapshot.neighbours if answers.neighbours is None else answers.neighbours,
        )
    return snapshot


def _gateway_of(snapshot: ObservedState) -> str:
    """Return the id of the gateway's container; of two, one of which takes over from the other, the newer one's."""
    ours = [one for one in snapshot.instances if one.running and one.labels.get(labels.STACK) == GATEWAY_STACK]
    return max(((str(one.started), one.id) for one in ours), default=("", ""))[1]


def _asked(gateway: Gateway, container: str) -> ObservedGateway | None:
    """What does not answer is unknown, and the plan does with it what is right then; all the rest goes on."""
    try:
        return gateway.observe(container)
    except Unreachable:
        return None


def registered(registries: Registries | None, environment: Environment) -> Registered | None:
    """Ask the external registry, where Git names one. What keeps it from answering keeps nothing else from being done."""
    asked = environment.extensions.get("registry", {})
    if registries is None or asked.get("type") != "consul":
        return None
    url = str(asked["url"])
    try:
        registry = registries(url)
        return Registered(url, registry.entries(environment.name), registry.address)
    except (Unreachable, Refused) as trouble:
        return Registered(url, trouble=str(trouble), hint=trouble.hint, refused=isinstance(trouble, Refused))


def _veiled(snapshot: ObservedState, desired: DesiredState) -> ObservedState:
    """The engine repeats a command that cannot be started, and with it whatever a commit, also an old one, put in there."""
    if not any((instance.detail.get("State") or {}).get("Error") for instance in snapshot.instances):
        return snapshot
    open_words = {word for stack in desired.stacks for service in stack.services for word in _command(service.container)}
    secrets = desired.secrets

    def veiled(instance: Instance) -> Instance:
        state = instance.detail.get("State") or {}
        if not state.get("Error"):
            return instance
        hidden = secrets | {word for word in _command(instance.detail.get("Config") or {}) if word not in open_words}
        return replace(instance, detail={**instance.detail, "State": {**state, "Error": masked(state["Error"], hidden)}})

    return replace(snapshot, instances=tuple(map(veiled, snapshot.instances)))


def _command(config: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))


def asked_registries(desired: DesiredState, history: History, snapshot: ObservedState) -> Iterable[str]:
    """Return the references whose registry answered in this snapshot."""
    return ask_registry(desired, history, snapshot.at) & snapshot.digests.keys()
