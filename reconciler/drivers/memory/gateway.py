"""How does a gateway in memory answer, which runs in a container of the engine in memory?

It sends nothing; it knows who would be sent what. Its checks find a server up when the container that has its address now
runs and is not unhealthy, the moment after it was told of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.drivers.memory.container import Container
from reconciler.drivers.memory.world import World
from reconciler.errors import Conflict, Refused, Unreachable
from reconciler.model.observed import Phase, Probe
from reconciler.model.plan import AddServer, DrainServer, LoadGateway, RemoveServer, StageGateway, TrafficChange, WeighServer
from reconciler.model.traffic import (
    DIRECTORY,
    HEAVIEST,
    Admission,
    Check,
    ObservedGateway,
    ObservedServer,
    TrafficConfig,
    is_name,
    server_name,
)
from reconciler.ports import Event

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Server:
    """What the gateway was told of a server, and when it was told of it first."""

    backend: str
    name: str
    address: str
    port: int
    since: datetime
    weight: int = 0
    admission: Admission = Admission.READY
    response_ms: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Process:
    """What one run of a gateway holds in its memory.

    left    servers it no longer has, or that the gateway before it had: they end what they have in flight
    staged  what one that starts beside it takes over
    """

    volume: str
    config: TrafficConfig | None = None
    servers: dict[Key, Server] = field(default_factory=dict)
    left: dict[Key, Server] = field(default_factory=dict)
    staged: tuple[TrafficConfig, dict[Key, Server]] | None = None


@dataclass(slots=True)
class MemoryGateway:
    """A gateway for the world's engine: whatever mounts a volume where gateways do is one while it runs.

    in_flight  by server name: what tests say it serves now
    cut        how much of that was in flight when its server was removed, or its container ended
    refuses    what the gateway has against being loaded anew, "" for nothing
    silent     it runs, and does not answer us
    """

    world: World
    in_flight: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    refuses: str = ""
    silent: bool = False
    _files: dict[str, TrafficConfig] = field(default_factory=dict)
    _processes: dict[str, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.journal.witnesses.append(self._hear)

    def observe(self, container: str) -> ObservedGateway:
        """Return what the gateway does. Raises Unreachable for one that does not run, or does not answer."""
        process = self._process(container)
        running, written = process.config, self._files.get(process.volume)
        return ObservedGateway(
            container=container,
            running=running.digest if running else "",
            written=written.digest if written else "",
            version="memory",
            listeners=tuple(one.name for one in running.listeners) if running else (),
            servers=tuple(self._seen(one) for _, one in sorted(self._known(process).items())),
        )

    def do(self, change: TrafficChange) -> None:
        """Make one change. Raises Refused, Conflict or Unreachable."""
        process = self._process(change.gateway.handle)
        self.world.clock.advance(self.world.change_seconds)
        self.world.wire.change([self._call(process, change)])

    def sends_to(self, port: int) -> dict[str, int]:
        """Return who gets requests at a port of the host, by container name, and with which weight: {} for nobody."""
        config = self._front.config or TrafficConfig()
        listener = next((one for one in config.listeners if one.port == port), None)
        names = {listener.backend, *(route.backend for route in listener.routes)} if listener else set()
        servers = [one for one in self._front.servers.values() if one.backend in names and one.admission is Admission.READY]
        found = [(one, self._at(one.address)) for one in servers if one.weight and self._seen(one).check is Check.UP]
        return {container.name: one.weight for one, container in found if container}

    def servers(self) -> tuple[ObservedServer, ...]:
        """Return what whoever takes new requests now knows of its servers, whether or not it answers us."""
        return tuple(self._seen(one) for _, one in sorted(self._front.servers.items()))

    def answer(self, name: str, count: int, failed: int = 0, response_ms: int = 0) -> None:
        """Let a server, by its name, have answered so many requests since, `failed` of them with 5xx, in such a time."""
        for process in self._processes.values():
            for key, one in process.servers.items():
                if one.name == name:
                    more = Counter({"sessions": count, "2xx": count - failed, "5xx": failed})
                    process.servers[key] = replace(one, totals=dict(more + Counter(one.totals)), response_ms=response_ms)

    @property
    def _front(self) -> Process:
        """The one that began last: it has taken the ports over."""
        return next(reversed(self._processes.values()), Process(""))

    def _call(self, process: Process, change: TrafficChange) -> Callable[[], None]:
        match change:
            case LoadGateway(config=config):
                return lambda: self._load(process, config)
            case StageGateway(config=config):
                return lambda: setattr(process, "staged", (config, dict(process.servers)))
            case AddServer():
                return lambda: self._add(process, change)
            case WeighServer(backend=backend, server=name, weight=weight):
                return lambda: self._weigh(process, (backend, name), weight)
            case DrainServer(backend=backend, server=name):
                return lambda: self._drain(process, (backend, name))
            case RemoveServer(backend=backend, server=name):
                return lambda: self._remove(process, (backend, name))

    def _load(self, process: Process, config: TrafficConfig) -> None:
        if process.config is None or process.config.digest != config.digest:
            self._require_takes(process, config)
            names = {backend.name for backend in config.backends}
            process.left |= process.servers
            kept = {key: one for key, one in process.servers.items() if one.backend in names}
            process.servers = {key: replace(one, totals={}) for key, one in kept.items()}
            process.config = config
        self._files[process.volume] = config

    def _require_takes(self, process: Process, config: TrafficConfig) -> None:
        held = {one.name for one in process.config.listeners} if process.config else set()
        published = {
            int(binding["HostPort"])
            for one in self.world.engine.containers.values()
            for port, bindings in one.ports.items()
            for binding in bindings
            if port.endswith("/tcp")
        }
        for listener in config.listeners:
            if listener.name not in held and listener.port in published:
                raise Refused(f"the gateway cannot listen at {listener.name}: address already in use")
        if self.refuses:
            raise Refused(f"the gateway goes on as it is: {self.refuses}")

    def _add(self, process: Process, change: AddServer) -> None:
        key = _key(change.backend.name, change.server)
        if process.config is None or change.backend not in process.config.backends:
            raise Conflict(f"the gateway knows no backend {change.backend.name}")
        known = process.servers.get(key)
        if known and known.address != change.address:
            raise Conflict(f"the gateway knows {change.server} at {known.address}")
        now = self.world.clock.now()
        process.servers.setdefault(key, Server(*key, change.address, change.backend.port, now))

    def _weigh(self, process: Process, key: Key, weight: int) -> None:
        if not 0 <= weight <= HEAVIEST:
            raise Refused(f"the weight of {key[1]} is to be {weight}, but weights go from 0 to {HEAVIEST}")
        process.servers[key] = replace(_found(process.servers, key), weight=weight, admission=Admission.READY)

    def _drain(self, process: Process, key: Key) -> None:
        known = _found(self._known(process), key)
        if key in process.servers:
            process.servers[key] = replace(known, admission=Admission.DRAIN)

    def _remove(self, process: Process, key: Key) -> None:
        _key(*key)
        if key in self._known(process):
            process.servers.pop(key, None)
            self.cut += self.in_flight.pop(key[1], 0)

    # --- who runs, who is where --------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        if event.kind != "container" or event.action not in ("start", "die"):
            return
        if event.action == "die":
            self._processes.pop(event.id, None)
            self.cut += self.in_flight.pop(server_name(event.id), 0)
        elif volume := _volume(self.world.engine.get(event.id)):
            self._processes[event.id] = self._begun(volume)

    def _begun(self, volume: str) -> Process:
        """One that lives on the same volume hands over what it was told to; else a gateway begins without servers."""
        for one in self._processes.values():
            if one.volume == volume and one.staged:
                config, servers = one.staged
                fresh = {key: replace(known, totals={}) for key, known in servers.items()}
                return Process(volume, config, fresh, one.left | one.servers)
        return Process(volume, self._files.get(volume))

    def _process(self, handle: str) -> Process:
        self.world.wire.require_up()
        container = self.world.engine.find(handle)
        process = self._processes.get(container.id) if container else None
        if process is None or self.silent:
            raise Unreachable("the gateway does not answer")
        return process

    def _known(self, process: Process) -> dict[Key, Server]:
        """Return its servers, and those that only end what they have."""
        ending = {key: replace(one, admission=Admission.DRAIN) for key, one in process.left.items() if self.in_flight[one.name]}
        return ending | process.servers

    def _seen(self, server: Server) -> ObservedServer:
        container = self._at(server.address)
        well = container is not None and container.probe is not Probe.UNHEALTHY
        check = Check.UP if well else Check.DOWN
        if self.world.clock.now() <= server.since:
            check = Check.PENDING
        return ObservedServer(
            backend=server.backend,
            name=server.name,
            address=server.address,
            port=server.port,
            weight=server.weight,
            admission=server.admission,
            check=check,
            in_flight=self.in_flight[server.name],
            response_ms=server.response_ms,
            totals=server.totals,
        )

    def _at(self, address: str) -> Container | None:
        """Return who is at an address now, whoever was there when it was told."""
        running = (one for one in self.world.engine.containers.values() if one.phase is Phase.RUNNING)
        return next((one for one in running if any(end.address == address for end in one.endpoints.values())), None)


def _key(backend: str, server: str) -> Key:
    for name in (backend, server):
        if not is_name(name):
            raise Refused(f"{name!r} cannot be a name in the gateway")
    return backend, server


def _found(servers: dict[Key, Server], key: Key) -> Server:
    if _key(*key) not in servers:
        raise Conflict(f"the gateway knows no server {key[1]} of {key[0]}")
    return servers[key]


def _volume(container: Container) -> str:
    return next((one["Name"] for one in container.mounts if one["Destination"] == DIRECTORY and one["Type"] == "volume"), "")
