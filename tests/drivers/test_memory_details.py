"""Does the engine in memory describe a container as the real one does, field by field?"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from memory_world import real_and_memory
from worlds import World, attachment, do, look, network, owner, volume

from reconciler.drivers.memory.document import MACHINE
from reconciler.model import labels
from reconciler.model.plan import CreateInstance, StartInstance, StopInstance, Target
from reconciler.ports import Depth

MIB = 1024 * 1024
RUNS = {"Cmd": ["/bin/sleep", "600"]}  # As process 1 it ignores TERM.

# A payload beside the command; {0} stands for the environment's name. `networks` names those it is on; not every
# machine `starts` every container.
CASES: dict[str, dict[str, Any]] = {
    "nothing but a command": {},
    "identity": {"Hostname": "web", "Domainname": "example", "User": "1000", "WorkingDir": "/tmp", "Labels": {"a": "b"}},
    "environment": {"Env": ["A=1", "PATH=/bin", "EMPTY="]},
    "entrypoint": {"Entrypoint": ["/bin/sleep"], "Cmd": ["600"]},
    "terminal": {"Tty": True, "OpenStdin": True},
    "stopping": {"StopSignal": "SIGTERM", "StopTimeout": 3},
    "healthcheck": {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 60 * 10**9, "Retries": 2}},
    "no healthcheck": {"Healthcheck": {"Test": ["NONE"]}},
    "exposed": {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}},
    "published": {
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "HostConfig": {
            "PortBindings": {"80/tcp": [{"HostPort": "48201"}], "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "48202"}]}
        },
    },
    "published from a range": {
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "48203-48204"}]}},
    },
    "bound but not exposed": {"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "48205"}]}}},
    "limits": {"HostConfig": {"Memory": 64 * MIB, "MemoryReservation": 32 * MIB, "NanoCpus": 500_000_000, "PidsLimit": 50}},
    "swap": {"HostConfig": {"Memory": 64 * MIB, "MemorySwap": 64 * MIB}},
    "shares": {"HostConfig": {"CpuShares": 512, "BlkioWeight": 0, "ShmSize": 8 * MIB, "OomScoreAdj": 100}},
    "restart": {"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}},
    "restart no": {"HostConfig": {"RestartPolicy": {"Name": "no"}}},
    "privileged": {"starts": False, "HostConfig": {"Privileged": True}},
    "host processes": {"starts": False, "HostConfig": {"PidMode": "host"}},
    "capabilities": {"HostConfig": {"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"]}},
    "read only": {"HostConfig": {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": "size=1m"}}},
    "names": {"HostConfig": {"ExtraHosts": ["a:10.0.0.1"], "Dns": ["10.0.0.2"], "DnsSearch": ["x"], "DnsOptions": ["ndots:1"]}},
    "logging": {"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}},
    "ulimits": {"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]}},
    "sysctls": {"HostConfig": {"Sysctls": {"net.core.somaxconn": "256"}}},
    "host network": {"HostConfig": {"NetworkMode": "host"}},
    "no network": {"HostConfig": {"NetworkMode": "none"}},
    "ports without a network": {"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"NetworkMode": "none"}},
    "host namespaces": {"HostConfig": {"IpcMode": "host", "UTSMode": "host"}},
    "binds": {"HostConfig": {"Binds": ["{0}_data:/data", "{0}_more:/more:ro", "/tmp:/host:ro", "/tmp:/shared:rw,rprivate"]}},
    "mounts": {
        "HostConfig": {
            "Mounts": [
                {"Type": "volume", "Source": "{0}_data", "Target": "/data"},
                {"Type": "bind", "Source": "/tmp", "Target": "/host", "ReadOnly": True},
                {"Type": "tmpfs", "Target": "/scratch"},
                {"Type": "volume", "Target": "/unnamed"},
            ]
        }
    },
    "anonymous": {"Volumes": {"/data": {}, "/more": {}}},
    "anonymous under a bind": {"Volumes": {"/data": {}}, "HostConfig": {"Binds": ["{0}_data:/data"]}},
    "one network": {"networks": ["front"]},
    "two networks": {"networks": ["front", "back"], "ExposedPorts": {"80/tcp": {}}},
}  # fmt: skip
NUMBERS = itertools.count()


@pytest.fixture
def worlds() -> Iterator[tuple[World, World]]:
    with real_and_memory(f"d{os.getpid()}-{next(NUMBERS)}") as both:
        real, memory = (look(world).engine.api for world in both)
        if real != memory:
            pytest.skip(f"the engine in memory describes a container as API {memory} does, the real one as {real}")
        yield both


@pytest.mark.engine
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_container_is_described_as_by_the_real_engine(worlds: tuple[World, World], case: dict[str, Any]) -> None:
    real, memory = (describe_a_life(world, case) for world in worlds)
    assert list(differences(memory, real)) == []


def describe_a_life(world: World, case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is said of a container when it is created, runs, and was stopped."""
    keys = case.get("networks", [])
    do(world, volume(world, "data"), volume(world, "more"), *(network(world, key) for key in keys))
    config = {key: value for key, value in case.items() if key not in ("networks", "starts")}
    payload = _with_name({**RUNS, **config, "Labels": {**owner(world), **config.get("Labels", {})}}, world.environment)
    name = f"{world.environment}-web-1"
    do(world, CreateInstance(name, "stack/web", 1, world.image, payload, tuple(attachment(world, key, "web") for key in keys)))
    said = [_description(world)]
    for change in (StartInstance(Target(name)), StopInstance(Target(name), 0)) if case.get("starts", True) else ():
        do(world, change)
        said.append(_description(world))
    return said


