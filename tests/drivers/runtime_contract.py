"""What does every runtime promise? The same tests run on a real engine and on the one in memory.

A test class inherits `RuntimeContract` and provides a fixture `world` (see worlds.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from worlds import (
    Behaviour,
    World,
    attachment,
    do,
    heard,
    instance,
    look,
    network,
    only,
    owner,
    run,
    volume,
)

from reconciler.errors import Conflict, Refused
from reconciler.model import labels
from reconciler.model.content import content_digest
from reconciler.model.desired import ContentFile, Hook
from reconciler.model.holder import container_of, within
from reconciler.model.observed import Phase, Probe, Questions
from reconciler.model.plan import (
    Change,
    ConnectNetwork,
    DeliverFiles,
    DisconnectNetwork,
    FillVolume,
    HandOver,
    RemoveInstance,
    RemoveNetwork,
    RemoveVolume,
    RenameInstance,
    RunHook,
    StartInstance,
    StopInstance,
    Target,
    UnpauseInstance,
    UpdateInstance,
)
from reconciler.ports import Depth

MIB = 1024 * 1024
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
GONE = Target("never-there", "f" * 64)


class RuntimeContract:
    """The promises of `ports.Runtime`, one sentence each."""

    # Looking

    def test_nothing_of_ours_is_seen_where_nothing_was_made(self, world: World) -> None:
        world.foreign("neighbour")
        seen = look(world)
        assert seen.instances == ()
        assert world.environment not in {one.labels.get(labels.ENVIRONMENT) for one in seen.networks}
        assert world.environment not in {one.labels.get(labels.ENVIRONMENT) for one in seen.volumes}
        assert seen.at.tzinfo is UTC
        assert seen.engine.cpus >= 1
        assert seen.engine.memory_bytes > 0

    def test_a_created_container_has_never_run(self, world: World) -> None:
        do(world, instance(world, "web-1"))
        seen = only(world)
        assert (seen.name, seen.phase, seen.probe) == (f"{world.environment}-web-1", Phase.CREATED, Probe.NONE)
        assert (seen.started, seen.finished) == (None, None)
        assert seen.created is not None
        assert seen.labels[labels.SLOT] == "1"
        assert seen.detail["Config"]["Image"] == world.image

    def test_a_started_container_runs_since_a_moment(self, world: World) -> None:
        run(world, "web-1")
        seen = only(world)
        assert seen.running
        assert seen.started is not None
        assert seen.created is not None
        assert seen.started >= seen.created
        assert seen.finished is None

    @pytest.mark.parametrize(("behaviour", "code"), [(Behaviour.SUCCEEDS, 0), (Behaviour.FAILS, 3)])
    def test_a_container_that_ended_says_how(self, world: World, behaviour: Behaviour, code: int) -> None:
        run(world, "job-1", behaviour)
        world.until(lambda: only(world).ended, "the job ended")
        seen = only(world)
        assert (seen.exit_code, seen.phase) == (code, Phase.EXITED)
        assert seen.finished is not None

    @pytest.mark.parametrize(
        ("behaviour", "probe"), [(Behaviour.HEALTHY, Probe.HEALTHY), (Behaviour.UNHEALTHY, Probe.UNHEALTHY)]
    )
    def test_a_health_change_is_seen_by_a_cheap_look(self, world: World, behaviour: Behaviour, probe: Probe) -> None:
        run(world, "web-1", behaviour)
        world.until(lambda: only(world).probe is probe, f"the container is {probe}")

    def test_a_kill_behind_our_back_is_seen_by_a_cheap_look(self, world: World) -> None:
        target = run(world, "web-1")
        world.kill(target.id)
        world.until(lambda: only(world).ended, "the killed container ended")
        assert only(world).exit_code == 137

    def test_a_pause_behind_our_back_is_seen_and_undone(self, world: World) -> None:
        target = run(world, "web-1")
        world.pause(target.id)
        assert only(world).phase is Phase.PAUSED
        do(world, UnpauseInstance(target))
        assert only(world).running

    def test_a_removal_behind_our_back_is_seen(self, world: World) -> None:
        world.remove(run(world, "web-1").id)
        assert look(world).instances == ()

    def test_a_restart_between_two_looks_is_seen(self, world: World) -> None:
        target = run(world, "web-1")
        before = only(world).started
        other = world.another()
        other.observe(world.environment)
        other.do(StopInstance(target))
        other.do(StartInstance(target))
        after = only(world).started
        assert before is not None
        assert after is not None
        assert after > before

    def test_an_equal_look_gives_equal_containers(self, world: World) -> None:
        run(world, "web-1")
        assert look(world).instances == look(world).instances == look(world, Depth.WHOLE).instances

    def test_a_thorough_look_sees_what_the_list_does_not_show(self, world: World) -> None:
        target = run(world, "web-1")
        look(world)
        other = world.another()
        other.observe(world.environment)
        other.do(UpdateInstance(target, {"Memory": 64 * MIB, "MemorySwap": 128 * MIB}))
        (seen,) = look(world, Depth.WHOLE).instances
        assert seen.detail["HostConfig"]["Memory"] == 64 * MIB

    def test_a_project_is_seen_only_when_it_is_adopted(self, world: World) -> None:
        project = f"{world.environment}-old"
        world.foreign("old-db-1", labels={labels.COMPOSE_PROJECT: project})
        assert look(world).instances == ()
        (seen,) = world.runtime.observe(world.environment, [project]).instances
        assert seen.name == f"{world.environment}-old-db-1"

    def test_another_environment_is_not_ours(self, world: World) -> None:
        run(world, "web-1")
        assert world.another().observe(f"{world.environment}-staging").instances == ()

    # Making, changing and removing containers

    def test_a_name_can_be_held_once(self, world: World) -> None:
        do(world, instance(world, "web-1"))
        with pytest.raises(Conflict, match=f"{world.environment}-web-1"):
            do(world, instance(world, "web-1"))

    def test_a_container_needs_its_image(self, world: World) -> None:
        from dataclasses import replace

        with pytest.raises(Refused, match="local/nothing"):
            do(world, replace(instance(world, "web-1"), image="local/nothing:1"))
        assert look(world).instances == ()

    def test_a_stop_lets_the_process_end_and_a_second_one_does_nothing(self, world: World) -> None:
        target = run(world, "web-1", Behaviour.SPEAKS)
        world.until(lambda: bool(list(world.runtime.logs(target.id))), "it is awake")
        do(world, StopInstance(target), StopInstance(target, 5))
        seen = only(world)
        assert (seen.phase, seen.exit_code) == (Phase.EXITED, 0)

    def test_a_stubborn_process_is_killed_after_its_grace(self, world: World) -> None:
        target = run(world, "web-1", Behaviour.STUBBORN)
        do(world, StopInstance(target, 1))
        assert (only(world).phase, only(world).exit_code) == (Phase.EXITED, 137)

    def test_a_stopped_container_starts_again_under_its_old_id(self, world: World) -> None:
        target = run(world, "web-1")
        do(world, StopInstance(target), StartInstance(target), StartInstance(target))
        assert (only(world).id, only(world).running) == (target.id, True)

    def test_a_removed_container_is_gone_and_its_name_free(self, world: World) -> None:
        target = run(world, "web-1")
        do(world, StopInstance(target), RemoveInstance(target), RemoveInstance(target))
        assert look(world).instances == ()
        do(world, instance(world, "web-1"))

    def test_a_running_container_is_not_removed(self, world: World) -> None:
        target = run(world, "web-1")
        with pytest.raises(Conflict):
            do(world, RemoveInstance(target))
        assert only(world).running

    def test_a_rename_keeps_the_container_and_frees_the_name(self, world: World) -> None:
        target = run(world, "temporary")
        do(world, RenameInstance(target, f"{world.environment}-web-1"), instance(world, "temporary"))
        assert {one.name: one.phase for one in look(world).instances} == {
            f"{world.environment}-web-1": Phase.RUNNING,
            f"{world.environment}-temporary": Phase.CREATED,
        }

    def test_a_rename_to_a_held_name_is_a_conflict(self, world: World) -> None:
        target = run(world, "web-1")
        do(world, instance(world, "web-2"))
        with pytest.raises(Conflict):
            do(world, RenameInstance(target, f"{world.environment}-web-2"))

    def test_limits_and_restart_policy_change_while_it_runs(self, world: World) -> None:
        target = run(world, "web-1", host={"Memory": 32 * MIB, "MemorySwap": 64 * MIB})
        policy = {"Name": "on-failure", "MaximumRetryCount": 3}
        do(world, UpdateInstance(target, {"Memory": 48 * MIB, "MemorySwap": 96 * MIB, "RestartPolicy": policy}))
        (seen,) = look(world, Depth.WHOLE).instances
        assert (seen.id, seen.running) == (target.id, True)
        assert seen.detail["HostConfig"]["Memory"] == 48 * MIB
        assert seen.detail["HostConfig"]["RestartPolicy"] == policy

    def test_a_change_is_seen_at_the_next_look_even_if_no_list_tells_of_it(self, world: World) -> None:
        target = run(world, "web-1")
        look(world)
        do(world, UpdateInstance(target, {"Memory": 48 * MIB, "MemorySwap": 96 * MIB}))
        assert only(world).detail["HostConfig"]["Memory"] == 48 * MIB

    @pytest.mark.parametrize(
        "change",
        [
            lambda: StartInstance(GONE),
            lambda: StopInstance(GONE),
            lambda: UnpauseInstance(GONE),
            lambda: RenameInstance(GONE, "x"),
            lambda: UpdateInstance(GONE, {"Memory": 64 * MIB}),
            lambda: DeliverFiles(GONE, (ContentFile("/x", b""),)),
            lambda: RunHook(GONE, Hook(("true",))),
        ],
        ids=["start", "stop", "unpause", "rename", "update", "deliver", "hook"],
    )
    def test_what_is_gone_is_a_conflict(self, world: World, change: Callable[[], Change]) -> None:
        look(world)
        with pytest.raises(Conflict):
            do(world, change())

    def test_to_remove_what_is_gone_raises_nothing(self, world: World) -> None:
        look(world)
        do(world, RemoveInstance(GONE), RemoveNetwork("f" * 64, "x"), RemoveVolume(f"{world.environment}_nothing"))

    # What is not ours

    @pytest.mark.parametrize("by_id", [True, False], ids=["by id", "by name"])
    @pytest.mark.parametrize("change", [StopInstance, RemoveInstance, lambda target: RenameInstance(target, "x-y-z")])
    def test_a_foreign_container_is_never_touched(self, world: World, change: Callable[[Target], Change], by_id: bool) -> None:
        id = world.foreign("neighbour")
        look(world)
        with pytest.raises(Refused, match="not ours"):
            do(world, change(Target(f"{world.environment}-neighbour", id if by_id else "")))
        (seen,) = (one for one in world.runtime.answer(Questions(neighbours=True)).neighbours or () if one.id == id)
        assert (seen.running, seen.name) == (True, f"{world.environment}-neighbour")

    def test_a_container_of_another_environment_is_never_touched(self, world: World) -> None:
        target = run(world, "web-1")
        other = world.another()
        other.observe(f"{world.environment}-staging")
        with pytest.raises(Refused, match="not ours"):
            other.do(StopInstance(target))
        assert only(world).running

    def test_neighbours_are_told_with_their_ports(self, world: World) -> None:
        id = world.foreign("neighbour", port=48123, labels={"color": "blue"})
        run(world, "web-1")
        assert world.runtime.answer(Questions()).neighbours is None
        neighbours = {one.id: one for one in world.runtime.answer(Questions(neighbours=True)).neighbours or ()}
        assert only(world).id not in neighbours
        assert neighbours[id].running
        assert neighbours[id].labels["color"] == "blue"
        assert neighbours[id].ports == (("127.0.0.1", 48123, "tcp"),)

    def test_a_held_host_port_refuses_the_start(self, world: World) -> None:
        world.foreign("neighbour", port=48124)
        binding = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "48124"}]}}
        created = instance(world, "web-1", host=binding, ExposedPorts={"80/tcp": {}})
        do(world, created)
        with pytest.raises(Refused, match="48124"):
            do(world, StartInstance(Target(created.name)))
        assert not only(world).running

    # Networks

    def test_containers_find_their_networks_and_networks_their_users(self, world: World) -> None:
        do(world, network(world, "front"), network(world, "back"))
        places = (attachment(world, "front", "web", "www"), attachment(world, "back", "web"))
        run(world, "web-1", networks=places)
        seen = look(world)
        (one,) = seen.instances
        held = one.detail["NetworkSettings"]["Networks"]
        assert sorted(held) == [f"{world.environment}_back", f"{world.environment}_front"]
        assert {"web", "www"} <= set(held[f"{world.environment}_front"]["Aliases"])
        assert one.detail["HostConfig"]["NetworkMode"] == f"{world.environment}_front"
        ours = {net.name: net for net in seen.networks if net.labels.get(labels.ENVIRONMENT) == world.environment}
        assert {name: net.users for name, net in ours.items()} == {name: {one.id} for name in held}
        assert {net.detail["Driver"] for net in ours.values()} == {"bridge"}

    def test_a_container_that_never_ran_uses_its_networks_too(self, world: World) -> None:
        do(world, network(world, "front"), instance(world, "web-1", networks=(attachment(world, "front", "web"),)))
        (net,) = (one for one in look(world).networks if one.name == f"{world.environment}_front")
        assert net.users == {only(world).id}

    def test_a_network_comes_and_goes_while_the_container_runs(self, world: World) -> None:
        do(world, network(world, "front"), network(world, "back"))
        target = run(world, "web-1", networks=(attachment(world, "front", "web"),))
        back = f"{world.environment}_back"
        do(world, ConnectNetwork(target, back, {"Aliases": ["web", "db"]}))
        assert {"web", "db"} <= set(only(world).detail["NetworkSettings"]["Networks"][back]["Aliases"])
        do(world, DisconnectNetwork(target, back))
        assert back not in only(world).detail["NetworkSettings"]["Networks"]

    def test_a_container_that_is_on_a_network_again_gets_its_host_ports_back(self, world: World) -> None:
        do(world, network(world, "front"))
        bindings = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "48125"}]}}
        front = attachment(world, "front")
        web = run(world, "web-1", networks=(front,), host=bindings, ExposedPorts={"80/tcp": {}})
        do(world, DisconnectNetwork(web, front.network))
        assert not look(world, Depth.WHOLE).instances[0].detail["NetworkSettings"]["Ports"].get("80/tcp")
        do(world, ConnectNetwork(web, front.network, front.endpoint))
        (port,) = look(world, Depth.WHOLE).instances[0].detail["NetworkSettings"]["Ports"]["80/tcp"]
        assert port["HostPort"] == "48125"

    def test_a_second_connection_and_a_second_disconnection_are_conflicts(self, world: World) -> None:
        do(world, network(world, "front"))
        target = run(world, "web-1", networks=(attachment(world, "front", "web"),))
        front = f"{world.environment}_front"
        with pytest.raises(Conflict):
            do(world, ConnectNetwork(target, front, {}))
        do(world, DisconnectNetwork(target, front))
        with pytest.raises(Conflict):
            do(world, DisconnectNetwork(target, front))

    def test_a_network_name_can_be_held_once(self, world: World) -> None:
        do(world, network(world, "front"))
        with pytest.raises(Conflict):
            do(world, network(world, "front"))

    def test_a_network_with_users_stays(self, world: World) -> None:
        do(world, network(world, "front", Internal=True))
        target = run(world, "web-1", networks=(attachment(world, "front", "web"),))
        (net,) = (one for one in look(world).networks if one.name == f"{world.environment}_front")
        assert net.detail["Internal"] is True
        with pytest.raises(Refused, match="active endpoints"):
            do(world, RemoveNetwork(net.id, net.name))
        do(world, StopInstance(target), RemoveInstance(target), RemoveNetwork(net.id, net.name))
        assert net.name not in {one.name for one in look(world).networks}

    def test_a_shared_namespace_is_found_by_name(self, world: World) -> None:
        target = run(world, "db-1")
        created = instance(world, "backup-1", host={"NetworkMode": f"container:{target.name}"})
        do(world, created, StartInstance(Target(created.name)))
        (seen,) = (one for one in look(world).instances if one.name == created.name)
        assert seen.detail["HostConfig"]["NetworkMode"] == f"container:{target.id}"

    # Volumes

    def test_a_volume_is_made_once_and_keeps_its_labels(self, world: World) -> None:
        do(world, volume(world, "data", color="red"), volume(world, "data", color="blue"))
        (seen,) = (one for one in look(world).volumes if one.name == f"{world.environment}_data")
        assert seen.labels["color"] == "red"
        assert seen.detail["Driver"] == "local"

    def test_a_volume_in_use_stays_even_when_its_container_is_stopped(self, world: World) -> None:
        do(world, volume(world, "data"))
        name = f"{world.environment}_data"
        target = run(world, "db-1", host={"Binds": [f"{name}:/data"]})
        do(world, StopInstance(target))
        with pytest.raises(Refused, match="in use"):
            do(world, RemoveVolume(name))
        do(world, RemoveInstance(target, volumes=True), RemoveVolume(name))
        assert name not in {one.name for one in look(world).volumes}

    def test_a_replacement_inherits_an_anonymous_volume(self, world: World) -> None:
        from dataclasses import replace

        target = run(world, "db-1", Volumes={"/data": {}})
        (mount,) = only(world).detail["Mounts"]
        heir = replace(instance(world, "db-1-new", Volumes={"/data": {}}), inherits=target.id, anonymous=("/data",))
        do(world, heir)
        (seen,) = (one for one in look(world).instances if one.name == heir.name)
        assert [one["Name"] for one in seen.detail["Mounts"]] == [mount["Name"]]

    def test_an_anonymous_volume_goes_with_its_container_when_told(self, world: World) -> None:
        target = run(world, "db-1", Volumes={"/data": {}})
        (mount,) = only(world).detail["Mounts"]
        do(world, StopInstance(target), RemoveInstance(target, volumes=True))
        assert mount["Name"] not in {one.name for one in look(world).volumes}

    # Contents

    def test_delivered_files_are_read_back(self, world: World) -> None:
        created = instance(world, "web-1")
        files = (
            ContentFile("/etc/web/web.conf", b"port = 80\n", 0o440, 1000, 1000),
            ContentFile("/run/secrets/password", b"hunter2", 0o400, secret=True),
            ContentFile("/empty", b""),
        )
        do(world, created, DeliverFiles(Target(created.name), files), DeliverFiles(Target(created.name), files))
        do(world, StartInstance(Target(created.name)))
        id = only(world).id
        asked = frozenset((id, file.target) for file in files) | {(id, "/not/there"), (id, "/etc/web")}
        told = world.runtime.answer(Questions(contents=asked)).contents
        wanted = {(id, file.target): content_digest(file.content, file.mode, file.uid, file.gid) for file in files}
        assert told == {**wanted, (id, "/not/there"): None, (id, "/etc/web"): None}

    def test_the_content_of_a_container_that_is_gone_is_absent(self, world: World) -> None:
        assert world.runtime.answer(Questions(contents=frozenset({(GONE.id, "/x")}))).contents == {(GONE.id, "/x"): None}

    def test_a_filled_volume_shows_its_files_in_a_read_only_container(self, world: World) -> None:
        do(world, volume(world, "content", **{labels.ROLE: labels.ROLE_CONTENT}))
        name = f"{world.environment}_content"
        files = (ContentFile("/web.conf", b"port = 80\n", 0o444), ContentFile("/more/deep.conf", b"x", 0o400, 7, 8))
        filled = FillVolume(name, files, world.image, owner(world))
        do(world, filled, filled)
        assert look(world).instances == ()
        run(world, "web-1", host={"ReadonlyRootfs": True, "Binds": [f"{name}:/config:ro"]})
        id = only(world).id
        asked = frozenset((id, f"/config{file.target}") for file in files)
        told = world.runtime.answer(Questions(contents=asked)).contents
        assert told == {
            (id, f"/config{file.target}"): content_digest(file.content, file.mode, file.uid, file.gid) for file in files
        }

    def test_a_read_only_container_takes_no_files(self, world: World) -> None:
        created = instance(world, "web-1", host={"ReadonlyRootfs": True})
        do(world, created)
        with pytest.raises(Refused, match="read-only"):
            do(world, DeliverFiles(Target(created.name), (ContentFile("/x", b""),)))

    # Images

    def test_an_image_is_found_by_its_reference_or_not_at_all(self, world: World) -> None:
        told = world.runtime.answer(Questions(images=frozenset({world.image, "local/nothing:1"}))).images
        assert told["local/nothing:1"] is None
        found = told[world.image]
        assert found is not None
        assert found.id.startswith("sha256:")
        assert world.image in found.tags
        run(world, "web-1")
        assert only(world).image_id == found.id

    # Hooks

    def test_a_hook_that_succeeds_raises_nothing(self, world: World) -> None:
        do(world, RunHook(run(world, "web-1"), Hook(("true",))))

    def test_a_hook_that_fails_is_refused_with_its_code(self, world: World) -> None:
        target = run(world, "web-1")
        with pytest.raises(Refused, match="exited with 1:"):
            do(world, RunHook(target, Hook(("false",))))

    def test_a_hook_needs_a_running_container(self, world: World) -> None:
        created = instance(world, "web-1")
        do(world, created)
        with pytest.raises(Conflict, match="not running"):
            do(world, RunHook(Target(created.name), Hook(("true",))))

    # Events

    def test_events_tell_what_happens_to_ours_and_nothing_of_others(self, world: World) -> None:
        look(world)
        with heard(world) as lines:
            target = run(world, "web-1")
            world.foreign("neighbour")
            world.kill(target.id)
            world.until(lambda: f"container die {target.name}" in lines, "the kill was told")
            assert {f"container create {target.name}", f"container start {target.name}"} <= set(lines)
        assert not [line for line in lines if line.startswith("container") and "neighbour" in line]

    @pytest.mark.parametrize("depth", Depth)
    def test_what_events_told_and_what_we_changed_is_seen_at_every_depth(self, world: World, depth: Depth) -> None:
        target = run(world, "web-1")
        with heard(world) as lines:
            look(world)
            world.kill(target.id)
            world.until(lambda: f"container die {target.name}" in lines, "the kill was told")
            (killed,) = look(world, depth).instances
            do(world, StartInstance(target), network(world, "front"))
            seen = look(world, depth)
        assert (killed.ended, killed.exit_code) == (True, 137)
        assert [one.running for one in seen.instances] == [True]
        assert f"{world.environment}_front" in {one.name for one in seen.networks}

    def test_health_is_an_event(self, world: World) -> None:
        look(world)
        with heard(world) as lines:
            target = run(world, "web-1", Behaviour.HEALTHY)
            wanted = f"container health_status: healthy {target.name}"
            world.until(lambda: wanted in lines, "health was told")

    def test_an_event_makes_the_next_look_see_a_changed_limit(self, world: World) -> None:
        target = run(world, "web-1")
        with heard(world) as lines:
            other = world.another()
            other.observe(world.environment)
            other.do(UpdateInstance(target, {"Memory": 64 * MIB, "MemorySwap": 128 * MIB}))
            world.until(lambda: f"container update {target.name}" in lines, "the update was told")
            assert only(world).detail["HostConfig"]["Memory"] == 64 * MIB

    # Logs

    def test_logs_tell_stream_and_time_of_each_line(self, world: World) -> None:
        target = run(world, "web-1", Behaviour.SPEAKS)
        world.until(lambda: len(list(world.runtime.logs(target.id))) == 2, "both lines are written")
        lines = list(world.runtime.logs(target.id))
        assert [(line.stream, line.text, line.instance) for line in lines] == [
            ("stdout", "to stdout", target.id),
            ("stderr", "to stderr", target.id),
        ]
        assert all(line.at is not None and line.at.tzinfo is UTC for line in lines)
        assert [line.text for line in world.runtime.logs(target.id, tail=1)] == ["to stderr"]

    def test_a_followed_log_ends_with_its_container(self, world: World) -> None:
        target = run(world, "web-1", Behaviour.SPEAKS)
        world.until(lambda: len(list(world.runtime.logs(target.id))) == 2, "both lines are written")
        lines: list[str] = []

        def follow() -> None:
            lines.extend(line.text for line in world.another().logs(target.id, follow=True))

        follower = threading.Thread(target=follow)
        follower.start()
        do(world, StopInstance(target))
        follower.join(10)
        assert not follower.is_alive()
        assert lines == ["to stdout", "to stderr"]

    # The lease

    def test_the_lease_has_one_holder(self, world: World) -> None:
        mine = world.runtime.claim_lease(world.environment, "a:1:x", NOON, 60)
        theirs = world.another().claim_lease(world.environment, "b:2:y", NOON + timedelta(seconds=30), 60)
        assert mine == theirs
        assert (mine.holder, mine.expires) == ("a:1:x", NOON + timedelta(seconds=60))

    def test_the_lease_is_renewed_only_past_half_of_its_time(self, world: World) -> None:
        first = world.runtime.claim_lease(world.environment, "a", NOON, 60)
        assert world.runtime.claim_lease(world.environment, "a", NOON + timedelta(seconds=29), 60) == first
        later = world.runtime.claim_lease(world.environment, "a", NOON + timedelta(seconds=31), 60)
        assert (later.expires, later.before) == (NOON + timedelta(seconds=91), "")
        assert later.generation > first.generation

    def test_an_expired_lease_is_taken_over(self, world: World) -> None:
        first = world.runtime.claim_lease(world.environment, "a", NOON, 60)
        taken = world.another().claim_lease(world.environment, "b", NOON + timedelta(seconds=60), 60)
        assert (taken.holder, taken.before) == ("b", "a")
        assert taken.generation > first.generation
        assert world.runtime.claim_lease(world.environment, "a", NOON + timedelta(seconds=61), 60) == taken

    def test_a_lease_is_over_when_the_clock_was_set_back_since_it_was_told(self, world: World) -> None:
        world.runtime.claim_lease(world.environment, "a", NOON, 60)
        earlier = NOON - timedelta(hours=2)
        taken = world.another().claim_lease(world.environment, "b", earlier, 60)
        assert (taken.holder, taken.expires) == ("b", earlier + timedelta(seconds=60))

    def test_a_lease_given_back_is_free_at_once(self, world: World) -> None:
        world.runtime.claim_lease(world.environment, "a", NOON, 60)
        world.another().release_lease(world.environment, "b")
        assert world.another().claim_lease(world.environment, "b", NOON, 60).holder == "a"
        world.runtime.release_lease(world.environment, "a")
        taken = world.another().claim_lease(world.environment, "b", NOON, 60)
        assert (taken.holder, taken.before) == ("b", "")

    def test_a_lease_passed_on_is_for_whoever_works_in_that_container(self, world: World) -> None:
        successor = run(world, "web-1.next")
        world.runtime.claim_lease(world.environment, "old", NOON, 60)
        do(world, HandOver(successor, world.environment, "old", NOON + timedelta(seconds=90)))
        passed = world.runtime.claim_lease(world.environment, "old", NOON, 60)
        assert container_of(passed.holder) == successor.id
        assert passed.expires == NOON + timedelta(seconds=90)
        assert world.another().claim_lease(world.environment, "stranger", NOON, 60) == passed
        new = f"new:1:00 {within(successor.id)}"
        assert world.another().claim_lease(world.environment, new, NOON + timedelta(seconds=1), 60).holder == new

    def test_a_lease_passed_on_to_a_container_that_is_gone_is_anybodys(self, world: World) -> None:
        successor = run(world, "web-1.next")
        world.runtime.claim_lease(world.environment, "old", NOON, 60)
        do(world, HandOver(successor, world.environment, "old", NOON + timedelta(seconds=90)))
        world.remove(successor.id)
        assert world.runtime.claim_lease(world.environment, "old", NOON, 60).holder == "old"

    def test_nobody_passes_on_the_lease_of_another(self, world: World) -> None:
        successor = run(world, "web-1.next")
        world.runtime.claim_lease(world.environment, "other", NOON, 60)
        with pytest.raises(Conflict, match="other holds the lease by now"):
            do(world, HandOver(successor, world.environment, "old", NOON + timedelta(seconds=90)))
        assert world.runtime.claim_lease(world.environment, "other", NOON, 60).holder == "other"

    def test_of_many_who_claim_at_once_all_agree_on_one_holder(self, world: World) -> None:
        claimants = [(world.another(), f"holder-{number}") for number in range(6)]
        told: list[str] = []
        ready = threading.Barrier(len(claimants))

        def claim(claimant: tuple[object, str]) -> None:
            ready.wait(10)
            told.append(claimant[0].claim_lease(world.environment, claimant[1], NOON, 60).holder)  # type: ignore[attr-defined]

        threads = [threading.Thread(target=claim, args=[claimant]) for claimant in claimants]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(told) == len(claimants)
        assert len(set(told)) == 1

    def test_environments_have_leases_of_their_own(self, world: World) -> None:
        world.runtime.claim_lease(world.environment, "a", NOON, 60)
        other = f"{world.environment}-staging"
        assert world.another().claim_lease(other, "b", NOON, 60).holder == "b"
        world.another().release_lease(other, "b")
