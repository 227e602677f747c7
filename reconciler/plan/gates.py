"""What must hold before a container of a service may start?

In this order: the stacks its stack needs, lower waves of its own stack, its dependencies, those whose namespaces it lives
in. A change of a service waits for *changed* dependencies to be current and ready; bringing back what already ran only
needs somebody to answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.desired import Condition, Dependency, Service
from reconciler.model.observed import Probe
from reconciler.plan.finished import finished, settled
from reconciler.plan.order import owners
from reconciler.plan.readiness import is_complete, is_ready, why_failed
from reconciler.plan.view import Member, ServiceView, Slot, World


def unmet(world: World, service: Service, *, healing: bool = False) -> str:
    """Return the first condition that does not hold, in words; "" when the service may start."""
    return next(_conditions(world, service, healing), "")


def _conditions(world: World, service: Service, healing: bool) -> Iterator[str]:
    if not healing:
        yield from _needs(world, service)
        yield from _waves(world, service)
    yield from _dependencies(world, service, healing)
    yield from _owners(world, service)


def _needs(world: World, service: Service) -> Iterator[str]:
    for name in world.views[service.id].stack.needs:
        for view in _of_stack(world, name):
            if not settled(world, view):
                yield f"{view.service.id} is {_aim(view)}{_trouble(world, view)}"


def _waves(world: World, service: Service) -> Iterator[str]:
    earlier = (other for other in world.views[service.id].stack.services if other.wave < service.wave)
    for view in (world.views[other.id] for other in earlier):
        if not settled(world, view):
            yield f"wave {view.service.wave}: {view.service.name} is {_aim(view)}{_trouble(world, view)}"


def _of_stack(world: World, stack: str) -> Iterator[ServiceView]:
    return (view for view in world.views.values() if view.stack.name == stack)


def _dependencies(world: World, service: Service, healing: bool) -> Iterator[str]:
    for dependency in service.depends_on:
        view = world.views.get(f"{service.stack}/{dependency.on}")
        if view is not None and not (_counts(world, service, dependency) and _met(world, view, dependency, healing)):
            yield f"{dependency.on} {_WORDS[dependency.condition]}{_trouble(world, view, dependency.condition)}"


_WORDS = {Condition.STARTED: "is started", Condition.HEALTHY: "is healthy", Condition.COMPLETED: "has completed"}


def _counts(world: World, service: Service, dependency: Dependency) -> bool:
    """A job that fell back to an older version has completed for those that are older, too; its new one has not."""
    fell_back = f"{service.stack}/{dependency.on}" in world.older and service.id not in world.older
    return not (fell_back and dependency.condition is Condition.COMPLETED)


def _met(world: World, view: ServiceView, dependency: Dependency, healing: bool) -> bool:
    """Every slot meets it: with its current container, or when healing with any."""
    for slot in view.slots:
        candidates = (slot.current, slot.stale) if healing else (slot.current,)
        if not any(_satisfies(world, view, member, dependency.condition) for member in candidates if member is not None):
            return dependency.condition is Condition.COMPLETED and finished(world, view)
    return True


def _satisfies(world: World, view: ServiceView, member: Member, condition: Condition) -> bool:
    instance = member.instance
    match condition:
        case Condition.STARTED:
            return instance.running or is_complete(instance, view.service)
        case Condition.HEALTHY:
            return instance.running and instance.probe is Probe.HEALTHY
        case Condition.COMPLETED:
            return instance.ended and instance.exit_code == 0


def _owners(world: World, service: Service) -> Iterator[str]:
    """Nothing starts in the namespaces of what does not run, also of what ended well and is about to be replaced.

    While two containers hold the slot, others live with the one that has the name.
    """
    for name in owners(service):
        first = next(iter(world.views[f"{service.stack}/{name}"].slots), None)
        held = [member.instance for member in (first.current, first.stale) if member] if first else []
        named = [instance for instance in held if first and instance.name == first.name]
        if first and not any(instance.running for instance in named or held):
            yield f"{name} runs"


def _aim(view: ServiceView) -> str:
    return "complete" if view.service.kind == "job" else "healthy"


def _never_tells(slot: Slot) -> bool:
    return slot.current is not None and slot.current.instance.running and slot.current.instance.probe is Probe.NONE


def _trouble(world: World, view: ServiceView, condition: Condition | None = None) -> str:
    """Show the chain: what keeps the one we wait for."""
    if view.held:
        return f" (failed: {view.held})"
    for slot in view.slots:
        if slot.current and (why := why_failed(slot.current.instance, view.service, world.now)):
            return "" if is_ready(slot.current.instance, view.service, world.now) else f" ({slot.current.instance.name} {why})"
    if condition is Condition.HEALTHY and any(_never_tells(slot) for slot in view.slots):
        return " (its container has no healthcheck)"
    deeper = next(_dependencies(world, view.service, healing=False), "")
    return f" (which waits until {deeper})" if deeper and not settled(world, view) else ""
