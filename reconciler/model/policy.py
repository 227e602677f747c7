"""What may the repository ask of the engine? The operator says; the repository never does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

EXCEPTIONS: Mapping[str, str] = {
    "privileged": "privileged containers and hooks",
    "engine-socket": "mounts of a container engine's socket, or of a directory that holds it",
    "host-path": "mounts of /, /proc, /sys, /dev, /etc, /boot or the engine's own directories",
    "host-pid": "the host's process namespace",
    "host-ipc": "the host's shared memory namespace",
    "host-uts": "the host's host name namespace",
    "host-userns": "the host's user namespace",
    "host-cgroup": "the host's control group namespace",
    "host-network": "the host's network",
    "unconfined": "security options that take a confinement away",
    "runtime": "an OCI runtime other than the engine's default",
    "device": "devices of the host",
    "all-interfaces": "ports published on every interface of the host",
    "foreign-container": "namespaces and volumes of containers outside the stack",
    "propagation": "mounts whose inner mounts spread to the host",
    "host-interface": "networks and endpoints bound to an interface of the host",
    "bind": "binds outside the allowed directories (strict)",
    "registry": "images of other registries (strict)",
    "digest": "images without a digest (strict)",
}
"""Every exception by name, with what it lets through. A capability's exception is `cap:NAME`."""

_CAPABILITY = re.compile(r"cap:[A-Z][A-Z_]*")


def is_exception(name: str) -> bool:
    """Say whether the operator's `allow` may hold this name."""
    return name in EXCEPTIONS or _CAPABILITY.fullmatch(name) is not None


class Preset(StrEnum):
    OPEN = "open"
    STANDARD = "standard"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's word.

    allow           `stack/service` (or `stack` for its networks and volumes) -> names of exceptions
    bind_roots      directories of the host that strict lets services bind, with everything below
    registries      what strict lets image references start with: `ghcr.io`, `docker.io/library`
    digests         strict wants every image by digest
    engine_sockets  where engines listen on the host
    engine_roots    directories that belong to the engine
    """

    preset: Preset = Preset.STANDARD
    allow: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bind_roots: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    digests: bool = True
    engine_sockets: tuple[str, ...] = (
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/podman/podman.sock",
        "/run/crio/crio.sock",
    )
    engine_roots: tuple[str, ...] = (
        "/var/lib/docker",
        "/var/lib/containerd",
        "/run/docker",
        "/run/containerd",
        "/etc/docker",
    )
