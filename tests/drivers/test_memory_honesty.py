"""Do the engine in memory and the real one answer alike, whatever they are asked?

The same random changes are asked of both, right or wrong, and after each one both must have answered in the same way and
hold the same. RECONCILER_FUZZ_EXAMPLES raises the number of walks.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from memory_world import real_and_memory
from worlds import World, attachment, do, look, network, owner, volume

from reconciler.errors import ReconcilerError
from reconciler.model import labels
from reconciler.model.desired import ContentFile
from reconciler.model.plan import (
    Change,
    ConnectNetwork,
    CreateInstance,
    DeliverFiles,
    DisconnectNetwork,
    FillVolume,
    RemoveInstance,
    RemoveNetwork,
    RemoveVolume,
    RenameInstance,
    StartInstance,
    StopInstance,
    Target,
    UnpauseInstance,
    UpdateInstance,
)
from reconciler.ports import Depth

MIB = 1024 * 1024
WALKS = int(os.environ.get("RECONCILER_FUZZ_EXAMPLES", "100")) // 20
STEPS = 30
NAMES, NETWORKS, VOLUMES = ("a", "b", "c"), ("front", "back"), ("data", "more")
FILES = (ContentFile("/etc/web.conf", b"x"),)

Step = Callable[[World], None]
Draw = random.Random


@dataclass(frozen=True, slots=True)
class Asked:
    """Something to ask of a world, and how to print it."""

    words: str
    step: Step


def create(draw: Draw) -> Asked:
    name, keys = draw.choice(NAMES), draw.choice([(), ("front",), ("front", "back")])
    host: dict[str, Any] = draw.choice([{}, {"Memory": 64 * MIB}, {"Binds": ["{0}_data:/data"]}, {"ReadonlyRootfs": True}])
    own: dict[str, Any] = draw.choice([{}, {"Volumes": {"/anonymous": {}}}, {"Labels": {"a": "b"}}])

    def step(world: World) -> None:
        binds = [bind.replace("{0}", world.environment) for bind in host.get("Binds", ())]
        payload = {"Cmd": ["/bin/sleep", "600"], **own, "Labels": {**owner(world), **own.get("Labels", {})}}
        payload["HostConfig"] = {**host, **({"Binds": binds} if binds else {})}
        places = tuple(attachment(world, key, "web") for key in keys)
        do(world, CreateInstance(named(world, name), "stack/web", 1, world.image, payload, places))

    return Asked(f"create {name} on {', '.join(keys) or 'no network of ours'} with {host} {own}", step)


def handle(draw: Draw) -> Asked:
    """Ask something about one container by its name."""
    name, other, key = draw.choice(NAMES), draw.choice(NAMES), draw.choice(NETWORKS)
    asks: list[tuple[str, Callable[[World, Target], Change]]] = [
        ("start", lambda world, target: StartInstance(target)),
        ("start", lambda world, target: StartInstance(target)),
        ("stop", lambda world, target: StopInstance(target, 0)),
        ("remove", lambda world, target: RemoveInstance(target, volumes=True)),
        ("unpause", lambda world, target: UnpauseInstance(target)),
        (f"rename to {other}", lambda world, target: RenameInstance(target, named(world, other))),
        (f"connect {key}", lambda world, target: ConnectNetwork(target, f"{world.environment}_{key}", {"Aliases": ["x"]})),
        (f"disconnect {key}", lambda world, target: DisconnectNetwork(target, f"{world.environment}_{key}")),
        ("update memory", lambda world, target: UpdateInstance(target, {"Memory": 48 * MIB, "MemorySwap": 96 * MIB})),
        ("update swap", lambda world, target: UpdateInstance(target, {"Memory": 80 * MIB})),
        ("deliver", lambda world, target: DeliverFiles(target, FILES)),
    ]
    words, change = draw.choice(asks)
    return Asked(f"{words} {name}", lambda world: do(world, change(world, Target(named(world, name)))))


def by_hand(draw: Draw) -> Asked:
    """Let somebody else do something to a container that is there and runs."""
    name, verb = draw.choice(NAMES), draw.choice(["kill", "pause", "remove"])

    def step(world: World) -> None:
        found = [one for one in look(world).instances if one.name == named(world, name) and one.running]
        if found:
            getattr(world, verb)(found[0].id)

    return Asked(f"somebody: {verb} {name}", step)


def keep(draw: Draw) -> Asked:
    """Ask for, or get rid of, a network or a volume."""
    key, place = draw.choice(NETWORKS), draw.choice(VOLUMES)
    asks: list[tuple[str, Callable[[World], Change]]] = [
        (f"network {key}", lambda world: network(world, key)),
        (f"network {key}", lambda world: network(world, key)),
        (f"no network {key}", lambda world: RemoveNetwork(network_id(world, key), key)),
        (f"volume {place}", lambda world: volume(world, place)),
        (f"no volume {place}", lambda world: RemoveVolume(f"{world.environment}_{place}")),
        (f"fill {place}", lambda world: FillVolume(f"{world.environment}_{place}", FILES, world.image, owner(world))),
    ]
    words, change = draw.choice(asks)
    return Asked(words, lambda world: do(world, change(world)))


KINDS = (create, handle, handle, handle, handle, by_hand, keep, keep)
BEGINNING = (keep, keep, keep, create, create, create, handle, handle, handle)


def named(world: World, name: str) -> str:
    return f"{world.environment}-{name}"


def network_id(world: World, key: str) -> str:
    found = (one.id for one in look(world).networks if one.name == f"{world.environment}_{key}")
    return next(found, "f" * 64)


@pytest.fixture
def worlds(request: pytest.FixtureRequest) -> Iterator[tuple[World, World]]:
    with real_and_memory(f"h{os.getpid()}-{request.node.callspec.indices['seed']}") as both:
        yield both


@pytest.mark.engine
@pytest.mark.parametrize("seed", range(WALKS))
def test_both_engines_answer_alike_on_a_random_walk(worlds: tuple[World, World], seed: int) -> None:
    real, memory = worlds
    draw, walked = random.Random(seed), list[str]()
    for kind in (*BEGINNING, *(draw.choice(KINDS) for _ in range(STEPS))):
        asked = kind(draw)
        walked.append(asked.words)
        answers = answered(memory, asked), answered(real, asked)
        assert answers[0] == answers[1], "\n".join(walked)
        assert held(memory) == held(real), "\n".join(walked)


def answered(world: World, asked: Asked) -> str:
    look(world)
    try:
        asked.step(world)
    except ReconcilerError as error:
        return type(error).__name__
    return "done"


def held(world: World) -> dict[str, Any]:
    """Return what a world holds of ours, without ids and times."""
    seen = look(world, Depth.WHOLE)
    names = {one.id: one.name for one in seen.instances}
    ours = [one for one in seen.networks if one.labels.get(labels.ENVIRONMENT) == world.environment]
    return {
        "containers": {one.name: _facts(one.detail) for one in seen.instances},
        "networks": {one.name: sorted(names[user] for user in one.users) for one in ours},
        "volumes": sorted(one.name for one in seen.volumes if one.name.startswith(world.environment)),
        "anonymous": sum(len(one.detail["Mounts"]) for one in seen.instances),
    }


def _facts(detail: Any) -> dict[str, Any]:
    return {
        "state": {key: detail["State"][key] for key in ("Status", "ExitCode")},
        "networks": {
            name: [bool(place["IPAddress"]), sorted(alias for alias in place["Aliases"] or () if alias != detail["Id"][:12])]
            for name, place in detail["NetworkSettings"]["Networks"].items()
        },
        "memory": [detail["HostConfig"]["Memory"], detail["HostConfig"]["MemorySwap"]],
        # Newer engines name the default network.
        "mode": detail["HostConfig"]["NetworkMode"].replace("bridge", "default"),
    }
