"""In which of our containers does the reconciler itself work?

Whoever holds the environment's lease says so in the lease. It stands in the snapshot like everything else, so that a plan
that is only looked at, from wherever, knows what the plan that is carried out knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.model import labels
from reconciler.model.holder import container_of
from reconciler.model.observed import ObservedState
from reconciler.plan.diff import Comparison, Difference
from reconciler.plan.fleet import Fleet
from reconciler.plan.view import Member, ServiceView, Slot
from reconciler.ports import Lease


def lease_of(observed: ObservedState, environment: str) -> Lease | None:
    """Return the lease of an environment that was in force as the snapshot was taken, None for none."""
    volumes = (one for one in observed.volumes if one.labels.get(labels.LEASE) == environment)
    found = (Lease.read(one.name, one.labels) for one in volumes)
    newest = max(filter(None, found), key=lambda lease: lease.generation, default=None)
    return newest if newest is not None and newest.expires > observed.at else None


def keeper_of(observed: ObservedState, environment: str) -> str:
    """Return the id of the container of ours in which the lease's holder works, "" for none."""
    lease = lease_of(observed, environment)
    holder = container_of(lease.holder) if lease else ""
    living = (one.id for one in observed.instances if one.running and holder and one.id.startswith(holder))
    return next(living, "")


def with_keeper(views: Mapping[str, ServiceView], fleet: Fleet, keeper: str) -> Mapping[str, ServiceView]:
    """Return the views, that of the keeper's service as one who must not be without it sees it."""
    place = fleet.places.get(keeper)
    own = views.get(place.service_id) if place else None
    if own is None:
        return views
    slots = tuple(_keeper_first(slot, keeper) for slot in own.slots)
    return {**views, own.service.id: replace(own, slots=slots, rests_from=None, keeper=keeper)}


def _keeper_first(slot: Slot, keeper: str) -> Slot:
    """Nobody else of its kind is better than the one that is at work."""
    found = [_on_its_networks(member, keeper) for member in (slot.current, slot.stale, *slot.extra) if member]
    return Slot.of(slot.number, slot.name, sorted(found, key=lambda member: member.instance.id != keeper))


def _on_its_networks(member: Member, keeper: str) -> Member:
    return replace(member, comparison=_never_cut_off(member.comparison)) if member.instance.id == keeper else member


def _never_cut_off(comparison: Comparison) -> Comparison:
    """Return a comparison that asks for a new container instead of taking this one off a network.

    The way to the engine may lead through that network, and then nobody could put the container back on it.
    """
    cut = tuple(one for one in comparison.reattach if one.connected)
    stays = tuple(one for one in comparison.reattach if not one.connected)
    differs = (Difference("networks", "", one.network, one.new.network if one.new else "") for one in cut)
    return replace(comparison, recreate=(*comparison.recreate, *differs), reattach=stays)
