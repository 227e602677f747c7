"""Remove what Git no longer has: last, after everything else is healthy, and never too much at once.

What stands in the way of something wanted (its name, its host port) goes before it. Volumes with data are never removed
unless Git says so for that volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from reconciler.model import labels
from reconciler.model.desired import DesiredState, PruneMode
from reconciler.model.history import EVERYTHING, KEPT_IMAGES
from reconciler.model.observed import Instance, ObservedNetwork, ObservedVolume, Phase
from reconciler.model.plan import Held, RemoveImage, RemoveInstance, RemoveNetwork, RemoveVolume, StopInstance, Target, Verb
from reconciler.plan.draft import Draft
from reconciler.plan.finished import marker, settled
from reconciler.plan.fleet import Place
from reconciler.plan.reasons import facts
from reconciler.plan.suspended import suspension_of, why_suspended
from reconciler.plan.view import ServiceView, World
from reconciler.plan.work import fixed_ports, held_ports

GONE = "no longer in Git"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Everything of ours that Git no longer asks for."""

    instances: tuple[tuple[Place, Instance], ...]
    networks: tuple[ObservedNetwork, ...]
    volumes: tuple[ObservedVolume, ...]

    def only(self, stays: Callable[[str, str], bool]) -> Leftovers:
        """Return those of which (stack, service) holds; service is "" for networks and volumes."""
        return Leftovers(
            tuple(one for one in self.instances if stays(one[0].stack, one[0].service)),
            tuple(one for one in self.networks if stays(one.labels[labels.STACK], "")),
            tuple(one for one in self.volumes if stays(one.labels[labels.STACK], "")),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What a mass deletion is counted by, and what its id is made of."""
        return tuple(
            sorted(
                [f"container {instance.name}" for _, instance in self.instances]
                + [f"network {network.name}" for network in self.networks]
                + [f"volume {volume.name}" for volume in self.volumes]
            )
        )


def leftovers(world: World, raw: DesiredState) -> Leftovers:
    """Return what is ours and in neither the effective nor the newest desired state (`raw`)."""
    stacks = (*world.desired.stacks, *raw.stacks)
    withheld = {stack.name for stack in raw.stacks} - {stack.name for stack in world.desired.stacks}
    networks = {network.name for stack in stacks for network in stack.networks}
    volumes = {volume.name for stack in stacks for volume in stack.volumes}
    return Leftovers(
        tuple(one for one in world.fleet.orphans if not _asked_for(raw, one[0]) and one[0].stack not in withheld),
        tuple(one for one in world.observed.networks if _ours(world, one) and one.name not in networks),
        tuple(one for one in world.observed.volumes if one.name not in volumes and _may_go(world, raw, one)),
    )


def _asked_for(raw: DesiredState, place: Place) -> bool:
    return any(service.name == place.service for stack in raw.stacks if stack.name == place.stack for service in stack.services)


def _may_go(world: World, raw: DesiredState, volume: ObservedVolume) -> bool:
    """Data goes only where Git says so: the stack itself, or for a stack that is gone, what it said at the last."""
    if not _ours(world, volume):
        return False
    stack = next((one for one in raw.stacks if one.name == volume.labels[labels.STACK]), None)
    if stack is not None:
        return "*" in stack.prune_volumes or volume.labels.get(labels.COMPOSE_VOLUME) in stack.prune_volumes
    last = world.previous.stacks if world.previous else ()
    return any(one.prune and one.name == volume.name for gone in last for one in gone.volumes)


def _ours(world: World, thing: ObservedNetwork | ObservedVolume) -> bool:
    """Only what we made: an adopted project's networks and volumes stay where they are."""
    ours = thing.labels.get(labels.ENVIRONMENT) == world.desired.environment.name
    return ours and labels.STACK in thing.labels and labels.ROLE not in thing.labels


def plan_prune(world: World, raw: DesiredState, draft: Draft) -> None:
    """Plan the removals, unless there are so many that a person must confirm them."""
    left = _free_to_go(world, _without_ourselves(world, leftovers(world, raw), draft), draft)
    if held := _why_held(world, raw, left):
        draft.block("prune", "R140", *held)
        return
    conflicts = _in_the_way(world, left)
    for place, instance in left.instances:
        if instance.id in conflicts:
            _remove_instance(draft, place, instance, f"{GONE}, and stands in the way: {conflicts[instance.id]}")
    if world.desired.environment.prune.mode is PruneMode.OFF:
        return
    later = _unsettled(world)
    for place, instance in left.instances:
        if instance.id not in conflicts:
            _remove_or_wait(draft, place, instance, later)
    if not later:
        _remove_resources(draft, left)
    if not later and suspension_of(world.history, world.now, EVERYTHING) is None:
        _remove_traces(world, draft)
        _remove_images(world, draft)


def _without_ourselves(world: World, left: Leftovers, draft: Draft) -> Leftovers:
    """Keep the container this reconciler works in and what that uses: nobody would be left to do the rest."""
    own = next((one for one in left.instances if one[1].id == world.keeper), None)
    if own is None:
        return left
    place, instance = own
    message = f"{instance.name} is this reconciler itself and no longer in Git: it stays"
    hint = f"put it back into Git, or `docker rm --force {instance.name}` when another one is to take over"
    draft.block(place.service_id, "R144", message, hint)
    mounted = {str(mount.get("Name")) for mount in instance.detail.get("Mounts") or ()}
    return Leftovers(
        tuple(one for one in left.instances if one is not own),
        tuple(one for one in left.networks if instance.id not in one.users),
        tuple(one for one in left.volumes if one.name not in mounted),
    )


def _free_to_go(world: World, left: Leftovers, draft: Draft) -> Leftovers:
    """Leave out what windows and suspensions hold; what windows hold is told with the stack's other changes."""
    windows = {one.key for one in world.held}

    def suspended(stack: str, service: str) -> bool:
        return suspension_of(world.history, world.now, stack, service) is not None

    for stack in sorted({place.stack for place, _ in left.only(suspended).instances}):
        services = {place for place, _ in left.only(suspended).instances if place.stack == stack}
        suspension = suspension_of(world.history, world.now, stack, min(place.service for place in services))
        assert suspension is not None, "only suspended services were taken"
        ids = frozenset(place.service_id for place in services)
        draft.held.append(Held(stack, why_suspended(suspension), f"{len(ids)} to remove", suspension.until, ids))
    return left.only(lambda stack, service: stack not in windows and not suspended(stack, service))


# --- the guard -------------------------------------------------------------------------------------------------------


def _why_held(world: World, raw: DesiredState, left: Leftovers) -> tuple[str, str] | None:
    """Say why nothing is removed this time, and what to do."""
    names, prune = left.names, raw.environment.prune
    if not names:
        return None
    if world.history.fresh:
        return (
            f"{_count(names)} would be removed, but the state directory is new",
            "the next turn removes them; nothing is lost",
        )
    token = confirmation(names)
    if prune.confirm == token:
        return None
    hint = f"if that is meant, set `prune: {{confirm: {token}}}` in reconciler.yaml; it releases exactly this set"
    if prune.mode is PruneMode.CONFIRM:
        return f"{_count(names)} would be removed, and prune.mode is confirm", hint
    if not raw.stacks:
        return f"{_count(names)} would be removed, because the desired state is empty", hint
    total = len(names) + _kept(world, left)
    if len(names) > prune.floor and len(names) > prune.max_ratio * total:
        return f"{_count(names)} of {total} objects would be removed, more than {prune.max_ratio:.0%}", hint
    return None


def confirmation(names: Iterable[str]) -> str:
    """Return the id that a person writes into Git to release exactly these deletions. YAML takes it for no number."""
    listed = "\n".join(sorted(names))
    return f"yes-{sha256(listed.encode()).hexdigest()[:12]}"


def _count(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} object{'s' if len(names) != 1 else ''} ({shown})"


def _kept(world: World, left: Leftovers) -> int:
    gone = {instance.id for _, instance in left.instances}
    containers = sum(
        1 for instance in world.observed.instances if instance.id in world.fleet.places and instance.id not in gone
    )
    networks = sum(1 for one in world.observed.networks if _ours(world, one)) - len(left.networks)
    return containers + networks


# --- removals --------------------------------------------------------------------------------------------------------


def _in_the_way(world: World, left: Leftovers) -> dict[str, str]:
    """Return leftover container ids that hold a name or host port which a wanted service needs now, and which."""
    if not left.instances:
        return {}
    names = {
        view.service.instance_name(slot.number) for view in world.views.values() for slot in view.slots if not slot.current
    }
    ports = {port for view in world.views.values() for port in fixed_ports(view.service.container)}
    found = {}
    for _, instance in left.instances:
        held = sorted(ports & set(held_ports(instance))) if instance.running else []
        if instance.name in names:
            found[instance.id] = f"it has the name {instance.name}"
        elif held:
            found[instance.id] = f"it holds host port {held[0]}"
    return found


def _unsettled(world: World) -> str:
    """The first service that is not what Git asks for yet: as long as there is one, nothing is pruned."""
    return next((view.service.id for view in world.views.values() if not (settled(world, view) or _held(world, view))), "")


def _held(world: World, view: ServiceView) -> bool:
    """What is to be left as it is keeps nobody else's leftovers from going."""
    suspended = suspension_of(world.history, world.now, view.stack.name, view.service.name)
    return suspended is not None or view.service.id in world.frozen


def _remove_or_wait(draft: Draft, place: Place, instance: Instance, later: str) -> None:
    if later:
        key = draft.group(place.service_id, place.stack, place.service, Verb.REMOVE, GONE, facts(GONE))
        draft.wait(key, f"remove {instance.name}", f"everything else is healthy ({later} is not yet)")
    else:
        _remove_instance(draft, place, instance, GONE)


def _remove_instance(draft: Draft, place: Place, instance: Instance, why: str) -> None:
    if place.service_id in draft.busy:
        draft.wait(place.service_id, f"remove {instance.name}", "what is in flight has ended")
        return
    reasons, target = facts(why), Target(instance.name, instance.id)
    key = draft.group(place.service_id, place.stack, place.service, Verb.REMOVE, GONE, reasons)
    chain = draft.chain(key, f"{place.service_id}/{instance.name}", reasons)
    if instance.phase in (Phase.RUNNING, Phase.RESTARTING, Phase.PAUSED):
        chain.then("stop", StopInstance(target))
    chain.then("remove", RemoveInstance(target))
    draft.provides[f"name:{instance.name}"] = chain.last
    draft.provides[f"removed:{instance.id}"] = chain.last
    for port in held_ports(instance):
        draft.provides[f"port:{port}"] = chain.last


def _remove_resources(draft: Draft, left: Leftovers) -> None:
    for network in left.networks:
        stack, key = network.labels.get(labels.STACK, ""), network.labels.get(labels.COMPOSE_NETWORK, network.name)
        group = draft.group(f"{stack}/network/{key}", stack, f"network {key}", Verb.REMOVE, GONE, facts(GONE))
        gone = draft.needed(*(f"removed:{user}" for user in network.users))
        if len(gone) < len(network.users):
            draft.wait(group, f"remove {network.name}", "no container is on it any more")
        else:
            draft.act(f"{stack}/network/{key}/remove", RemoveNetwork(network.id, network.name), group, facts(GONE), gone)
    removals = [action.id for action in draft.actions if isinstance(action.change, RemoveInstance)]
    for volume in left.volumes:
        stack, key = volume.labels.get(labels.STACK, ""), volume.labels.get(labels.COMPOSE_VOLUME, volume.name)
        why = f"{GONE}, and prune_volumes names it"
        group = draft.group(f"{stack}/volume/{key}", stack, f"volume {key}", Verb.REMOVE, why, facts(why))
        draft.act(f"{stack}/volume/{key}/remove", RemoveVolume(volume.name), group, facts(why), removals)


def _remove_traces(world: World, draft: Draft) -> None:
    """Our own traces: content volumes nobody mounts, markers of jobs that Git no longer has, helpers left by a crash."""
    for instance in world.observed.instances:
        if _traces(world, instance.labels) == labels.ROLE_CONTENT:
            why = facts("a helper that a killed process left behind")
            group = draft.group(f"trace/{instance.name}", "", f"helper {instance.name}", Verb.REMOVE, "left behind", why)
            draft.act(f"trace/{instance.name}/remove", RemoveInstance(Target(instance.name, instance.id)), group, why)
    roles = {volume.name: _traces(world, volume.labels) for volume in world.observed.volumes}
    traces = [name for name, role in roles.items() if role in (labels.ROLE_CONTENT, labels.ROLE_JOB)]
    keep = _referenced(world) if traces else set()
    for name in (name for name in traces if name not in keep):
        why = facts("nobody refers to it any more")
        group = draft.group(f"trace/{name}", "", f"volume {name}", Verb.REMOVE, f"{roles[name]} volume", why)
        draft.act(f"trace/{name}/remove", RemoveVolume(name), group, why)


def _remove_images(world: World, draft: Draft) -> None:
    """Images that we pulled and that no service has used in its last applied revisions."""
    if not (world.desired.environment.prune.images and world.history.pulled):
        return
    wanted = {view.service.image for view in world.views.values()}
    recent = {image for images in world.history.ran.values() for image in images}
    used = {str(one.detail.get("Config", {}).get("Image")) for one in world.observed.instances}
    for reference in sorted(world.history.pulled - wanted - recent - used):
        why = facts(f"pulled by us, and not used by the last {KEPT_IMAGES} revisions of any service")
        group = draft.group(f"image/{reference}", "", f"image {reference}", Verb.REMOVE, "no longer used", why)
        draft.act(f"image/{reference}/remove", RemoveImage(reference), group, why)


def _traces(world: World, tags: Mapping[str, str]) -> str:
    return tags.get(labels.ROLE, "") if tags.get(labels.ENVIRONMENT) == world.desired.environment.name else ""


def _referenced(world: World) -> set[str]:
    """Volumes that some container mounts, that some service wants, or that remember a job that Git still has."""
    mounted = {str(mount.get("Name")) for instance in world.observed.instances for mount in instance.detail.get("Mounts") or ()}
    wanted = {volume.name for view in world.views.values() for volume in view.service.content_volumes}
    jobs = {marker(world, view).name for view in world.views.values()}
    known = {view.service.id for view in world.views.values()}
    remembered = {
        volume.name
        for volume in world.observed.volumes
        if f"{volume.labels.get(labels.STACK)}/{volume.labels.get(labels.SERVICE)}" in known
    }
    return mounted | wanted | jobs | remembered
