"""Lead requests to the containers that can serve them, and let none go before what it has in flight has ended."""

from __future__ import annotations

from reconciler.plan.draft import Draft
from reconciler.plan.traffic.draining import drain_first
from reconciler.plan.traffic.listening import give_up_ports, listen, stage
from reconciler.plan.traffic.serving import admit, forget_first, keep_the_last, raise_first
from reconciler.plan.traffic.telling import tell
from reconciler.plan.view import World


def before(world: World, draft: Draft) -> None:
    """Plan what services may wait for: ports that the gateway gives up."""
    give_up_ports(world, draft)


def after(world: World, draft: Draft) -> None:
    """Plan what follows from the plan for all services: who drains, who serves with which weight, who listens where."""
    leaving = drain_first(world, draft)
    listen(world, draft)
    admit(world, draft, leaving.ids)
    keep_the_last(world, draft, leaving.for_good)
    raise_first(world, draft)
    forget_first(draft)
    stage(world, draft)
    tell(world, draft)
