"""Networks, volumes and images: made before who uses them, compared with what Git asks, never taken from others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.model import labels
from reconciler.model.desired import Network, PullPolicy, Service, Stack, Volume
from reconciler.model.observed import Instance, ObservedNetwork, ObservedState, ObservedVolume
from reconciler.model.plan import (
    ConnectNetwork,
    CreateNetwork,
    CreateVolume,
    DisconnectNetwork,
    FillVolume,
    PullImage,
    Reason,
    RemoveNetwork,
    StartInstance,
    StopInstance,
    Target,
    Verb,
)
from reconciler.plan import instances
from reconciler.plan.draft import Draft
from reconciler.plan.fleet import owned
from reconciler.plan.reasons import facts, show
from reconciler.plan.suspended import suspension_of
from reconciler.plan.view import ServiceView, World


def plan_networks(world: World, stack: Stack, draft: Draft) -> None:
    """Create what is missing, replace what changed where Git allows it, block what is not ours."""
    for network in stack.networks:
        key = f"{stack.name}/network/{network.key}"
        found = world.stock.networks.get(network.name, ())
        if network.external:
            if not found and not _comes_with(world, network.name):
                draft.lacking[f"network:{network.name}"] = f"network {network.name} exists"
                draft.block(key, "R135", f"external network {network.name} does not exist", "create it", network.source)
        elif not found:
            _create_network(world, network, draft, key)
        elif not (ours := [one for one in found if owned(one, world.desired.environment.name, stack.adopt)]):
            draft.lacking[f"network:{network.name}"] = f"network {network.name} is ours"
            draft.block(
                key, "R132", f"network {network.name} exists and is not ours", _take_over(found[0].labels), network.source
            )
        elif differences := tuple(network_differences(network, ours[0])):
            _change_network(world, stack, network, ours[0], differences, draft, key)


def _comes_with(world: World, name: str) -> bool:
    """Another stack of this environment makes it: whoever uses it waits for that."""
    networks = (network for stack in world.desired.stacks for network in stack.networks)
    return any(network.name == name and not network.external for network in networks)


def _create_network(world: World, network: Network, draft: Draft, key: str) -> None:
    reasons = facts("does not exist")
    draft.group(key, network.stack, f"network {network.key}", Verb.CREATE, network.name, reasons)
    change = CreateNetwork(network, resource_labels(world, network))
    draft.provides[f"network:{network.name}"] = draft.act(f"{key}/create", change, key, reasons)


def resource_labels(world: World, resource: Network | Volume) -> dict[str, str]:
    """Return the labels of a network or volume: Git's, ours, Compose's."""
    kind = labels.COMPOSE_NETWORK if isinstance(resource, Network) else labels.COMPOSE_VOLUME
    return {
        **(resource.payload.get("Labels") or {}),
        labels.ENVIRONMENT: world.desired.environment.name,
        labels.STACK: resource.stack,
        labels.REVISION: world.desired.revision.id,
        labels.COMPOSE_PROJECT: resource.project,
        kind: resource.key,
    }


def _take_over(tags: Mapping[str, str]) -> str:
    if environment := tags.get(labels.ENVIRONMENT):
        return f"it belongs to environment {environment!r} of another reconciler"
    if project := tags.get(labels.COMPOSE_PROJECT):
        return f"it belongs to Compose project {project!r}: `adopt: [{project}]` takes it over, `external: true` shares it"
    return "mark it `external: true` to use it as it is, or give yours another `name`"


_ENGINE_DEFAULTS: Mapping[str, Any] = {"Driver": "bridge"}


def network_differences(network: Network, found: ObservedNetwork) -> Iterator[Reason]:
    """Yield what of a network's definition is otherwise on the engine."""
    for field, want in sorted(network.payload.items()):
        have = found.detail.get(field)
        if field in ("Labels", "CheckDuplicate", "Name") or _covers(want or _ENGINE_DEFAULTS.get(field), have):
            continue
        yield Reason(f"{network.key} {field}", show(have), show(want), network.source)


