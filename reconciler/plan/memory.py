"""What of the last plan still holds, so that one changed service does not have all others compared again?

The view of a service is a function of a few frozen values. They are kept beside it, and as long as they are the same it
is, too. A plan is the same with a memory and without one; it only costs less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model.observed import Instance, ObservedImage

if TYPE_CHECKING:
    from reconciler.model.status import ServiceStatus, StackStatus
    from reconciler.plan.fleet import Fleet
    from reconciler.plan.view import ServiceView


class Seen(NamedTuple):
    """What the view of a service is made from, besides its stack and what all views share.

    instances  its containers, by slot
    image      what its image reference names on the engine
    held       how this spec failed
    """

    instances: Mapping[int, tuple[Instance, ...]]
    image: ObservedImage | None
    held: str


@dataclass(slots=True)
class Memory:
    """What was made last, and from what. It holds as much as one desired state and one snapshot do, not more.

    fleet   what it was made from, and the fleet
    shared  what all views were made from: when it changes, none of them holds
    views   by service id; None beside a view that was made from more than `Seen` tells
    all     what all views were made from, and all of them; None where one was made from more than that
    status  by service id: the view of one that rests, and how it is
    stacks  how each was, the first of equal ones
    images  by reference, each the first of equal ones: whoever compares it next sees at a glance that it is the same
    """

    fleet: tuple[object, Fleet] | None = None
    shared: object = None
    views: Mapping[str, tuple[Seen | None, ServiceView]] = field(default_factory=dict)
    all: tuple[object, Mapping[str, ServiceView]] | None = None
    status: Mapping[str, tuple[ServiceView, ServiceStatus]] = field(default_factory=dict)
    stacks: Mapping[str, StackStatus] = field(default_factory=dict)
    images: Mapping[str, ObservedImage | None] = field(default_factory=dict)
