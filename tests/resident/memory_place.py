"""Where can a loop be tried without an engine: everything it works with, in memory, on a clock that stands still."""

from __future__ import annotations

from reconciler.apply import Applier
from reconciler.audit import Ledger
from reconciler.claim import Claim
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import MemoryRuntime, MemoryStore, Repository, World
from reconciler.drivers.memory.gateway import MemoryGateway
from reconciler.load.loading import LoadSettings, load
from reconciler.loop import Reconciler
from reconciler.loop import World as Ports
from reconciler.model.desired import DesiredState
from reconciler.model.source import Revision
from reconciler.ports import Files, Source

ENVIRONMENT = "shop"
GATEWAY_IMAGE = "haproxy:3.2"


class MemoryPlace:
    """An engine, a repository and a state directory in memory; `loads` counts how often a tree was parsed."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock)
        self.runtime = MemoryRuntime(self.world)
        self.repository = Repository(self.clock)
        self.store = MemoryStore()
        self.gateway = MemoryGateway(self.world)
        self.loads = 0
        for version in ("web:1", "web:2"):
            self.world.image(version, health_after=3)
        self.world.image("web:sick", never_healthy=True)
        self.world.image(GATEWAY_IMAGE)

    def push(self, image: str, subject: str = "change") -> Revision:
        """Ask for one service `web` of this image."""
        check = "{test: [CMD, check], interval: 2s, retries: 2}"
        return self.push_files({"compose.yaml": f"services: {{web: {{image: '{image}', healthcheck: {check}}}}}\n"}, subject)

    def push_files(self, files: dict[str, str | None], subject: str = "change") -> Revision:
        """Write these files, remove those that are None, and commit."""
        changes = {path: None if text is None else text.encode() for path, text in files.items()}
        return self.repository.push(changes, subject)

    def reconciler(self, source: Source | None = None) -> Reconciler:
        """Return a new loop, as a new process has it."""
        ports = Ports(source or self.repository, self._load, self.runtime, self.store, self.clock, self.gateway)
        return Reconciler(ports, Applier(self.runtime, self.clock, gateway=self.gateway, threads=False))

    def claim(self, holder: str) -> Claim:
        """Return somebody's side of the lease."""
        return Claim(self.runtime, self.clock, holder, Ledger(self.store, self.clock))

    def pass_time(self, seconds: float) -> None:
        """Let time go on, at least a little: as long as a wait takes that nobody rings."""
        self.clock.advance(max(seconds, 0.1))

    def running(self) -> dict[str, str]:
        """Return the image of each container that runs, by name."""
        found = (self.world.container(name) for name in self.world.names())
        return {one.name: str(one.config["Image"]) for one in found if one.alive}

    def _load(self, files: Files, revision: Revision) -> DesiredState:
        self.loads += 1
        return load(files, revision, LoadSettings(name=ENVIRONMENT, gateway=GATEWAY_IMAGE))
