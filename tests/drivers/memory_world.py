"""Where can a runtime be tried without an engine: a world in memory, as worlds.py describes one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from worlds import IMAGE, DockerWorld
from worlds import Behaviour as Kind
from worlds import World as AnyWorld

from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import Behaviour, MemoryRuntime, World
from reconciler.ports import Runtime

_TIMING = {"Interval": 200_000_000, "Timeout": 10**9, "Retries": 1}
_CHECKS = {Kind.HEALTHY: "exit 0", Kind.UNHEALTHY: "exit 1"}
_SCRIPTS = {
    "/bin/sleep 600": Behaviour(ignores_term=True),
    Kind.STUBBORN.name: Behaviour(ignores_term=True),
    Kind.SUCCEEDS.name: Behaviour(exits=0),
    Kind.FAILS.name: Behaviour(exits=3),
    Kind.UNHEALTHY.name: Behaviour(never_healthy=True),
    Kind.SPEAKS.name: Behaviour(logs=(("stdout", "to stdout"), ("stderr", "to stderr"))),
}


class MemoryWorld:
    """An engine in memory, its time moved by the test."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.image = IMAGE
        self.clock = VirtualClock()
        # A restart must be seen by its time, so changes take some.
        self.world = World(self.clock, change_seconds=0.001)
        self.world.image(IMAGE, commands=_SCRIPTS, failing_hooks=("false",))
        self.runtime: Runtime = MemoryRuntime(self.world)

    def another(self) -> Runtime:
        return MemoryRuntime(self.world)

    def payload(self, behaviour: Kind) -> dict[str, Any]:
        payload: dict[str, Any] = {"Cmd": [behaviour.name]}
        if check := _CHECKS.get(behaviour):
            payload["Healthcheck"] = {"Test": ["CMD-SHELL", check], **_TIMING}
        return payload

    def foreign(self, name: str, *, labels: Mapping[str, str] | None = None, port: int = 0) -> str:
        bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]} if port else {}
        config = {"Image": IMAGE, "Labels": dict(labels or {}), "ExposedPorts": {port: {} for port in bindings}}
        container = self.world.engine.create(f"{self.environment}-{name}", {**config, "HostConfig": {"PortBindings": bindings}})
        self.world.start(container.id)
        return container.id

    def kill(self, handle: str) -> None:
        self.world.kill(handle)

    def remove(self, handle: str) -> None:
        self.world.remove(handle)

    def pause(self, handle: str) -> None:
        self.world.pause(handle)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        deadline, pulse = self.clock.monotonic() + seconds, threading.Event()
        while not holds():
            assert self.clock.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            self.clock.advance(0.1)
            pulse.wait(0.005)  # Those who listen do so in threads of their own.

    def close(self) -> None:
        """Nothing is left of a world in memory."""


@contextmanager
def real_and_memory(environment: str) -> Iterator[tuple[AnyWorld, AnyWorld]]:
    """Provide a real engine and one in memory to be compared; nothing is left on the real one."""
    real = DockerWorld(environment)
    try:
        yield real, MemoryWorld(environment)
    finally:
        real.close()