def differences(memory: Any, real: Any, path: str = "") -> Iterator[str]:
    """Yield where two documents differ, one line each."""
    if isinstance(memory, dict) and isinstance(real, dict):
        for key in sorted(memory.keys() | real.keys()):
            yield from differences(memory.get(key, "(absent)"), real.get(key, "(absent)"), f"{path}.{key}")
    elif isinstance(memory, list) and isinstance(real, list) and len(memory) == len(real):
        for number, (one, other) in enumerate(zip(memory, real, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif memory != real:
        yield f"{path}: {memory!r}, really {real!r}"


def _description(world: World) -> dict[str, Any]:
    (found,) = look(world, Depth.WHOLE).instances
    assert labels.ENVIRONMENT in found.labels
    told: dict[str, Any] = _comparable(found.detail, found.id)
    return told


def _with_name(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_name(entry, name) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_name(entry, name) for entry in value]
    return value.replace("{0}", name) if isinstance(value, str) else value


# What only the machine below knows, and what the documents keep of it: whether it is there.
ONLY_THERE = {
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "LogPath",
    "GraphDriver",
    "SandboxID",
    "SandboxKey",
    "AppArmorProfile",
}
PRESENCE = {"Pid", "EndpointID", "NetworkID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress", "Id", "Image", "Created"}
# The engine goes on behind the port it gave out last, whoever had it.
PORTS_OF_THE_RANGE = {"48203", "48204"}
TIMES = {"StartedAt", "FinishedAt"}


def _comparable(value: Any, id: str, key: str = "") -> Any:
    if key in TIMES:
        return not value.startswith("0001-")
    if key in PRESENCE and not isinstance(value, dict):
        return bool(value)
    if key == "Mounts" and value and "Destination" in value[0]:
        return sorted((_comparable(mount, id) for mount in value), key=lambda mount: mount["Destination"])
    if isinstance(value, dict):
        return {name: _comparable(entry, id, name) for name, entry in value.items() if name not in ONLY_THERE}
    if isinstance(value, list):
        return [_comparable(entry, id) for entry in value]
    return _without_hashes(value, id) if isinstance(value, str) else value


def _without_hashes(text: str, id: str) -> str:
    if text in PORTS_OF_THE_RANGE:
        return "<one of the range>"
    words = text.replace(id[:12], "<id>").split("/")
    words = ["<machine>" if text in (MACHINE, socket.gethostname()) else word for word in words]
    return "/".join("<hash>" if len(word) == 64 and set(word) <= set("0123456789abcdef") else word for word in words)
