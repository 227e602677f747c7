"""How does an engine behave between our calls? What the planner counts on, on the engine in memory and on the real one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from memory_world import MemoryWorld
from worlds import (
    Behaviour,
    DockerWorld,
    World,
    attachment,
    do,
    instance,
    look,
    network,
    only,
    run,
    volume,
)

from reconciler.errors import Conflict, Refused
from reconciler.model.observed import Phase, Probe
from reconciler.model.plan import (
    ConnectNetwork,
    RemoveImage,
    RemoveInstance,
    RemoveNetwork,
    RenameInstance,
    StartInstance,
    StopInstance,
    Target,
    UnpauseInstance,
    UpdateInstance,
)
from reconciler.ports import Depth

MIB = 1024 * 1024
NUMBERS = itertools.count()
DOCKER = pytest.param(DockerWorld, id="docker", marks=[pytest.mark.engine])


@pytest.fixture(params=[pytest.param(MemoryWorld, id="memory"), DOCKER])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world: World = request.param(f"b{os.getpid()}-{next(NUMBERS)}")
    try:
        yield world
    finally:
        world.close()


def policy(name: str, most: int = 0) -> dict[str, Any]:
    return {"RestartPolicy": {"Name": name, "MaximumRetryCount": most}}


@pytest.mark.parametrize("name", ["always", "unless-stopped", "on-failure"])
def test_the_engine_restarts_what_crashes_and_has_a_policy(world: World, name: str) -> None:
    run(world, "web-1", Behaviour.FAILS, host=policy(name))
    world.until(lambda: only(world).restarts >= 2, "it was restarted twice")
    world.until(lambda: only(world).phase is Phase.RESTARTING, "it waits for the next restart")
    assert only(world).exit_code == 3


def test_the_engine_gives_up_after_the_most_that_the_policy_says(world: World) -> None:
    run(world, "web-1", Behaviour.FAILS, host=policy("on-failure", 2))
    world.until(lambda: only(world).ended, "it was given up")
    assert (only(world).restarts, only(world).exit_code) == (2, 3)


@pytest.mark.parametrize("name", ["no", "on-failure"])
def test_success_is_not_restarted_unless_it_is_to_run_always(world: World, name: str) -> None:
    run(world, "job-1", Behaviour.SUCCEEDS, host=policy(name))
    world.until(lambda: only(world).ended, "it ended")
    assert (only(world).restarts, only(world).exit_code) == (0, 0)


@pytest.mark.parametrize("name", ["always", "unless-stopped"])
def test_the_engine_leaves_alone_what_somebody_killed(world: World, name: str) -> None:
    target = run(world, "web-1", host=policy(name))
    world.kill(target.id)
    world.until(lambda: only(world).ended, "it was killed")
    assert (only(world).restarts, only(world).exit_code) == (0, 137)


def test_a_restarting_container_can_be_stopped(world: World) -> None:
    target = run(world, "web-1", Behaviour.FAILS, host=policy("always"))
    world.until(lambda: only(world).phase is Phase.RESTARTING and only(world).restarts > 2, "it waits for the next restart")
    do(world, StopInstance(target))
    assert only(world).phase is Phase.EXITED


def test_a_new_start_counts_restarts_from_nothing(world: World) -> None:
    target = run(world, "web-1", Behaviour.FAILS, host=policy("on-failure", 1))
    world.until(lambda: only(world).ended, "it was given up")
    do(world, StartInstance(target))
    world.until(lambda: only(world).ended and only(world).restarts == 1, "it was given up again")


def test_a_paused_container_is_neither_started_nor_removed_but_stopped(world: World) -> None:
    target = run(world, "web-1")
    world.pause(target.id)
    for change in (StartInstance(target), RemoveInstance(target)):
        with pytest.raises(Conflict):
            do(world, change)
    do(world, StopInstance(target))
    assert only(world).ended


def test_what_is_not_paused_is_not_unpaused(world: World) -> None:
    target = run(world, "web-1")
    with pytest.raises(Refused, match="not paused"):
        do(world, UnpauseInstance(target))


def test_a_paused_or_stopped_container_passes_for_unhealthy(world: World) -> None:
    target = run(world, "web-1", Behaviour.HEALTHY)
    world.until(lambda: only(world).probe is Probe.HEALTHY, "it is healthy")
    world.pause(target.id)
    assert only(world).probe is Probe.UNHEALTHY
    do(world, UnpauseInstance(target))
    world.until(lambda: only(world).probe is Probe.HEALTHY, "it is healthy again")
    do(world, StopInstance(target))
    assert only(world).probe is Probe.UNHEALTHY
    do(world, StartInstance(target))
    world.until(lambda: only(world).probe is Probe.HEALTHY, "it is healthy once more")


def test_a_failed_start_leaves_a_created_container_with_its_reason(world: World) -> None:
    world.foreign("neighbour", port=48131)
    ports = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "48131"}]}}
    created = instance(world, "web-1", host=ports, ExposedPorts={"80/tcp": {}})
    do(world, created)
    with pytest.raises(Refused):
        do(world, StartInstance(Target(created.name)))
    seen = only(world)
    assert (seen.phase, seen.exit_code, seen.started) == (Phase.CREATED, 128, None)
    assert "port is already allocated" in seen.detail["State"]["Error"]


def test_a_port_is_free_again_when_its_holder_stops(world: World) -> None:
    ports = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "48132"}]}}
    first = run(world, "web-1", host=ports, ExposedPorts={"80/tcp": {}})
    second = instance(world, "web-2", host=ports, ExposedPorts={"80/tcp": {}})
    do(world, second)
    with pytest.raises(Refused):
        do(world, StartInstance(Target(second.name)))
    do(world, StopInstance(first), StartInstance(Target(second.name)))


def test_a_container_to_its_own_name_is_no_rename(world: World) -> None:
    target = run(world, "web-1")
    with pytest.raises(Refused):
        do(world, RenameInstance(target, target.name))


def test_memory_above_the_swap_limit_is_refused_and_leaves_the_limits(world: World) -> None:
    target = run(world, "web-1", host={"Memory": 64 * MIB})
    with pytest.raises(Refused):
        do(world, UpdateInstance(target, {"Memory": 256 * MIB}))
    (seen,) = look(world, Depth.WHOLE).instances
    assert (seen.detail["HostConfig"]["Memory"], seen.detail["HostConfig"]["MemorySwap"]) == (64 * MIB, 128 * MIB)


def test_a_namespace_is_joined_only_while_its_holder_runs(world: World) -> None:
    holder = run(world, "db-1")
    guest = instance(world, "backup-1", host={"NetworkMode": f"container:{holder.name}"})
    do(world, guest, StopInstance(holder))
    with pytest.raises(Conflict, match="non running container"):
        do(world, StartInstance(Target(guest.name)))
    do(world, StartInstance(holder), StartInstance(Target(guest.name)))


def test_a_container_starts_only_when_its_networks_are_there(world: World) -> None:
    do(world, network(world, "front"))
    target = run(world, "web-1", networks=(attachment(world, "front", "web"),))
    do(world, StopInstance(target), RemoveNetwork(id_of(world, "front"), "front"))
    with pytest.raises(Conflict, match="not found"):
        do(world, StartInstance(target))
    # One of the same name is another network: the container must be told.
    do(world, network(world, "front"))
    with pytest.raises(Conflict, match="not found"):
        do(world, StartInstance(target))
    do(world, ConnectNetwork(target, f"{world.environment}_front", {"Aliases": ["web"]}), StartInstance(target))
    assert "web" in only(world).detail["NetworkSettings"]["Networks"][f"{world.environment}_front"]["Aliases"]


def test_a_container_on_the_host_network_joins_no_other(world: World) -> None:
    do(world, network(world, "front"))
    target = run(world, "web-1", host={"NetworkMode": "host"})
    with pytest.raises(Refused):
        do(world, ConnectNetwork(target, f"{world.environment}_front", {}))


def test_a_fixed_address_needs_a_network_with_a_subnet_of_its_own(world: World) -> None:
    wanted = {"IPAMConfig": {"IPv4Address": "10.213.7.7"}}
    place = replace(attachment(world, "front"), endpoint=wanted)
    do(world, network(world, "front", IPAM={"Config": [{"Subnet": "10.213.7.0/24"}]}))
    run(world, "web-1", networks=(place,))
    assert only(world).detail["NetworkSettings"]["Networks"][place.network]["IPAddress"] == "10.213.7.7"
    second = instance(world, "web-2", networks=(place,))
    do(world, second)
    with pytest.raises(Refused, match="already in use"):
        do(world, StartInstance(Target(second.name)))


def test_a_network_over_the_addresses_of_another_is_refused(world: World) -> None:
    do(world, network(world, "front", IPAM={"Config": [{"Subnet": "10.213.8.0/24"}]}))
    with pytest.raises(Refused, match="overlaps"):
        do(world, network(world, "back", IPAM={"Config": [{"Subnet": "10.213.8.0/25"}]}))


def test_a_named_volume_is_made_by_the_container_that_wants_it(world: World) -> None:
    name = f"{world.environment}_data"
    target = run(world, "db-1", host={"Binds": [f"{name}:/data"]})
    assert name in {one.name for one in look(world).volumes}
    do(world, StopInstance(target), RemoveInstance(target, volumes=True))
    assert name in {one.name for one in look(world).volumes}


def test_an_inherited_volume_outlives_its_first_owner(world: World) -> None:
    first = run(world, "db-1", Volumes={"/data": {}})
    (mount,) = only(world).detail["Mounts"]
    heir = replace(instance(world, "db-2", Volumes={"/data": {}}), inherits=first.id, anonymous=("/data",))
    do(world, heir, StopInstance(first), RemoveInstance(first, volumes=True))
    assert mount["Name"] in {one.name for one in look(world).volumes}


def test_an_image_in_use_is_not_removed_and_one_that_is_gone_is_removed_already(world: World) -> None:
    run(world, "web-1")
    look(world)
    do(world, RemoveImage("local/nothing:1"))
    with pytest.raises(Conflict):
        do(world, RemoveImage(world.image))


def test_a_volume_of_others_is_not_taken_for_ours(world: World) -> None:
    other = world.another()
    other.observe("somebody-else")
    made = volume(world, "data")
    other.do(replace(made, labels={"io.reconciler.environment": "somebody-else", "test": world.environment}))
    with pytest.raises(Refused, match="not ours"):
        do(world, made)


def id_of(world: World, key: str) -> str:
    (found,) = (one.id for one in look(world).networks if one.name == f"{world.environment}_{key}")
    return found
