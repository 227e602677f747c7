"""What would run if a revision had been applied? For plans between two commits, with no engine to ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from reconciler.model.desired import GATEWAY_STACK, DesiredState, Kind
from reconciler.model.history import History
from reconciler.model.observed import (
    Engine,
    Instance,
    ObservedImage,
    ObservedNetwork,
    ObservedState,
    ObservedVolume,
    Phase,
    Probe,
)
from reconciler.model.traffic import Check, ObservedGateway, ObservedServer, server_name
from reconciler.plan.finished import marker
from reconciler.plan.instances import create
from reconciler.plan.planner import survey
from reconciler.plan.resources import resource_labels
from reconciler.plan.traffic.listening import wanted_config
from reconciler.plan.traffic.names import FULL, backends
from reconciler.plan.view import ServiceView, World
from reconciler.plan.windows import without_windows

NEWEST = Engine(version="any", api="99.0")
"""No engine was asked, so none is too old."""


def assume(desired: DesiredState, at: datetime, history: History, images: Iterable[str] = ()) -> ObservedState:
    """Return the snapshot of an engine on which everything desired runs well since long; `images` are there besides."""
    released = {stack.name: desired.revision.id for stack in desired.stacks}
    world = survey(without_windows(desired), ObservedState(at), replace(history, manual=released))
    wanted = {view.service.image for view in world.views.values()} | set(images)
    instances = {
        view.service.id: tuple(_instance(world, view, slot.number, slot.name) for slot in view.slots)
        for view in world.views.values()
    }
    return ObservedState(
        at=at,
        engine=NEWEST,
        instances=tuple(one for found in instances.values() for one in found),
        networks=tuple(
            ObservedNetwork(_id(one.name), one.name, resource_labels(world, one), dict(one.payload), _users(world, one.name))
            for stack in desired.stacks
            for one in stack.networks
        ),
        volumes=tuple(_volumes(world)),
        images={reference: ObservedImage(_id(reference), (reference,)) for reference in sorted(wanted)},
        neighbours=(),
        gateway=_gateway(world, instances),
    )


def _gateway(world: World, instances: Mapping[str, tuple[Instance, ...]]) -> ObservedGateway | None:
    """Return a gateway that sends to every container that it should, None where no service needs one."""
    gateways = [one for id, found in instances.items() if id.startswith(f"{GATEWAY_STACK}/") for one in found]
    config = wanted_config(world)
    servers = (
        ObservedServer(backend.name, server_name(one.id), "", backend.port, FULL, check=Check.UP)
        for view in world.views.values()
        for backend in backends(view.service)
        for one in instances[view.service.id]
    )
    names = tuple(listener.name for listener in config.listeners)
    return (
        ObservedGateway(gateways[0].id, config.digest, config.digest, listeners=names, servers=tuple(servers))
        if gateways
        else None
    )


def _users(world: World, network: str) -> frozenset[str]:
    views = (view for view in world.views.values() if any(one.network == network for one in view.service.networks))
    return frozenset(_id(slot.name) for view in views for slot in view.slots)


def _volumes(world: World) -> Iterator[ObservedVolume]:
    for stack in world.desired.stacks:
        for one in stack.volumes:
            detail = {"Driver": one.payload.get("Driver") or "local", "Options": one.payload.get("DriverOpts") or {}}
            yield ObservedVolume(one.name, resource_labels(world, one), detail)
    for view in world.views.values():
        if view.service.kind is Kind.JOB:
            memory = marker(world, view)
            yield ObservedVolume(memory.name, memory.labels)


def _instance(world: World, view: ServiceView, slot: int, name: str) -> Instance:
    change, since = create(world, view, slot, name), world.now - timedelta(days=1)
    config = {field: value for field, value in change.payload.items() if field != "HostConfig"}
    networks = {
        one.network: {**one.endpoint, "Aliases": list(one.aliases), "NetworkID": _id(one.network)} for one in change.networks
    }
    ended = view.service.kind is Kind.JOB
    return Instance(
        id=_id(name),
        name=name,
        labels=change.payload["Labels"],
        phase=Phase.EXITED if ended else Phase.RUNNING,
        probe=Probe.HEALTHY if view.service.health and not ended else Probe.NONE,
        image_id=_id(change.image),
        created=since,
        started=since,
        finished=since if ended else None,
        detail={
            "Config": {**config, "Image": change.image},
            "HostConfig": _host_config(change.payload["HostConfig"]),
            "NetworkSettings": {"Networks": networks},
            "Mounts": [{"Name": volume} for volume in view.service.volumes],
        },
    )


def _host_config(wanted: dict[str, Any]) -> dict[str, Any]:
    """Shared namespaces hold the id of their owner, which here is made of its name."""
    host = dict(wanted)
    for field in ("NetworkMode", "IpcMode", "PidMode"):
        mode = str(host.get(field, ""))
        if mode.startswith("container:"):
            host[field] = f"container:{_id(mode.removeprefix('container:'))}"
    return host


def _id(name: str) -> str:
    return sha256(name.encode()).hexdigest()
