"""What the engine really runs: one snapshot with one timestamp, and what could not be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconciler.model.catalog import Entry
from reconciler.model.traffic import ObservedGateway


class Phase(StrEnum):
    """A container's state, in the engine's words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    DEAD = "dead"
    REMOVING = "removing"


class Probe(StrEnum):
    """What the container's healthcheck says; NONE where it has none."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Instance:
    """One container of ours (or of an adopted project), as inspected.

    detail   the engine's inspect document: Config, HostConfig, NetworkSettings, Mounts
    created, started, finished are UTC; started and finished are None when it never did
    """

    id: str
    name: str
    labels: Mapping[str, str]
    phase: Phase
    probe: Probe = Probe.NONE
    exit_code: int = 0
    restarts: int = 0
    oom_killed: bool = False
    image_id: str = ""
    created: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    node: str = ""

    @property
    def running(self) -> bool:
        """Its process lives (a restarting or paused one does not count)."""
        return self.phase is Phase.RUNNING

    @property
    def ended(self) -> bool:
        """It ran and stopped."""
        return self.phase in (Phase.EXITED, Phase.DEAD)


@dataclass(frozen=True, slots=True)
class ObservedNetwork:
    """A network of the engine. `users` are the ids of attached containers (running or not)."""

    id: str
    name: str
    labels: Mapping[str, str]
    detail: Mapping[str, Any] = field(default_factory=dict)
    users: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ObservedVolume:
    name: str
    labels: Mapping[str, str]
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObservedImage:
    """A local image. `config` is the engine's image Config (Env, Cmd, Labels, Volumes, …); `digests` are RepoDigests."""

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A container that is not ours: all we need of it to see a clash coming."""

    id: str
    name: str
    labels: Mapping[str, str]
    ports: tuple[tuple[str, int, str], ...] = ()  # (host ip, host port, protocol), only while it runs
    running: bool = False


@dataclass(frozen=True, slots=True)
class Engine:
    """Who answered: its version, its API version ("1.41"), its CPUs, memory, and whether it can bind low ports."""

    version: str = ""
    api: str = "1.41"
    cpus: int = 1
    memory_bytes: int = 0
    rootless: bool = False
    os: str = "linux"


@dataclass(frozen=True, slots=True)
class Registered:
    """What an external registry says of us.

    entries  those of this environment, None when it did not tell
    address  what stands there for an entry at this machine's own address
    trouble  why it did not tell, and `hint`; `refused`: a person has to do something about it
    """

    url: str
    entries: tuple[Entry, ...] | None = None
    address: str = ""
    trouble: str = ""
    hint: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class ObservedState:
    """One snapshot.

    images      by reference as Git writes it -> the local image it names; a reference asked for and absent maps to None
    contents    (container id, path) -> SHA-256 of the file there, None when absent; only what was asked
    neighbours  containers that are not ours; None when nobody asked
    gateway     what the gateway does; None when it does not run, or does not answer
    digests     reference -> digest the image registry names now ("sha256:…"); only what was asked and answered
    unknown     neighbours (as in ports) that did not answer: silence is never absence
    registered  what the external registry says, None where there is none
    """

    at: datetime
    engine: Engine = Engine()
    instances: tuple[Instance, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    images: Mapping[str, ObservedImage | None] = field(default_factory=dict)
    contents: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    gateway: ObservedGateway | None = None
    unknown: frozenset[str] = frozenset()
    registered: Registered | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """What a plan needs to know beyond the first look.

    images      references to look up locally
    contents    files to read back from containers, (container id, path)
    neighbours  whether to list the containers that are not ours
    """

    images: frozenset[str] = frozenset()
    contents: frozenset[tuple[str, str]] = frozenset()
    neighbours: bool = False

    def __bool__(self) -> bool:
        return bool(self.images or self.contents or self.neighbours)
