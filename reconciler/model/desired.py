"""What the repository asks for, resolved: no reference is open, no default is implicit, nothing is a secret by accident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.errors import Mark, Problem
from reconciler.model.schedule import Window
from reconciler.model.source import Revision
from reconciler.model.traffic import Certificate


class Condition(StrEnum):
    """When a dependant may start (Compose's `depends_on.condition`)."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


class Order(StrEnum):
    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


class Kind(StrEnum):
    """What a service is for: to run, or to run once."""

    SERVICE = "service"
    JOB = "job"


class SyncMode(StrEnum):
    """What a new revision does to a stack: be applied, or wait for `apply STACK`."""

    AUTO = "auto"
    MANUAL = "manual"


class Heal(StrEnum):
    """What drift leads to: repair, a line in `plan` and `status`, or nothing."""

    HEAL = "heal"
    DETECT = "detect"
    OFF = "off"


class PullPolicy(StrEnum):
    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"


class FailureAction(StrEnum):
    """Compose's `deploy.update_config.failure_action`."""

    PAUSE = "pause"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Dependency:
    """`service` waits for `on` (same stack) until `condition`; follows its replacement when `restart`."""

    on: str
    condition: Condition
    restart: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """`deploy.update_config`. Times in seconds; `order` None means: by the rule (plan/order.py); parallelism 0 = all."""

    order: Order | None = None
    parallelism: int = 1
    delay_seconds: float = 0.0
    monitor_seconds: float = 5.0
    failure_action: FailureAction = FailureAction.ROLLBACK
    max_failure_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Hook:
    """A command run inside the container after it started or before it stops (`post_start`, `pre_stop`)."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthTiming:
    """When a starting container must have become healthy. Seconds; Docker's defaults where Compose says nothing."""

    interval_seconds: float = 30.0
    timeout_seconds: float = 30.0
    retries: int = 3
    start_period_seconds: float = 0.0

    @property
    def deadline_seconds(self) -> float:
        """How long a start may take before it has failed: the whole health timing, at least two minutes."""
        return max(120.0, self.start_period_seconds + (self.retries + 1) * (self.interval_seconds + self.timeout_seconds))


@dataclass(frozen=True, slots=True)
class ContentFile:
    """A file delivered into a container by content: a config, a secret, or a file of the repository.

    target   absolute path in the container
    content  its bytes; never printed
    mode     permission bits, e.g. 0o444; uid and gid are numbers
    secret   its content must never be shown, not even as a difference
    """

    target: str
    content: bytes = field(repr=False)
    mode: int = 0o444
    uid: int = 0
    gid: int = 0
    secret: bool = False


CONTENT_VOLUME = "reconciler-content-"
"""What the names of content-addressed volumes begin with; the rest is a hash of what is in them."""


@dataclass(frozen=True, slots=True)
class ContentVolume:
    """Files delivered through a volume of their own, where they cannot be put into the container itself.

    name        `reconciler-content-<hash>`: equal names mean equal content, so one volume serves every container that asks
    target      the directory it is mounted at; the mount stands in Service.container already
    files       absolute targets in the container, all below `target`
    read_only   how it is mounted
    with_image  the volume also holds what the image has at `target`: the engine copies it in when the first container that
                mounts the volume is created; else it holds the files alone
    """

    name: str
    target: str
    files: tuple[ContentFile, ...] = field(repr=False)
    read_only: bool = True
    with_image: bool = False


@dataclass(frozen=True, slots=True, order=True)
class NeedsApi:
    """An attribute that Git sets and that engines older than API `minimum` ("1.44") do not have."""

    attribute: str
    minimum: str
    source: Mark | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A service's place on a network. `endpoint` is the engine's EndpointSettings, without the names we always add.

    network   the engine's network name
    key       the network's key in the stack
    """

    network: str
    key: str
    aliases: tuple[str, ...] = ()
    endpoint: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A fixed port of the host that the gateway holds for a service: `address` "" is every one, `target` the container's."""

    address: str
    port: int
    target: int


@dataclass(frozen=True, slots=True)
class Routing:
    """Which HTTP requests are a service's, at the entries that lead to `target`.

    host, path   as in model/traffic.py
    health       path that answers 2xx or 3xx while a replica is well, "" to see whether it takes connections
    certificate  for TLS, None for plain HTTP
    """

    host: str
    path: str
    target: int
    health: str = ""
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Entrusted:
    """What of a service the gateway takes care of.

    why             in words: "3 replicas share host port 8080"
    keys            the attribute paths that made it so, the one to name first
    entries         the ports of the host; the containers publish none of them
    routing         None: whole connections are passed on
    proxy_protocol  replicas are told the client's address by the PROXY protocol
    """

    why: str
    keys: tuple[str, ...]
    entries: tuple[Entry, ...]
    routing: Routing | None = None
    proxy_protocol: bool = False

    @property
    def targets(self) -> tuple[int, ...]:
        """The ports of the containers that requests go to, each once."""
        return tuple(sorted({entry.target for entry in self.entries}))


@dataclass(frozen=True, slots=True)
class Discovery:
    """How the replicas of a service stand in the registry.

    port     the container's
    network  the engine's name of the network whose addresses they are found at; "": those of the host
    gateway  found where the service's published port is, whoever holds it; else where each container publishes it itself
    """

    name: str
    port: int
    network: str = ""
    gateway: bool = False
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a stack, ready to be turned into containers.

    container     the engine's create payload (Config fields at the top, `HostConfig` below), only what Git sets:
                  no image, name, network, label of ours. Namespaces of other services stand as `service:NAME`,
                  their volumes as `service:NAME[:MODE]` in VolumesFrom. Mounts of content volumes are in it.
    networks      attachments, the primary one first; () with `network_mode`
    network_mode  the engine's HostConfig.NetworkMode when Git sets one (`host`, `none`, `service:db`), else ""
    files         delivered by content between create and start
    content_volumes  volumes to make and fill before create
    needs_api     attributes that older engines do not have, checked when the engine is known
    anonymous     container paths of anonymous volumes, which a replacement inherits
    sources       attribute path ("image", "environment.LOG_LEVEL", "deploy.resources.limits.memory") -> where it stands
    hidden        attribute paths whose value no output may show
    secrets       what stands there: texts that no message may hold, whoever it comes from
    extensions    our x- keys as validated plain data, by key ("x-rollout"); behaviour is the planner's
    not_acted_on  those of them that this version checks but does nothing about
    entrusted     what the gateway does for it, None: its containers hold their ports themselves
    volumes       names of the engine volumes it mounts
    heal_own      its own `x-reconciler.heal`, None: the stack's
    discovery     how its replicas stand in the registry, None: not at all
    """

    stack: str
    project: str
    name: str
    image: str
    container: Mapping[str, Any]
    replicas: int = 1
    kind: Kind = Kind.SERVICE
    container_name: str = ""
    pull_policy: PullPolicy = PullPolicy.MISSING
    platform: str = ""
    network_mode: str = ""
    networks: tuple[Attachment, ...] = ()
    volumes: tuple[str, ...] = ()
    anonymous: tuple[str, ...] = ()
    files: tuple[ContentFile, ...] = ()
    content_volumes: tuple[ContentVolume, ...] = ()
    needs_api: tuple[NeedsApi, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    update: UpdateConfig = UpdateConfig()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    health: HealthTiming | None = None
    stop_grace_seconds: float | None = None
    wave: int = 0
    heal_own: Heal | None = None
    ignore: tuple[str, ...] = ()
    sources: Mapping[str, Mark] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    not_acted_on: tuple[str, ...] = ()
    entrusted: Entrusted | None = None
    discovery: Discovery | None = None

    @property
    def id(self) -> str:
        """`stack/service`, how people name it."""
        return f"{self.stack}/{self.name}"

    def instance_name(self, slot: int) -> str:
        """The container's final name in a slot (1-based), as Compose would name it."""
        return self.container_name or f"{self.project}-{self.name}-{slot}"

    def mark(self, *attributes: str) -> Mark | None:
        """Where the first of the attributes that Git sets stands, else where the service itself does."""
        for attribute in (*attributes, ""):
            if attribute in self.sources:
                return self.sources[attribute]
        return None


@dataclass(frozen=True, slots=True)
class Network:
    """A network of a stack. `payload` is the engine's create body without Name and Labels of ours."""

    stack: str
    project: str
    key: str
    name: str
    external: bool = False
    payload: Mapping[str, Any] = field(default_factory=dict)
    needs_api: tuple[NeedsApi, ...] = ()
    source: Mark | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume of a stack. `payload` is the engine's create body without Name and Labels of ours."""

    stack: str
    project: str
    key: str
    name: str
    external: bool = False
    prune: bool = False
    payload: Mapping[str, Any] = field(default_factory=dict)
    source: Mark | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """A Compose project of the repository. `needs` names stacks that must be healthy before this one starts.

    adopt             Compose project names whose containers this stack may take over
    replace_networks  a changed network definition may be replaced (its users stop meanwhile)
    prune_volumes     keys of volumes that go when Git no longer has them; `*` is every one of the stack
    windows           when a new revision of it may begin to be applied
    """

    name: str
    project: str
    path: str
    services: tuple[Service, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    needs: tuple[str, ...] = ()
    sync: SyncMode = SyncMode.AUTO
    heal: Heal = Heal.HEAL
    adopt: tuple[str, ...] = ()
    replace_networks: bool = False
    prune_volumes: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    source: Mark | None = None

    def service(self, name: str) -> Service:
        """Return the service of that name. Raises KeyError."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)


class PruneMode(StrEnum):
    AUTO = "auto"
    CONFIRM = "confirm"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Prune:
    """How much may be removed at once. Held when more than `max_ratio` of our objects and more than `floor` go."""

    mode: PruneMode = PruneMode.AUTO
    max_ratio: float = 0.3
    floor: int = 5
    confirm: str = ""
    images: bool = True


@dataclass(frozen=True, slots=True)
class Environment:
    """One repository and branch, one target: the settings of `reconciler.yaml` that concern all stacks."""

    name: str
    interval_seconds: float = 30.0
    prune: Prune = Prune()
    extensions: Mapping[str, Any] = field(default_factory=dict)


GATEWAY_STACK = "reconciler-gateway"
"""The stack that is nobody's: the gateway's own. No repository may have one of that name."""


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Everything one revision asks for. Stacks are ordered: needs first, ties by name."""

    revision: Revision
    environment: Environment
    stacks: tuple[Stack, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def stack(self, name: str) -> Stack:
        """Return the stack of that name. Raises KeyError."""
        for stack in self.stacks:
            if stack.name == name:
                return stack
        raise KeyError(name)

    @property
    def secrets(self) -> frozenset[str]:
        """The texts that no message may hold."""
        return frozenset().union(*(service.secrets for stack in self.stacks for service in stack.services))
