"""Does the engine make of our create calls what it makes of docker compose's?

reference.json holds what docker compose made of payload/compose.yaml on API 1.41, service by service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import inspected
import pytest
from docker.utils import version_lt
from surroundings import remove_container, remove_network

from reconciler.drivers.directory import DirectoryFiles
from reconciler.drivers.docker.connection import Connection, open_connection
from reconciler.load.compose import ComposeRequest, Project, load_project
from reconciler.load.definition import Context
from reconciler.load.resources import build_networks, build_volumes
from reconciler.load.service import build_service
from reconciler.model.desired import Attachment, Service

HERE = Path(__file__).parent / "payload"
NAME = "p7payload"
REFERENCE = json.loads((HERE / "reference.json").read_text().replace("@HERE@", str(HERE)))
BASELINE = f"{NAME}-image-1"

OLDER = "1.41"
TOLD_APART = {
    f"{NAME}-{service}-1" for service in ("annotations", "bind-options", "bind-recursive", "restart-deploy-none", "restart-no")
}
"""Of these a newer engine is asked for more, or tells it in other words, than the one of the reference."""


@dataclass(frozen=True)
class Made:
    """Everything our calls made, in the comparable form of inspected.py."""

    containers: Mapping[str, Mapping[str, Any]]
    networks: Mapping[str, Mapping[str, Any]]
    volumes: Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def made(engine: docker.APIClient, busybox_image: str) -> Iterator[Made]:
    files = DirectoryFiles(HERE)
    request = ComposeRequest(root="/.repository", name=NAME, environment={"PAYLOAD_TOKEN": "t0ken"})
    project = load_project(files, request)
    context = Context("shop", files, "/.repository")
    _remove(engine)
    try:
        yield _make(engine, project, context)
    finally:
        _remove(engine)


@pytest.mark.parametrize("name", sorted(REFERENCE["containers"]))
def test_a_container_is_made_as_docker_compose_makes_it(name: str, made: Made, engine: docker.APIClient) -> None:
    if name in TOLD_APART and version_lt(OLDER, engine.version()["ApiVersion"]):
        pytest.skip(f"the reference is of API {OLDER}")
    theirs = inspected.beyond(REFERENCE["containers"][name], REFERENCE["containers"][BASELINE])
    assert inspected.beyond(made.containers[name], made.containers[BASELINE]) == theirs


@pytest.mark.parametrize("name", sorted(REFERENCE["networks"]))
def test_a_network_is_made_as_docker_compose_makes_it(name: str, made: Made) -> None:
    assert made.networks[name] == REFERENCE["networks"][name]


@pytest.mark.parametrize("name", sorted(REFERENCE["volumes"]))
def test_a_volume_is_made_as_docker_compose_makes_it(name: str, made: Made) -> None:
    assert made.volumes[name] == REFERENCE["volumes"][name]


def test_nothing_else_is_made(made: Made) -> None:
    kinds = ("containers", "networks", "volumes")
    assert {kind: set(getattr(made, kind)) for kind in kinds} == {kind: set(REFERENCE[kind]) for kind in kinds}


def _make(engine: docker.APIClient, project: Project, context: Context) -> Made:
    calls = open_connection(None, 60)
    for network in build_networks(project, context):
        calls.post("/networks/create", {**network.payload, "Name": network.name})
    for volume in build_volumes(project, context):
        calls.post("/volumes/create", {**volume.payload, "Name": volume.name})
    services = {name: build_service(project, name, context)[0] for name in project.document["services"]}
    waiting = sorted(services, key=lambda name: (_rank(services[name]), name))
    for name in waiting:
        for slot in range(1, services[name].replicas + 1):
            _create(calls, services[name], slot)
    return _inspect(engine, project, context)


def _rank(service: Service) -> int:
    """Containers that share something of another come after it."""
    if "Links" in f"{service.container}{service.networks}":
        return 2
    return int("service:" in f"{service.container}{service.network_mode}")


def _create(calls: Connection, service: Service, slot: int) -> None:
    host = {name: _resolved(value) for name, value in service.container.get("HostConfig", {}).items()}
    host["NetworkMode"] = _resolved(service.network_mode) or service.networks[0].network
    payload = {**service.container, "Image": service.image, "HostConfig": host}
    endpoints = {one.network: _endpoint(one, service, slot) for one in service.networks}
    first = dict(list(endpoints.items())[:1])
    body = {**payload, "NetworkingConfig": {"EndpointsConfig": first}}
    made = calls.post("/containers/create", body, name=service.instance_name(slot), platform=service.platform or None)
    for network in endpoints.keys() - first.keys():
        calls.post(f"/networks/{network}/connect", {"Container": made["Id"], "EndpointConfig": endpoints[network]})


def _resolved(value: Any) -> Any:
    """Name the first container where the payload names a service."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [_resolved(item).removeprefix("container:") for item in value]
    if isinstance(value, str) and value.startswith("service:"):
        name, _, mode = value.removeprefix("service:").partition(":")
        return f"container:{NAME}-{name}-1" + (f":{mode}" if mode else "")
    return value


def _endpoint(attachment: Attachment, service: Service, slot: int) -> dict[str, Any]:
    return {**attachment.endpoint, "Aliases": [service.instance_name(slot), service.name, *attachment.aliases]}


def _inspect(engine: docker.APIClient, project: Project, context: Context) -> Made:
    found = [engine.inspect_container(one["Id"]) for one in engine.containers(all=True, filters={"name": f"^/{NAME}-"})]
    names = {document["Id"]: document["Name"].lstrip("/") for document in found}
    return Made(
        {names[document["Id"]]: inspected.container(document, names) for document in found},
        {
            network.name: inspected.network(engine.networks(names=[f"^{network.name}$"])[0])
            for network in build_networks(project, context)
        },
        {volume.name: inspected.volume(engine.inspect_volume(volume.name)) for volume in build_volumes(project, context)},
    )


def _remove(engine: docker.APIClient) -> None:
    for container in engine.containers(all=True, filters={"name": f"^/{NAME}-"}):
        remove_container(engine, container["Id"])
    for network in engine.networks(names=[f"^{NAME}_"]):
        remove_network(engine, network["Id"])
    for volume in engine.volumes(filters={"name": f"^{NAME}"})["Volumes"] or ():
        engine.remove_volume(volume["Name"])
