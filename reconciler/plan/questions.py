"""What must be known beyond the first look before a plan can be final?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from reconciler.model.desired import DesiredState, PullPolicy
from reconciler.model.history import History
from reconciler.model.observed import ObservedState, Questions
from reconciler.plan.memory import Memory
from reconciler.plan.planner import counts_now, survey
from reconciler.plan.traffic.listening import listens_anew
from reconciler.plan.view import ServiceView

ASK_REGISTRY_EVERY = timedelta(hours=1)


def questions(
    desired: DesiredState,
    observed: ObservedState,
    history: History,
    previous: DesiredState | None = None,
    memory: Memory | None = None,
) -> Questions:
    """Return what to look up next; empty when the snapshot answers everything.

    What images are called is asked first: without them every container looks other than it is.
    """
    wanted = counts_now(desired, observed, history, previous).desired
    named = frozenset(service.image for stack in wanted.stacks for service in stack.services)
    if unknown := named - observed.images.keys():
        return Questions(unknown)
    world = survey(desired, observed, history, previous, memory)
    restless = [view for view in world.views.values() if not view.rests(observed.at)]
    unproven = [view for view in world.views.values() if not view.proven]
    images = set(_origins(unproven, observed)) - observed.images.keys()
    contents = frozenset(ask for view in unproven for member in view.members for ask in member.comparison.asks)
    makes = any(_makes_something(view) for view in restless) or listens_anew(world)
    neighbours = observed.neighbours is None and makes
    return Questions(frozenset(images), contents, neighbours)


def _origins(unproven: Iterable[ServiceView], observed: ObservedState) -> Iterator[str]:
    """The ids of images that containers were made from, where Git's reference names another one by now."""
    for view in unproven:
        if view.service.image in observed.images:
            image = observed.images[view.service.image]
            instances = (member.instance for member in view.members if not member.comparison.proven)
            yield from (one.image_id for one in instances if one.image_id and (image is None or image.id != one.image_id))


def _makes_something(view: ServiceView) -> bool:
    """A container is about to be made or renamed: then foreign names and host ports matter."""
    return any(slot.current is None or slot.current.instance.name != slot.name for slot in view.slots)


def ask_registry(desired: DesiredState, history: History, now: datetime) -> frozenset[str]:
    """Return the references whose registry is to be asked now: `pull_policy: always`, new revision or an hour later."""
    references = {
        service.image for stack in desired.stacks for service in stack.services if service.pull_policy is PullPolicy.ALWAYS
    }
    new = history.applied != desired.revision.id
    return frozenset(
        reference
        for reference in references
        # Also when it was asked in the future: that was before the clock was set back.
        if new or reference not in history.asked or abs(now - history.asked[reference]) >= ASK_REGISTRY_EVERY
    )
