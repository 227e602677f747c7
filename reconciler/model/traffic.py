"""What is the gateway to do, and what does it do: listeners, routes, backends, servers and their weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

HEAVIEST = 256
"""The largest weight of a server; 0 gets it no new connections."""

DIRECTORY = "/gateway"
"""Where the gateway's volume is mounted in its container: its config, certificates and sockets are in there."""
CONFIG = "gateway.cfg"
ADMIN_SOCKET = "admin.sock"
MASTER_SOCKET = "master.sock"

BRIDGE = "bridge"
"""The driver of the networks on which the host, and so the gateway, reaches containers."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")


def is_name(text: str) -> bool:
    """Say whether the gateway's command socket takes the text as a name."""
    return _NAME.fullmatch(text) is not None


def server_name(container: str) -> str:
    """Return a container's name at the gateway: its id, because its address may be somebody else's tomorrow."""
    return container[:12]


class Layer(StrEnum):
    """What the gateway looks at: connections, or the HTTP requests in them."""

    L4 = "tcp"
    L7 = "http"


@dataclass(frozen=True, slots=True)
class Route:
    """Which HTTP requests of a listener are a backend's.

    host  "" for every host; "*.example.org" stands for one label
    path  beginning of the path; the longest that fits wins, behind the more precise host
    """

    host: str
    path: str
    backend: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its chain and its private key, PEM, as one text; `name` is content-addressed, `expires` is UTC."""

    name: str
    pem: bytes = field(repr=False)
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of the host that the gateway holds.

    address       where it binds; "" for every address, IPv4 and IPv6
    backend       who gets a connection (L4), or a request that no route takes (L7); "" answers those with 503
    certificates  names of Certificates, for TLS; () for none
    """

    address: str
    port: int
    layer: Layer = Layer.L4
    backend: str = ""
    routes: tuple[Route, ...] = ()
    certificates: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How the gateway calls it: the same as long as the port is. Every address is "any", since `*` is part of no name."""
        return f"{self.address or 'any'}:{self.port}"


@dataclass(frozen=True, slots=True)
class Backend:
    """The replicas of a service that serve one of its ports.

    name            "shop.web.80": a name of the gateway
    service         id of the service
    port            of the containers
    health          path that answers 2xx or 3xx while a replica is well, "" to see whether it takes connections
    proxy_protocol  replicas are told the client's address by the PROXY protocol, version 2 (also by checks)
    """

    name: str
    service: str
    port: int
    layer: Layer = Layer.L4
    health: str = ""
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class TrafficConfig:
    """Everything of the gateway that it must be loaded anew for. Servers are not: they come and go while it runs."""

    listeners: tuple[Listener, ...] = ()
    backends: tuple[Backend, ...] = ()
    certificates: tuple[Certificate, ...] = ()

    @property
    def digest(self) -> str:
        """Twelve hex digits: equal ones mean that nothing needs to be loaded anew."""
        listeners, backends = map(asdict, self.listeners), map(asdict, self.backends)
        everything = [*listeners], [*backends], [one.name for one in self.certificates]
        return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:12]


class Admission(StrEnum):
    """What was said of a server: to serve, to take nothing new, or to be left out."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


class Check(StrEnum):
    """What the gateway's own check of a server says; PENDING before the first one is done."""

    PENDING = "pending"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class ObservedServer:
    """A replica as the gateway sees it.

    name         the container's id, its first twelve digits: an address is not an identity
    in_flight    connections (L4) or requests (L7) that it serves now, over all workers of the gateway
    said         what its last check found, in the gateway's words
    response_ms  how long answers took on average, of the last 1024 at most (L7)
    totals       counters since the gateway was loaded: sessions, errors, 5xx, …; a smaller one than before begins anew
    """

    backend: str
    name: str
    address: str
    port: int
    weight: int
    admission: Admission = Admission.READY
    check: Check = Check.PENDING
    in_flight: int = 0
    queued: int = 0
    said: str = ""
    response_ms: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObservedGateway:
    """What the gateway does.

    container  the full id of the container it runs in
    running    digest of the config that it was loaded with
    written    digest of the config that it would start with, without a server in it; "" when something else stands there
    listeners  the names of the listeners it has
    totals     name of a listener -> its counters, as those of a server
    servers    those of the running config, and those that only workers from before a reload still know: as DRAIN, for as
               long as something is in flight on them there
    """

    container: str
    running: str
    written: str
    version: str = ""
    listeners: tuple[str, ...] = ()
    servers: tuple[ObservedServer, ...] = ()
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def sends_to(self, name: str) -> bool:
        """Say whether new requests go to a server of that name, in some backend."""
        return any(one.name == name and one.weight and one.admission is Admission.READY for one in self.servers)

    def server(self, backend: str, name: str) -> ObservedServer | None:
        """Return the server of that name, None when the gateway does not know it."""
        return next((one for one in self.servers if (one.backend, one.name) == (backend, name)), None)


KEPT_SAMPLES, MOST_SAMPLES = timedelta(minutes=15), 20_000
"""How long a sample is kept, and how many at most."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the gateway had counted at a moment.

    name    of a listener, "any:80", or of a server behind its backend, "shop.web.80/0123456789ab"
    totals  as those of ObservedServer
    """

    at: datetime
    name: str
    totals: Mapping[str, int]
    in_flight: int = 0
    queued: int = 0
    response_ms: int = 0