def _covers(want: Any, have: Any) -> bool:
    """Say whether everything wanted is there; what the engine filled in besides does not count."""
    if isinstance(want, Mapping):
        there = have if isinstance(have, Mapping) else {}
        return all(_covers(value, there.get(name)) for name, value in want.items())
    if isinstance(want, list | tuple):
        others = have if isinstance(have, list) else []
        return all(any(_covers(one, other) for other in others) for one in want)
    return not want or want == have


def _change_network(
    world: World, stack: Stack, network: Network, found: ObservedNetwork, reasons: tuple[Reason, ...], draft: Draft, key: str
) -> None:
    """One planned group: stop its users, replace it, reconnect them, start them again."""
    if not stack.replace_networks:
        hint = f"`replace_networks: true` for stack {stack.name} lets its users stop while it is replaced"
        changed = "; ".join(f"{reason.text} {reason.old or '(none)'} → {reason.new}" for reason in reasons)
        draft.block(
            key, "R136", f"network {network.name} has changed and cannot be changed in place: {changed}", hint, network.source
        )
        return
    users = [one for one in world.observed.instances if found.name in _attached(one)]
    if own := [user for user in users if user.id == world.keeper]:
        message = f"network {network.name} has changed, and this reconciler itself is on it, in {own[0].name}"
        draft.block(key, "R143", message, "replace it by hand, or give the new one another name", network.source)
        return
    draft.group(key, network.stack, f"network {network.key}", Verb.UPDATE, "replace, its users stop meanwhile", reasons)
    if left_alone := [user for user in users if _is_suspended(world, user)]:
        draft.wait(key, f"replace {network.name}", f"{left_alone[0].name} is no longer suspended")
        return
    cut = [_cut(draft, key, found, user, reasons) for user in users]
    gone = draft.act(f"{key}/remove", RemoveNetwork(found.id, found.name), key, reasons, cut)
    made = draft.act(f"{key}/create", CreateNetwork(network, resource_labels(world, network)), key, reasons, [gone])
    draft.provides[f"network:{network.name}"] = made
    draft.renewed.add(network.name)
    for user in users:
        _rejoin(world, draft, key, network, user, reasons, made)


def _is_suspended(world: World, instance: Instance) -> bool:
    place = world.fleet.places.get(instance.id)
    return place is not None and suspension_of(world.history, world.now, place.stack, place.service) is not None


def _attached(instance: Instance) -> Mapping[str, Any]:
    return instance.detail.get("NetworkSettings", {}).get("Networks") or {}


def _cut(draft: Draft, key: str, network: ObservedNetwork, user: Instance, reasons: tuple[Reason, ...]) -> str:
    target = Target(user.name, user.id)
    chain = draft.chain(key, f"{key}/{user.name}", reasons)
    if user.running:
        chain.then("stop", StopInstance(target))
    return chain.then("disconnect", DisconnectNetwork(target, network.name)).last


def _rejoin(
    world: World, draft: Draft, key: str, network: Network, user: Instance, reasons: tuple[Reason, ...], made: str
) -> None:
    target, place = Target(user.name, user.id), world.fleet.places.get(user.id)
    view = world.views.get(place.service_id) if place else None
    wanted = [one for one in view.service.networks if one.network == network.name] if view else []
    chain = draft.chain(key, f"{key}/{user.name}", reasons, [made])
    if view and wanted and place:
        full = instances.endpoint(wanted[0], view.service, place.slot)
        chain.then("connect", ConnectNetwork(target, network.name, {**full.endpoint, "Aliases": list(full.aliases)}))
    if user.running:
        chain.then("start", StartInstance(target))


# --- volumes ---------------------------------------------------------------------------------------------------------


def plan_volumes(world: World, stack: Stack, draft: Draft) -> None:
    """Create what is missing; a changed definition is blocked, since only a new, empty volume could follow it."""
    for volume in stack.volumes:
        key, found = f"{stack.name}/volume/{volume.key}", world.stock.volumes.get(volume.name)
        if volume.external:
            if found is None:
                draft.lacking[f"volume:{volume.name}"] = f"volume {volume.name} exists"
                draft.block(key, "R135", f"external volume {volume.name} does not exist", "create it", volume.source)
        elif found is None:
            _create_volume(world, volume, draft, key)
        elif not owned(found, world.desired.environment.name, stack.adopt):
            draft.lacking[f"volume:{volume.name}"] = f"volume {volume.name} is ours"
            draft.block(key, "R132", f"volume {volume.name} exists and is not ours", _take_over(found.labels), volume.source)
        elif changed := _volume_changes(volume, found):
            hint = "move the data to a volume of another name, or put the old definition back"
            draft.block(key, "R137", f"volume {volume.name} cannot be changed in place: {changed}", hint, volume.source)


