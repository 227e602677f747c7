"""Which objects does the engine hold, and what does it let a caller do with them?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.document import config_document, host_document, updated_host
from reconciler.drivers.memory.image import ImageStore, make_id
from reconciler.drivers.memory.journal import Journal
from reconciler.drivers.memory.network import BUILT_IN, Endpoint, Network, NetworkStore
from reconciler.drivers.memory.refusal import EngineError
from reconciler.drivers.memory.volume import Mount, StoredFile, Volume, VolumeStore, mounts_of
from reconciler.model.observed import Phase

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_NAMESPACES = ("NetworkMode", "PidMode", "IpcMode")


class Engine:
    """Containers, networks, volumes and images with the rules that Docker 20.10 has for them."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.images = ImageStore()
        self.networks = NetworkStore()
        self.volumes = VolumeStore()
        self.containers: dict[str, Container] = {}
        self._made: Counter[str] = Counter()
        for name in BUILT_IN:
            driver = {"bridge": "bridge", "host": "host", "none": "null"}[name]
            self.networks.create(name, {"Driver": driver}, {}, journal.clock.now())

    def find(self, handle: str) -> Container | None:
        """Return the container of that id or name."""
        named = (container for container in self.containers.values() if container.name == handle)
        return self.containers.get(handle) or next(named, None)

    def get(self, handle: str) -> Container:
        container = self.find(handle)
        if container is None:
            raise EngineError(404, f"No such container: {handle}")
        return container

    def create(self, name: str, payload: Mapping[str, Any]) -> Container:
        """Create a container from the API's payload. Raises EngineError without its image, name or volumes' source."""
        image = self.images.get(payload["Image"])
        self._require_free(name)
        self._made[name] += 1
        id = make_id("container", name, self._made[name])
        config = config_document(payload, image.config, payload["Image"], id[:12])
        host = self._resolved(host_document(payload.get("HostConfig") or {}))
        endpoints = _endpoints(host["NetworkMode"], (payload.get("NetworkingConfig") or {}).get("EndpointsConfig") or {})
        mounts = mounts_of(config, host, self._inherited(host), lambda path: make_id("volume", id, path))
        self._provide(mounts, host)
        container = Container(id, name, self.journal.clock.now(), image, config, host, mounts, endpoints)
        self.containers[id] = container
        self.note(container, "create")
        return container

    def remove(self, container: Container, *, volumes: bool = False) -> None:
        """Remove a container that does not run, on request with its anonymous volumes."""
        if container.alive:
            advice = "Unpause and then stop" if container.phase is Phase.PAUSED else "Stop"
            words = f"You cannot remove a {container.phase.value} container {container.id}. {advice} the container"
            raise EngineError(409, f"{words} before attempting removal or force remove")
        del self.containers[container.id]
        self.note(container, "destroy")
        for name in self._own_volumes(container) if volumes else ():
            if not self.users_of_volume(name):
                self.remove_volume(name)

    def rename(self, container: Container, name: str) -> None:
        if name == container.name:
            raise EngineError(400, "Renaming a container with the same name as its current name")
        try:
            self._require_free(name)
        except EngineError as error:
            raise EngineError(error.status, f"Error when allocating new name: {error.message}") from None
        before, container.name = container.name, name
        self.note(container, "rename", oldName=f"/{before}")

    def update(self, container: Container, payload: Mapping[str, Any]) -> None:
        container.host = updated_host(container.host, payload, container.id)
        self.note(container, "update")

    def put(self, container: Container, files: Mapping[str, StoredFile]) -> None:
        """Put files into a container, by absolute path; what lies below a mounted volume goes there."""
        for path in files:
            if container.host["ReadonlyRootfs"] and self._volume_at(container, path) is None:
                raise EngineError(403, "container rootfs is marked read-only")
        for path, file in files.items():
            volume, inside = self._volume_at(container, path) or (container, path)
            volume.files[inside] = file

    def read(self, container: Container, path: str) -> StoredFile | None:
        """Return a file that was put into a container or a volume it mounts."""
        volume, inside = self._volume_at(container, path) or (container, path)
        return volume.files.get(inside)

    def create_network(self, name: str, payload: Mapping[str, Any], labels: Mapping[str, str]) -> Network:
        network = self.networks.create(name, payload, labels, self.journal.clock.now())
        self.journal.note("network", "create", network.id, name, {"type": network.detail["Driver"]})
        return network

    def remove_network(self, handle: str) -> None:
        network = self.networks.get(handle)
        self.networks.remove(network, any(one.alive for one in self.users_of_network(network.name)))
        self.journal.note("network", "destroy", network.id, network.name, {"type": network.detail["Driver"]})

    def connect(self, container: Container, handle: str, asked: Mapping[str, Any]) -> None:
        """Put a container on a network: at once when it runs, else when it starts; only then a missing one is missed."""
        network = self.networks.get(handle) if container.alive else self.networks.find(handle)
        name = network.name if network else handle
        if network is None:
            container.endpoints[name] = Endpoint(name, dict(asked), tuple(asked.get("Aliases") or ()))
            return
        if container.network_mode == "host" or container.network_mode.startswith("container:"):
            words = "container sharing network namespace with another container or host"
            raise EngineError(400, f"{words} cannot be connected to any other network")
        if container.alive and name in container.endpoints:
            raise EngineError(403, f"endpoint with name {container.name} already exists in network {name}")
        if name in container.endpoints and container.endpoints[name].network_id in ("", network.id):
            return  # It is to join this network already, and goes on as it was told first.
        endpoint = Endpoint(name, dict(asked), (*(asked.get("Aliases") or ()), container.id[:12]))
        if container.phase in (Phase.RUNNING, Phase.PAUSED):
            network.join(endpoint, container.id)
            self.note_network(network, "connect", container)
        container.endpoints[name] = endpoint

    def disconnect(self, container: Container, handle: str) -> None:
        network = self.networks.find(handle)
        name = network.name if network else handle
        endpoint = container.endpoints.pop(name, None)
        if endpoint is None:
            raise EngineError(500, f"container {container.id} is not connected to the network {name}")
        if network:
            network.leave(endpoint)
            self.note_network(network, "disconnect", container)
        if not container.endpoints:
            container.ports = {}

    def create_volume(self, name: str, payload: Mapping[str, Any], labels: Mapping[str, str] | None) -> Volume:
        """Make a volume; one of that name is returned unchanged."""
        return self._make_volume(name, payload, labels, anonymous=False)

    def remove_volume(self, name: str) -> None:
        self.volumes.remove(name, self.users_of_volume(name))
        self.journal.note("volume", "destroy", name, name, {"driver": "local"})

    def users_of_network(self, name: str) -> tuple[Container, ...]:
        return tuple(container for container in self.containers.values() if name in container.endpoints)

    def users_of_volume(self, name: str) -> tuple[str, ...]:
        mounting = (one for one in self.containers.values() if any(mount.get("Name") == name for mount in one.mounts))
        return tuple(container.id for container in mounting)

    def users_of_image(self, reference: str) -> tuple[str, ...]:
        image = self.images.get(reference)
        return tuple(container.id for container in self.containers.values() if container.image.id == image.id)

    def remove_image(self, reference: str) -> None:
        image = self.images.get(reference)
        self.images.remove(reference, self.users_of_image(reference))
        self.journal.note("image", "untag", image.id, reference)

    def note(self, container: Container, action: str, **attributes: str) -> None:
        """Write down what happened to a container, as the engine's events tell it."""
        told = {**container.labels, "image": container.config["Image"], **attributes}
        self.journal.note("container", action, container.id, container.name, told)

    def note_network(self, network: Network, action: str, container: Container) -> None:
        told = {"container": container.id, "type": network.detail["Driver"]}
        self.journal.note("network", action, network.id, network.name, told)

    def _require_free(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise EngineError(400, f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        holder = self.find(name)
        if holder:
            words = f'Conflict. The container name "/{name}" is already in use by container "{holder.id}".'
            raise EngineError(409, f"{words} You have to remove (or rename) that container to be able to reuse that name.")

    def _resolved(self, host: dict[str, Any]) -> dict[str, Any]:
        """Return HostConfig with the containers whose namespaces it shares by id, as the engine stores them."""
        for key in _NAMESPACES:
            kind, _, handle = host[key].partition(":")
            shared = self.find(handle) if kind == "container" else None
            if shared:
                host[key] = f"container:{shared.id}"
        return host

    def _inherited(self, host: Mapping[str, Any]) -> Iterable[Mount]:
        for entry in host["VolumesFrom"] or ():
            handle, _, mode = entry.partition(":")
            for mount in self.get(handle).mounts:
                yield {**mount, "RW": mount["RW"] and mode != "ro"}

    def _provide(self, mounts: Iterable[Mount], host: Mapping[str, Any]) -> None:
        named = {entry.partition(":")[0] for entry in host["Binds"] or ()}
        named |= {entry.get("Source") for entry in host.get("Mounts") or ()}
        for mount in mounts:
            if mount["Type"] == "volume":
                self._make_volume(mount["Name"], {}, None, anonymous=mount["Name"] not in named)

    def _make_volume(
        self, name: str, payload: Mapping[str, Any], labels: Mapping[str, str] | None, *, anonymous: bool
    ) -> Volume:
        if name not in self.volumes.by_name:
            self.journal.note("volume", "create", name, name, {"driver": "local"})
        return self.volumes.create(name, payload, labels, self.journal.clock.now(), anonymous=anonymous)

    def _own_volumes(self, container: Container) -> tuple[str, ...]:
        """Return the volumes made for this container, without those it was handed by name."""
        handed = {entry.partition(":")[0] for entry in container.host["Binds"] or ()}
        names = [mount["Name"] for mount in container.mounts if mount["Type"] == "volume"]
        return tuple(name for name in names if name not in handed and self.volumes.get(name).anonymous)

    def _volume_at(self, container: Container, path: str) -> tuple[Volume, str] | None:
        """Return the volume mounted over a path and the path inside it, None where the container's own files are."""
        where = PurePosixPath(path)
        over = [mount for mount in container.mounts if where.is_relative_to(mount["Destination"]) and mount["Type"] == "volume"]
        if not over:
            return None
        deepest = max(over, key=lambda mount: len(mount["Destination"]))
        return self.volumes.get(deepest["Name"]), str(where.relative_to(deepest["Destination"]))


def _endpoints(mode: str, asked: Mapping[str, Any]) -> dict[str, Endpoint]:
    if len(asked) > 1:
        raise EngineError(400, f"Container cannot be connected to network endpoints: {', '.join(sorted(asked))}")
    if mode.startswith("container:"):
        return {}
    name = "bridge" if mode == "default" else mode
    settings = asked.get(mode) or {}
    return {name: Endpoint(name, dict(settings), tuple(settings.get("Aliases") or ()))}
