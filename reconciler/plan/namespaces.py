"""Can anything run in the namespaces of another service, or has that one ended for good?"""

from __future__ import annotations

from reconciler.model.desired import Kind
from reconciler.model.plan import Blocked
from reconciler.plan.finished import finished
from reconciler.plan.order import owners
from reconciler.plan.readiness import is_complete
from reconciler.plan.view import ServiceView, World


def blocked_by_owner(world: World, view: ServiceView) -> Blocked | None:
    """Return why not, for a service that is meant to run: the engine starts nothing beside a container that does not.

    What runs already lost its network with it, or has its processes ended.
    """
    if not view.slots or _has_ended(world, view):
        return None
    service = view.service
    for name in owners(service):
        owner = world.views.get(f"{service.stack}/{name}")
        if owner is not None and _has_ended(world, owner):
            message = f"{service.id} lives in the namespaces of {name}, which has ended well and is not started again"
            hint = f"give {name} a `restart` policy that starts it again, or {service.name} namespaces of its own"
            return Blocked(service.id, "R145", message, hint, service.mark("network_mode", "ipc", "pid"))
    return None


def _has_ended(world: World, view: ServiceView) -> bool:
    """Every container it is to have did what it was there for."""
    if view.service.kind is Kind.JOB and finished(world, view):
        return True
    held = [slot.current for slot in view.slots if slot.stale is None]
    return bool(held) and all(one is not None and is_complete(one.instance, view.service) for one in held)
