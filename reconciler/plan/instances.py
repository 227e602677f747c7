"""The complete create call of one container: what Git asks, our labels, Compose's labels, names on the networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.model import labels
from reconciler.model.desired import Attachment, Service
from reconciler.model.plan import CreateInstance
from reconciler.plan.diff import fields_set
from reconciler.plan.reasons import shown_names
from reconciler.plan.view import Member, ServiceView, World

TEMPORARY = ".next"
"""What a replacement's name ends in until the old container is gone."""


def create(world: World, view: ServiceView, slot: int, name: str, inherits: Member | None = None) -> CreateInstance:
    """Return the call that makes the container of a slot under a name."""
    service = view.service
    return CreateInstance(
        name=name,
        service=service.id,
        slot=slot,
        image=service.image,
        payload=_payload(world, view, slot),
        networks=tuple(endpoint(attachment, service, slot) for attachment in service.networks),
        platform=service.platform,
        inherits=inherits.instance.id if inherits and service.anonymous else "",
        anonymous=service.anonymous if inherits else (),
    )


def endpoint(attachment: Attachment, service: Service, slot: int) -> Attachment:
    """Return the attachment with every name the container answers to: its own, its service's, Git's aliases."""
    names = tuple(dict.fromkeys((service.instance_name(slot), service.name, *attachment.aliases)))
    return replace(attachment, aliases=names, endpoint={**attachment.endpoint, "Aliases": list(names)})


def _payload(world: World, view: ServiceView, slot: int) -> dict[str, Any]:
    service = view.service
    payload = dict(service.container)
    payload["Labels"] = {**(service.container.get("Labels") or {}), **identity(world, view, slot)}
    payload["HostConfig"] = _host_config(world, service)
    return payload


def identity(world: World, view: ServiceView, slot: int) -> dict[str, str]:
    """Return the labels that say whose the container is and what held when it was made."""
    service, stack = view.service, view.stack
    return {
        labels.ENVIRONMENT: world.desired.environment.name,
        labels.STACK: service.stack,
        labels.SERVICE: service.name,
        labels.SLOT: str(slot),
        labels.KIND: service.kind.value,
        labels.SPEC: view.spec,
        labels.FIELDS: fields_set(service),
        **({labels.DELIVERED: "\n".join(sorted(file.target for file in service.files))} if service.files else {}),
        labels.SHOWN: ",".join(shown_names(service)),
        labels.REVISION: world.revision_of(service),
        labels.ROLE: labels.ROLE_INSTANCE,
        labels.COMPOSE_PROJECT: service.project,
        labels.COMPOSE_SERVICE: service.name,
        labels.COMPOSE_NUMBER: str(slot),
        labels.COMPOSE_ONEOFF: "False",
        labels.COMPOSE_HASH: view.spec.rpartition(":")[2],
        labels.COMPOSE_WORKING_DIR: f"/{stack.path}".rstrip("/") or "/",
        labels.COMPOSE_CONFIG_FILES: str(stack.source.path) if stack.source else "",
        labels.COMPOSE_DEPENDS_ON: ",".join(
            f"{one.on}:{one.condition}:{str(one.restart).lower()}" for one in service.depends_on
        ),
    }


def _host_config(world: World, service: Service) -> dict[str, Any]:
    """Resolve `service:NAME` namespaces to the container that holds them."""
    host = dict(service.container.get("HostConfig") or {})
    if service.network_mode:
        host["NetworkMode"] = service.network_mode
    for name in ("NetworkMode", "IpcMode", "PidMode"):
        if str(host.get(name, "")).startswith("service:"):
            host[name] = f"container:{_owner(world, service, str(host[name]).removeprefix('service:'))}"
    if host.get("VolumesFrom"):
        host["VolumesFrom"] = [_volumes_from(world, service, entry) for entry in host["VolumesFrom"]]
    return host


def _volumes_from(world: World, service: Service, entry: str) -> str:
    if not entry.startswith("service:"):
        return entry
    name, _, mode = entry.removeprefix("service:").partition(":")
    return f"{_owner(world, service, name)}:{mode}" if mode else _owner(world, service, name)


def _owner(world: World, service: Service, name: str) -> str:
    """The first container of a service: by id when it runs, else by the name it will have."""
    view = world.views[f"{service.stack}/{name}"]
    first = view.slots[0] if view.slots else None
    if first and first.current:
        return first.current.instance.id
    return view.service.instance_name(1)
