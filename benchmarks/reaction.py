"""How soon do gateway and registry know that a replica died, and how soon does one serve that is healthy?"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from waiting import free_port

from benchmarks.places import Failed, Place
from benchmarks.scene import DEADLINE_SECONDS, Scene, Web, stage

REPLICAS = 5
LOOK_AGAIN_SECONDS = 0.02


def main() -> int:
    """Kill each replica once, and print median and worst: who dies again is started again more slowly."""
    registry = free_port()
    web = Web(replicas=REPLICAS, keys=("x-discovery: {port: 80}",))
    with TemporaryDirectory() as folder:
        place = Place(Path(folder), f"reaction{os.getpid()}")
        with stage(place, web, "--registry-http", f"127.0.0.1:{registry}") as scene:
            _until(lambda: _passing(registry) == REPLICAS)
            found = [_round(scene, registry, web, victim) for victim in scene.runs(1)]
    for what, seconds in zip(("died → gateway", "died → registry", "healthy → serves"), zip(*found, strict=True), strict=True):
        print(f"| {what} | {statistics.median(seconds):.2f} s | {max(seconds):.2f} s |")
    return 0


def _round(scene: Scene, registry: int, web: Web, victim: str) -> tuple[float, float, float]:
    """Kill a replica, and let it come back; return the three times."""
    scene.engine.ask("POST", f"/containers/{victim}/kill")
    began = time.monotonic()
    gateway = _until(lambda: not scene.seen().sends_to(victim[:12])) - began
    left = _until(lambda: _passing(registry) < REPLICAS) - began
    well = _until(lambda: scene.engine.ask("GET", f"/containers/{victim}/json")["State"]["Health"]["Status"] == "healthy")
    serves = _until(lambda: scene.seen().sends_to(victim[:12])) - well
    scene.settle(web)
    _until(lambda: _passing(registry) == REPLICAS)
    return gateway, left, serves


def _passing(registry: int) -> int:
    """Return how many replicas a client of the registry would be led to."""
    with urlopen(f"http://127.0.0.1:{registry}/v1/health/service/web?passing", timeout=10) as answer:
        return len(json.load(answer))


def _until(holds: Callable[[], bool]) -> float:
    """Look on until it holds; return when that was seen. Raises Failed after a long time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise Failed("it did not come about")
        time.sleep(LOOK_AGAIN_SECONDS)
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
