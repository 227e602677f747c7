"""What does the Docker driver promise beyond every runtime's contract? On this machine's engine."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from worlds import (
    IMAGE,
    Behaviour,
    DockerWorld,
    attachment,
    do,
    document,
    engine,
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
from reconciler.model.observed import Questions
from reconciler.model.plan import (
    ConnectNetwork,
    CreateVolume,
    DeliverFiles,
    DisconnectNetwork,
    FillVolume,
    RemoveInstance,
    RunHook,
    StartInstance,
    StopInstance,
    Target,
    UpdateInstance,
)

pytestmark = pytest.mark.engine

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
NUMBERS = itertools.count()


@pytest.fixture
def world() -> Iterator[DockerWorld]:
    world = DockerWorld(f"e{os.getpid()}-{next(NUMBERS)}")
    try:
        yield world
    finally:
        world.close()


# Names on networks


def test_aliases_resolve_and_still_do_after_a_network_was_taken_and_given_back(world: DockerWorld) -> None:
    do(world, network(world, "back"))
    db = run(world, "db-1", networks=(attachment(world, "back", "db"),))
    web = run(world, "web-1", networks=(attachment(world, "back", "web"),))
    assert "Address" in engine("exec", web.id, "nslookup", "db")
    place = f"{world.environment}_back"
    do(world, DisconnectNetwork(db, place), ConnectNetwork(db, place, {"Aliases": ["db"]}))
    assert "Address" in engine("exec", web.id, "nslookup", "db")


@pytest.mark.parametrize("places", [("front", "missing"), ("missing", "front")])
def test_a_network_that_is_missing_is_a_conflict_and_leaves_what_the_next_look_sees(
    world: DockerWorld, places: tuple[str, ...]
) -> None:
    created = instance(world, "web-1", networks=tuple(attachment(world, key) for key in places))
    with pytest.raises(Conflict, match=r"missing.* not found"):
        do(world, network(world, "front"), created, StartInstance(Target(created.name)))
    assert not only(world).running


def test_other_namespaces_are_found_by_name_too(world: DockerWorld) -> None:
    db = run(world, "db-1", host={"IpcMode": "shareable"})
    do(world, instance(world, "web-1", host={"PidMode": f"container:{db.name}", "IpcMode": f"container:{db.name}"}))
    host = document(f"{world.environment}-web-1")["HostConfig"]
    assert (host["PidMode"], host["IpcMode"]) == (f"container:{db.id}", f"container:{db.id}")


def test_a_namespace_of_a_container_that_is_gone_is_a_conflict(world: DockerWorld) -> None:
    with pytest.raises(Conflict, match="is gone"):
        do(world, instance(world, "web-1", host={"NetworkMode": f"container:{world.environment}-db-1"}))


# Files


def test_directories_on_the_way_are_made_and_those_there_stay_as_they_are(world: DockerWorld) -> None:
    created = instance(world, "web-1")
    do(world, created, DeliverFiles(Target(created.name), (ContentFile("/tmp/a/b/c", b"x"), ContentFile("/tmp/d", b"x"))))
    do(world, StartInstance(Target(created.name)))
    modes = engine("exec", created.name, "stat", "-c", "%a %u %n", "/tmp", "/tmp/a", "/tmp/a/b", "/tmp/a/b/c")
    assert modes.splitlines() == ["1777 0 /tmp", "755 0 /tmp/a", "755 0 /tmp/a/b", "444 0 /tmp/a/b/c"]


def test_a_file_never_replaces_a_directory_of_the_image(world: DockerWorld) -> None:
    created = instance(world, "web-1")
    do(world, created)
    with pytest.raises(Refused, match="directory"):
        do(world, DeliverFiles(Target(created.name), (ContentFile("/bin", b"x"),)))


def test_a_symbolic_link_is_no_file_and_a_changed_file_has_another_digest(world: DockerWorld) -> None:
    target = run(world, "web-1")
    engine("exec", target.id, "sh", "-c", "echo -n x > /tmp/file; busybox chmod 640 /tmp/file")
    asked = frozenset({(target.id, "/bin/sh"), (target.id, "/tmp/file"), (target.id, "/tmp/file/below")})
    told = world.runtime.answer(Questions(contents=asked)).contents
    assert told[target.id, "/bin/sh"] is None
    assert told[target.id, "/tmp/file"] == content_digest(b"x", 0o640, 0, 0) != content_digest(b"x", 0o644, 0, 0)
    assert told[target.id, "/tmp/file/below"] is None


def test_a_helper_left_behind_by_a_killed_process_is_replaced(world: DockerWorld) -> None:
    do(world, volume(world, "content"))
    name = f"{world.environment}_content"
    marks = [f"--label={key}={value}" for key, value in owner(world).items()]
    engine("create", f"--name={name}-fill", *marks, IMAGE, "sh")
    do(world, FillVolume(name, (ContentFile("/x", b"x"),), IMAGE, owner(world)))
    assert look(world).instances == ()


def test_somebody_elses_container_under_the_helpers_name_stays(world: DockerWorld) -> None:
    do(world, volume(world, "content"))
    name = f"{world.environment}_content"
    id = engine("create", f"--name={name}-fill", f"--label=test={world.environment}", IMAGE, "sh")
    with pytest.raises(Conflict, match="already in use"):
        do(world, FillVolume(name, (ContentFile("/x", b"x"),), IMAGE, owner(world)))
    assert document(id)["Id"] == id


def test_files_of_the_image_do_not_leak_into_a_content_volume(world: DockerWorld) -> None:
    do(world, volume(world, "content"))
    name = f"{world.environment}_content"
    do(world, FillVolume(name, (ContentFile("/only", b"x"),), IMAGE, owner(world)))
    run(world, "web-1", host={"Mounts": [{"Type": "volume", "Source": name, "Target": "/bin/content"}]})
    assert engine("exec", f"{world.environment}-web-1", "ls", "/bin/content") == "only"


# What is not ours


def test_a_foreign_volume_with_the_wanted_name_is_refused(world: DockerWorld) -> None:
    name = f"{world.environment}_data"
    engine("volume", "create", f"--label=test={world.environment}", name)
    with pytest.raises(Refused, match="not ours"):
        do(world, CreateVolume(name, {"Driver": "local"}, owner(world)))


# Starting, stopping, changing


def test_a_command_that_does_not_exist_is_refused_in_the_engines_words(world: DockerWorld) -> None:
    created = instance(world, "web-1", Entrypoint=["/bin/nothing"])
    do(world, created)
    with pytest.raises(Refused, match="/bin/nothing") as refusal:
        do(world, StartInstance(Target(created.name)))
    assert str(refusal.value).startswith(f"start instance {created.name}: ")


def test_a_container_that_was_told_its_grace_gets_it(world: DockerWorld) -> None:
    target = run(world, "web-1", Behaviour.STUBBORN, StopTimeout=1)
    before = only(world).started
    do(world, StopInstance(target))
    after = only(world).finished
    assert before is not None
    assert after is not None
    assert after - before < timedelta(seconds=8)


def test_a_secret_that_the_engine_repeats_is_masked(world: DockerWorld) -> None:
    with pytest.raises(Refused) as refusal:
        do(world, instance(world, "web-1", Env=["PASSWORD=hunter2222"], Healthcheck={"Test": ["hunter2222"], "Interval": 1}))
    assert "hunter2222" not in str(refusal.value)


def test_limits_that_contradict_one_another_are_refused(world: DockerWorld) -> None:
    target = run(world, "web-1", host={"Memory": 32 << 20, "MemorySwap": 32 << 20})
    with pytest.raises(Refused, match="memoryswap"):
        do(world, UpdateInstance(target, {"Memory": 64 << 20}))


def test_a_limit_taken_away_reads_back_as_none(world: DockerWorld) -> None:
    target = run(world, "web-1", host={"PidsLimit": 50})
    do(world, UpdateInstance(target, {"PidsLimit": -1}))
    assert document(target.id)["HostConfig"]["PidsLimit"] in (None, 0, -1)


def test_thirty_containers_are_made_and_seen_side_by_side(world: DockerWorld) -> None:
    wanted = [instance(world, f"web-{number}") for number in range(30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(world.runtime.do, wanted))
        seen = list(pool.map(lambda _: look(world).instances, range(4)))
    assert {tuple(sorted(one.name for one in several)) for several in seen} == {tuple(sorted(one.name for one in wanted))}


def test_a_volume_inherited_is_not_lost_with_its_first_container(world: DockerWorld) -> None:
    old = run(world, "db-1", Volumes={"/data": {}})
    engine("exec", old.id, "sh", "-c", "echo kept > /data/x")
    heir = replace(instance(world, "db-1-new", Volumes={"/data": {}}), inherits=old.id, anonymous=("/data",))
    do(world, heir, StopInstance(old), RemoveInstance(old), StartInstance(Target(heir.name)))
    assert engine("exec", heir.name, "cat", "/data/x") == "kept"


# Hooks


def test_a_hook_runs_as_it_is_told(world: DockerWorld) -> None:
    target = run(world, "web-1")
    command = ("sh", "-c", "echo $A $(id -u) $(pwd); exit 4")
    hook = Hook(command, user="web", working_dir="/tmp", environment=("A=hello",))
    with pytest.raises(Refused, match=re.escape("exited with 4: *** 1000 /tmp")):
        do(world, RunHook(target, hook))


def test_only_the_last_line_of_a_talkative_hook_is_told(world: DockerWorld) -> None:
    target = run(world, "web-1")
    command = ("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo last; exit 1")
    with pytest.raises(Refused) as refusal:
        do(world, RunHook(target, Hook(command)))
    assert str(refusal.value).endswith("exited with 1: last")


# Logs


def _log(world: DockerWorld, script: str, **config: Any) -> list[tuple[str, str]]:
    target = run(world, "web-1", Cmd=[script], **config)
    world.until(lambda: only(world).ended, "the container ended")
    return [(line.stream, line.text) for line in world.runtime.logs(target.id)]


def test_a_line_longer_than_the_engines_frames_is_one_line(world: DockerWorld) -> None:
    lines = _log(world, "busybox printf '%040000d\\n' 7; echo end")
    assert [(len(text), text[-3:]) for _, text in lines] == [(40000, "007"), (3, "end")]


def test_a_terminal_has_one_stream(world: DockerWorld) -> None:
    assert _log(world, "echo out; echo err >&2", Tty=True) == [("stdout", "out"), ("stdout", "err")]


def test_a_last_line_without_newline_and_empty_lines_are_told(world: DockerWorld) -> None:
    assert _log(world, "echo; echo ' x'; busybox printf end") == [("stdout", ""), ("stdout", " x"), ("stdout", "end")]


# The lease


def test_the_lease_of_a_container_that_runs_no_more_is_free(world: DockerWorld) -> None:
    target = run(world, "reconciler")
    holder = f"host:1:x container={target.id}"
    world.runtime.claim_lease(world.environment, holder, NOON, 60)
    assert world.another().claim_lease(world.environment, "b", NOON, 60).holder == holder
    world.kill(target.id)
    world.until(lambda: only(world).ended, "the holder's container ended")
    assert world.another().claim_lease(world.environment, "b", NOON, 60).holder == "b"


def test_one_volume_remembers_the_lease(world: DockerWorld) -> None:
    for minutes in range(5):
        world.runtime.claim_lease(world.environment, "a", NOON + timedelta(minutes=minutes), 60)
    named = engine("volume", "ls", "--quiet", "--filter", f"label={labels.LEASE}={world.environment}")
    assert named == f"reconciler-lease-{world.environment}.5"


def test_a_slow_claimant_who_finds_a_generation_left_behind_does_not_get_the_lease(world: DockerWorld) -> None:
    name = world.environment
    held = [world.runtime.claim_lease(name, "a", NOON + timedelta(minutes=minutes), 60) for minutes in range(3)]
    later = (NOON + timedelta(hours=1)).isoformat()
    marks = {labels.LEASE: name, labels.HOLDER: "slow", labels.EXPIRES: later}
    # What a claimant does who saw generation 1 in force and slept since.
    engine("volume", "create", *(f"--label={key}={value}" for key, value in marks.items()), f"reconciler-lease-{name}.2")
    assert world.another().claim_lease(name, "slow", NOON + timedelta(minutes=2), 60) == held[-1]


def test_a_volume_that_only_looks_like_a_lease_is_none(world: DockerWorld) -> None:
    marks = {labels.LEASE: world.environment, labels.HOLDER: "x", labels.EXPIRES: "tomorrow"}
    engine("volume", "create", *(f"--label={key}={value}" for key, value in marks.items()), f"{world.environment}.7")
    assert world.runtime.claim_lease(world.environment, "a", NOON, 60).generation == 1