def _create_volume(world: World, volume: Volume, draft: Draft, key: str) -> None:
    reasons = facts("does not exist")
    draft.group(key, volume.stack, f"volume {volume.key}", Verb.CREATE, volume.name, reasons)
    change = CreateVolume(volume.name, volume.payload, resource_labels(world, volume), volume)
    draft.provides[f"volume:{volume.name}"] = draft.act(f"{key}/create", change, key, reasons)


def _volume_changes(volume: Volume, found: ObservedVolume) -> str:
    driver, options = volume.payload.get("Driver") or "local", volume.payload.get("DriverOpts") or {}
    if driver != (found.detail.get("Driver") or "local"):
        return f"driver {found.detail.get('Driver')} → {driver}"
    have = found.detail.get("Options") or {}
    if options == have:
        return ""
    changed = sorted(name for name in options.keys() | have.keys() if options.get(name) != have.get(name))
    return f"driver_opts {', '.join(changed)}" if changed else ""


# --- content volumes and images ----------------------------------------------------------------------------------------


def plan_content(world: World, view: ServiceView, draft: Draft) -> None:
    """Make and fill the content-addressed volumes that a service's files need."""
    there = world.stock.volumes
    for volume in view.service.content_volumes:
        thing = f"volume:{volume.name}"
        # A volume that exists may be half filled: it is filled again as long as no container of ours was made with it.
        if thing in draft.provides or (volume.name in there and _mounted(world.observed, volume.name)):
            continue
        tags = {
            labels.ENVIRONMENT: world.desired.environment.name,
            labels.STACK: view.service.stack,
            labels.ROLE: labels.ROLE_CONTENT,
        }
        chain = draft.chain(view.service.id, f"content/{volume.name}", facts(f"content for {volume.target}"))
        if volume.name not in there:
            chain.then("create", CreateVolume(volume.name, {}, tags))
        image = draft.needed(f"image:{view.service.image}")
        files = tuple(replace(file, target=file.target.removeprefix(volume.target)) for file in volume.files)
        beside = volume.target if volume.with_image else ""
        chain.then("fill", FillVolume(volume.name, files, view.service.image, tags, beside), image)
        draft.provides[thing] = chain.last


def _mounted(observed: ObservedState, volume: str) -> bool:
    mounts = (mount for instance in observed.instances for mount in instance.detail.get("Mounts") or ())
    return any(mount.get("Name") == volume for mount in mounts)


def plan_image(world: World, service: Service, draft: Draft, *, wanted: bool) -> None:
    """Pull an image that is missing (where a container of it is wanted), or whose tag names another content now."""
    reference = service.image
    if f"image:{reference}" in draft.provides or reference not in world.observed.images:
        return
    local = world.observed.images[reference]
    digest = world.observed.digests.get(reference, "")
    if local is None and wanted and service.pull_policy is PullPolicy.NEVER:
        draft.lacking[f"image:{reference}"] = f"image {reference} is there"
        message = f"image {reference} is not on the engine, and pull_policy is never"
        draft.block(service.id, "R134", message, "load it, or change pull_policy", service.mark("image"))
    elif local is None and wanted:
        _pull(service, digest, draft, facts(f"image {reference} is not on the engine"))
    elif local is not None and digest and not any(known.endswith(f"@{digest}") for known in local.digests):
        _pull(service, digest, draft, (Reason("image", f"{reference} as pulled", digest[:19], service.mark("image")),))


def _pull(service: Service, digest: str, draft: Draft, reasons: Iterable[Reason]) -> None:
    reasons = tuple(reasons)
    key = draft.group(service.id, service.stack, service.name, Verb.UPDATE, "", reasons)
    change = PullImage(service.image, service.platform, digest)
    draft.provides[f"image:{service.image}"] = draft.act(f"image/{service.image}/pull", change, key, reasons)
