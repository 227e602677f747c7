"""What does a person ask for, in as few words as a history needs, and how is that written into a repository?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.load.loading import load
from reconciler.model.desired import DesiredState
from reconciler.model.source import Revision
from reconciler.ports import Files

ENVIRONMENT = "random-histories"
SECRET = "hunter2"
"""The canary: every secret begins so, and no plan may show it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of images: `how` its containers behave (drivers/memory: Behaviour).

    works   a service of it comes up and stays
    health  it says by itself whether it is healthy
    ends    its process ends by itself: it is for jobs
    local   the engine has it without a pull
    """

    how: Mapping[str, Any] = field(default_factory=dict)
    works: bool = True
    health: bool = False
    ends: bool = False
    local: bool = True


KINDS: Mapping[str, Kind] = {
    "web": Kind({"health_after": 2.0}, health=True),
    "plain": Kind(),
    "slow": Kind({"health_after": 20.0}, health=True),
    "deaf": Kind({"health_after": 1.0, "ignores_term": True}, health=True),
    "far": Kind({"health_after": 1.0}, health=True, local=False),
    "task": Kind({"exits": 0, "after": 1.0}, ends=True),
    "sick": Kind({"never_healthy": True}, works=False, health=True),
    "crash": Kind({"exits": 1, "after": 0.5}, works=False),
    "broken": Kind({"bad_command": True}, works=False),
    "flop": Kind({"exits": 1, "after": 1.0}, works=False, ends=True),
}
VERSIONS = (1, 2, 3)


def kind_of(image: str) -> Kind:
    """Return the family of an image: `web:1`, `somewhere/web:2`."""
    return KINDS[image.rpartition("/")[2].partition(":")[0]]


@dataclass(frozen=True, slots=True)
class Service:
    """One service. Everything beyond its image and its replicas is off by default.

    needs    "SERVICE CONDITION" of depends_on, CONDITION one of `started`, `healthy`, `completed`, `restart`
    shares   the service whose network namespace it lives in
    content  what stands in the config that is delivered to /etc/settings; `read_only` lets it come by a volume
    """

    name: str
    image: str
    replicas: int = 1
    mode: str = "a"
    memory: int = 0
    volume: bool = False
    anonymous: bool = False
    port: int = 0
    container_name: str = ""
    networks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    order: str = ""
    parallelism: int = 1
    delay: int = 0
    failure_action: str = "rollback"
    shares: str = ""
    hooks: bool = False
    content: str = ""
    secret: str = ""
    read_only: bool = False
    restart: str = "unless-stopped"

    @property
    def kind(self) -> Kind:
        return kind_of(self.image)

    @property
    def works(self) -> bool:
        """It comes up and stays, or nobody asks it to."""
        return self.kind.works or not self.replicas

    @property
    def may_end(self) -> bool:
        """It may end well, for good: nobody is told to start it again."""
        return self.kind.ends or self.restart in ("no", "on-failure")

    @property
    def conditions(self) -> dict[str, str]:
        """What it waits for, by the service it waits for."""
        return dict(need.split(" ", 1) for need in self.needs)


@dataclass(frozen=True, slots=True)
class Stack:
    """A Compose project. `internal`: its network `back` is closed to the outside."""

    name: str
    services: tuple[Service, ...] = ()
    internal: bool = False
    needs: tuple[str, ...] = ()

    @property
    def awaited(self) -> frozenset[str]:
        """The services that others wait for to complete: its jobs."""
        return frozenset(
            on for service in self.services for on, condition in service.conditions.items() if condition == "completed"
        )

    def service(self, name: str) -> Service | None:
        return next((service for service in self.services if service.name == name), None)

    def names(self, service: Service) -> tuple[str, ...]:
        """The containers of a service, by their final names."""
        return tuple(service.container_name or f"{self.name}-{service.name}-{slot + 1}" for slot in range(service.replicas))

    def networks(self, service: Service) -> frozenset[str]:
        """The engine's names of the networks that a service is on."""
        return frozenset() if service.shares else frozenset(f"{self.name}_{key}" for key in service.networks or ("default",))


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that one revision asks for."""

    stacks: tuple[Stack, ...]

    def stack(self, name: str) -> Stack | None:
        return next((stack for stack in self.stacks if stack.name == name), None)

    def find(self, stack: str, service: str) -> Service | None:
        found = self.stack(stack)
        return found.service(service) if found else None

    def each(self) -> Iterator[tuple[Stack, Service]]:
        for stack in self.stacks:
            for service in stack.services:
                yield stack, service


# --- in a repository -------------------------------------------------------------------------------------------------


def repository(asked: Asked) -> dict[str, str]:
    """Return the files that ask for it, by path."""
    return {
        "reconciler.yaml": "\n".join(_environment(asked)) + "\n",
        **{f"{stack.name}/compose.yaml": "\n".join(_compose(stack)) + "\n" for stack in asked.stacks},
        **{f"{stack.name}/{one.name}.secret": SECRET + one.secret for stack, one in asked.each() if one.secret},
    }


def _environment(asked: Asked) -> Iterator[str]:
    yield "api: v1"
    yield f"name: {ENVIRONMENT}"
    yield "stacks:"
    for stack in asked.stacks:
        yield f"  {stack.name}: {{path: {stack.name}, needs: [{', '.join(stack.needs)}], replace_networks: true}}"


def _compose(stack: Stack) -> Iterator[str]:
    yield f"name: {stack.name}"
    yield "services:" if stack.services else "services: {}"
    for service in stack.services:
        yield f"  {service.name}:"
        yield from (f"    {key}: {json.dumps(value)}" for key, value in _attributes(service).items())
    used = sorted({key for service in stack.services for key in service.networks})
    if used:
        yield "networks:"
        yield from (f"  {key}: {json.dumps({'internal': True} if stack.internal and key == 'back' else {})}" for key in used)
    yield from _mapping("volumes", {f"data-{service.name}": {} for service in stack.services if service.volume})
    yield from _mapping("configs", {f"settings-{one.name}": {"content": one.content} for one in stack.services if one.content})
    yield from _mapping(
        "secrets", {f"word-{one.name}": {"file": f"./{one.name}.secret"} for one in stack.services if one.secret}
    )


def _mapping(title: str, entries: Mapping[str, Any]) -> Iterator[str]:
    if entries:
        yield f"{title}: {json.dumps(entries)}"


def _attributes(service: Service) -> dict[str, Any]:
    said: dict[str, Any] = {
        "image": service.image,
        "restart": service.restart,
        "environment": {"MODE": service.mode},
        "deploy": _deploy(service),
        "container_name": service.container_name,
        "networks": list(service.networks),
        "network_mode": f"service:{service.shares}" if service.shares else "",
        "ports": [f"127.0.0.1:{service.port}:80"] if service.port else [],
        "volumes": [f"data-{service.name}:/data"] * service.volume + ["/cache"] * service.anonymous,
        "depends_on": {on: _condition(condition) for on, condition in service.conditions.items()},
        "post_start": [{"command": ["warm", "up"]}] if service.hooks else [],
        "pre_stop": [{"command": ["drain"]}] if service.hooks else [],
        "configs": [{"source": f"settings-{service.name}", "target": "/etc/settings"}] if service.content else [],
        "secrets": [{"source": f"word-{service.name}", "target": "/run/word"}] if service.secret else [],
        "read_only": service.read_only,
    }
    return {key: value for key, value in said.items() if value}


def _deploy(service: Service) -> dict[str, Any]:
    update: dict[str, Any] = {
        **({"order": service.order} if service.order else {}),
        **({"parallelism": service.parallelism} if service.parallelism != 1 else {}),
        **({"failure_action": service.failure_action} if service.failure_action != "rollback" else {}),
        **({"delay": f"{service.delay}s"} if service.delay else {}),
    }
    return {
        "replicas": service.replicas,
        **({"update_config": update} if update else {}),
        **({"resources": {"limits": {"memory": f"{service.memory}m"}}} if service.memory else {}),
    }


_CONDITIONS = {
    "started": "service_started",
    "restart": "service_started",
    "healthy": "service_healthy",
    "completed": "service_completed_successfully",
}


def _condition(condition: str) -> dict[str, Any]:
    return {"condition": _CONDITIONS[condition], **({"restart": True} if condition == "restart" else {})}


# --- loaded ----------------------------------------------------------------------------------------------------------

_LOADED_AT_MOST = 500
_LOADED: dict[str, DesiredState] = {}


def load_revision(files: Files, revision: Revision) -> DesiredState:
    """Load a revision as the loop does. Equal files are read once for all histories: reading costs more than planning."""
    identity = files.identity("")
    if identity not in _LOADED:
        if len(_LOADED) >= _LOADED_AT_MOST:
            _LOADED.clear()
        _LOADED[identity] = load(files, revision)
    return replace(_LOADED[identity], revision=revision)
