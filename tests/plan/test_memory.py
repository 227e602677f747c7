"""Does what is remembered of the last plan ever make another plan than nothing would?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from printed import KEY, NEW, NOW, OLD, desired_state

from reconciler.model.desired import DesiredState
from reconciler.model.history import HashKey, History, Suspension
from reconciler.model.observed import Engine, ObservedImage, ObservedState, Phase, Probe
from reconciler.model.plan import Plan
from reconciler.model.status import StackStatus
from reconciler.plan import make_plan
from reconciler.plan.assume import assume
from reconciler.plan.memory import Memory
from reconciler.plan.status import stacks_status

COMPOSE = """
services:
  web: {image: "web:1", mem_reservation: 64m}
  side: {image: "side:1", network_mode: "service:web"}
  late: {image: "late:1", depends_on: {web: {condition: service_started, restart: true}}}
"""
ALONE = """
services:
  web: {image: "web:1", mem_reservation: 64m}
  late: {image: "late:1"}
"""
"""Services of which each is judged by itself."""
WEB = "shop-web-1"


@dataclass(frozen=True, slots=True)
class Known:
    """All that a plan is made from."""

    desired: DesiredState
    observed: ObservedState
    history: History

    def sees(self, **changes: Any) -> Known:
        return replace(self, observed=replace(self.observed, **changes))

    def sees_web(self, **changes: Any) -> Known:
        found = self.observed.instances
        return self.sees(instances=tuple(replace(one, **changes) if one.name == WEB else one for one in found))

    def sees_image(self, reference: str, image: ObservedImage | None) -> Known:
        return self.sees(images={**self.observed.images, reference: image})

    def learned(self, **changes: Any) -> Known:
        return replace(self, history=replace(self.history, **changes))


def at_rest(compose: str = COMPOSE) -> Known:
    """Everything runs since a day as Git asks; in one container as far as its label says, which is trusted."""
    desired, history = desired_state(compose, OLD), History(KEY, applied=OLD)
    observed = assume(desired, NOW, history)
    known = Known(desired, replace(observed, engine=Engine(memory_bytes=1 << 30)), history)
    detail = next(one.detail for one in observed.instances if one.name == WEB)
    return known.sees_web(detail={**detail, "Config": {**detail["Config"], "User": "somebody"}})


def _asked_for_another_limit(known: Known) -> Known:
    return replace(known, desired=desired_state(COMPOSE.replace("64m", "96m"), NEW))


CHANGES: dict[str, Callable[[Known], Known]] = {
    "Git asks for another limit": _asked_for_another_limit,
    "a container is gone": lambda known: known.sees(instances=known.observed.instances[:-1]),
    "a container stopped": lambda known: known.sees_web(phase=Phase.EXITED, exit_code=1, finished=NOW),
    "a container is unhealthy": lambda known: known.sees_web(probe=Probe.UNHEALTHY),
    "a container has just been started": lambda known: known.sees_web(started=NOW),
    "a container was made anew, whose namespace another one shares": lambda known: known.sees_web(id="f" * 64, created=NOW),
    "an image has another content": lambda known: known.sees_image("late:1", ObservedImage("sha256:other")),
    "an image registry has another version": lambda known: known.sees(digests={"web:1": "sha256:newer"}),
    "a network was made anew": lambda known: known.sees(networks=(replace(known.observed.networks[0], id="e" * 64),)),
    "the engine is smaller": lambda known: known.sees(engine=Engine(memory_bytes=1 << 20)),
    "the key of the spec labels is lost": lambda known: known.learned(key=HashKey("new", b"another")),
    "somebody says that nothing is to be done": lambda known: known.learned(suspended={"shop": Suspension("", NOW)}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_plan_is_the_same_with_a_memory_when(change: Callable[[Known], Known]) -> None:
    before = at_rest()
    memory = Memory()
    assert plan(before, memory).empty
    after = change(before)
    assert plan(after, memory) == plan(after)
    assert plan(after) != plan(before)
    assert plan(before, memory) == plan(before)


@pytest.mark.parametrize("compose", [COMPOSE, ALONE], ids=["with what concerns another", "each by itself"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_how_services_are_is_the_same_with_a_memory_when(change: Callable[[Known], Known], compose: str) -> None:
    before, memory = at_rest(compose), Memory()
    for known in (before, change(before), change(before), before):
        assert how(known, memory) == how(known)


def test_time_alone_lets_a_container_rest() -> None:
    memory, young = Memory(), at_rest().sees_web(started=NOW)
    assert plan(young, memory).waiting
    assert plan(young.sees(at=NOW + timedelta(minutes=1)), memory).empty
    assert plan(young, memory).waiting


def how(known: Known, memory: Memory | None = None) -> tuple[StackStatus, ...]:
    made = plan(known, memory)
    return stacks_status(made, known.desired, known.observed, known.history, known.desired, memory)


def plan(known: Known, memory: Memory | None = None) -> Plan:
    return make_plan(known.desired, known.observed, known.history, known.desired, memory=memory)
