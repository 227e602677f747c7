"""Does the world in memory do what only a world in memory can: fail on demand, repeat itself, and notice what is forbidden?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import EngineError, Killed, MemoryRuntime, Rule, Trouble, World
from reconciler.errors import Conflict, Refused, Unreachable
from reconciler.model import labels
from reconciler.model.desired import Attachment, Network
from reconciler.model.observed import Instance, Phase, Probe, Questions
from reconciler.model.plan import (
    Change,
    CreateInstance,
    CreateNetwork,
    CreateVolume,
    PullImage,
    RemoveNetwork,
    RemoveVolume,
    StartInstance,
    StopInstance,
    Target,
)

OURS = {labels.ENVIRONMENT: "production", labels.STACK: "shop", labels.SERVICE: "web", labels.SPEC: "v1:k:1"}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(clock: VirtualClock) -> World:
    world = World(clock)
    world.image("web:1")
    return world


@pytest.fixture
def runtime(world: World) -> MemoryRuntime:
    runtime = MemoryRuntime(world)
    runtime.observe("production")
    return runtime


def create(name: str = "web", image: str = "web:1", slot: int = 1, **host: Any) -> CreateInstance:
    payload = {"Labels": {**OURS, labels.SLOT: str(slot)}, "HostConfig": host}
    return CreateInstance(name, "shop/web", slot, image, payload)


def run(runtime: MemoryRuntime, *changes: CreateInstance) -> None:
    for change in changes:
        runtime.do(change)
        runtime.do(StartInstance(Target(change.name)))


def only(runtime: MemoryRuntime) -> Instance:
    (found,) = runtime.observe("production").instances
    return found


# Behaviour by script


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"health_after": 5.0}, {0: "starting", 4.9: "starting", 5: "healthy", 500: "healthy"}),
        ({"never_healthy": True}, {89: "starting", 90: "unhealthy", 500: "unhealthy"}),
        ({"health_after": 100.0}, {89: "starting", 90: "unhealthy", 100: "healthy"}),
        ({"health_after": 1.0, "unhealthy_after": 60.0}, {1: "healthy", 59: "healthy", 60: "unhealthy"}),
    ],
)
def test_health_follows_its_script(
    world: World, runtime: MemoryRuntime, clock: VirtualClock, how: dict[str, Any], expected: dict[float, str]
) -> None:
    world.image("scripted:1", **how)
    run(runtime, create(image="scripted:1"))
    for second, probe in expected.items():
        clock.advance(second - clock.monotonic())
        assert only(runtime).probe is Probe(probe)


def test_engine_restarts_wait_twice_as_long_each_time_until_the_process_was_stable(
    world: World, runtime: MemoryRuntime, clock: VirtualClock
) -> None:
    world.image("loops:1", exits=1, after=1.0)
    run(runtime, create(image="loops:1", RestartPolicy={"Name": "always"}))
    clock.advance(600)
    starts = [event.at for event in world.events if event.action == "start"]
    waits = [round((after - before).total_seconds() - 1, 1) for before, after in pairwise(starts)]
    assert waits[:11] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0]


def test_a_stop_takes_its_grace_only_from_what_ignores_it(world: World, runtime: MemoryRuntime, clock: VirtualClock) -> None:
    world.image("deaf:1", ignores_term=True)
    run(runtime, create("good", slot=1), create("deaf", "deaf:1", slot=2))
    runtime.do(StopInstance(Target("good"), 30))
    assert clock.monotonic() == 0
    runtime.do(StopInstance(Target("deaf"), 30))
    assert clock.monotonic() == 30
    assert {one.name: one.exit_code for one in runtime.observe("production").instances} == {"good": 0, "deaf": 137}


def test_a_frozen_process_does_later_what_fell_due_meanwhile(world: World, runtime: MemoryRuntime, clock: VirtualClock) -> None:
    world.image("job:1", exits=0, after=5.0)
    run(runtime, create(image="job:1"))
    world.pause("web")
    clock.advance(60)
    assert only(runtime).phase is Phase.PAUSED
    world.unpause("web")
    assert only(runtime).phase is Phase.EXITED


def test_a_bad_command_is_refused_when_it_is_started(world: World, runtime: MemoryRuntime) -> None:
    world.image("bad:1", bad_command=True)
    runtime.do(create(image="bad:1"))
    with pytest.raises(Refused, match="no such file or directory"):
        runtime.do(StartInstance(Target("web")))
    assert (only(runtime).phase, only(runtime).exit_code) == (Phase.CREATED, 127)


@pytest.mark.parametrize(
    ("policy", "by_hand", "comes_back"),
    [
        ("no", "", False),
        ("always", "", True),
        ("always", "stop", True),
        ("unless-stopped", "", True),
        ("unless-stopped", "stop", False),
        ("on-failure", "", False),
        ("on-failure", "kill", True),
    ],
)
def test_with_the_engine_starts_what_its_policy_says(
    world: World, runtime: MemoryRuntime, policy: str, by_hand: str, comes_back: bool
) -> None:
    run(runtime, create(RestartPolicy={"Name": policy}))
    runtime.do(create("never-started", slot=2, RestartPolicy={"Name": policy}))
    if by_hand:
        getattr(world, by_hand)("web")
    world.restart_engine()
    assert [one.running for one in runtime.observe("production").instances] == [False, comes_back]


# Images and their registry


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (Trouble.MISSING, Refused),
        (Trouble.DENIED, Refused),
        (Trouble.LIMITED, Unreachable),
        (Trouble.BROKEN, Unreachable),
        (Trouble.HANGS, Unreachable),
    ],
)
def test_a_registry_fails_as_it_is_told(
    world: World, runtime: MemoryRuntime, clock: VirtualClock, trouble: Trouble, error: type[Exception]
) -> None:
    world.image("far:1", local=False)
    world.registry_fails("far:1", trouble)
    assert runtime.digests(["far:1"]) == {}
    with pytest.raises(error):
        runtime.do(PullImage("far:1"))
    assert (clock.monotonic() > 0) == (trouble is Trouble.HANGS)
    world.registry_fails("far:1", None)
    runtime.do(PullImage("far:1"))
    assert runtime.answer(Questions(images=frozenset({"far:1"}))).images["far:1"]


def test_a_tag_that_moved_is_pulled_as_the_digest_that_was_planned(world: World, runtime: MemoryRuntime) -> None:
    planned = world.image("far:1", local=False)
    world.image("far:1", local=False)
    assert runtime.digests(["far:1", "absent:1"]) != {"far:1": planned.digest}
    runtime.do(PullImage("far:1", digest=planned.digest))
    found = runtime.answer(Questions(images=frozenset({"far:1", f"far@{planned.digest}"}))).images
    assert {image.id for image in found.values() if image} == {planned.id}


# Faults


@pytest.mark.parametrize(
    ("kind", "error", "left"),
    [
        ("before", Unreachable, []),
        ("halfway", Unreachable, ["front"]),
        ("after", Unreachable, ["back", "front"]),
        ("refuse", Refused, []),
        ("conflict", Conflict, []),
        ("restart", Unreachable, []),
    ],
)
def test_a_change_fails_as_far_along_as_it_is_told(
    world: World, runtime: MemoryRuntime, kind: str, error: type[Exception], left: list[str]
) -> None:
    world.fail(3, kind)
    with pytest.raises(error):
        on_two_networks(runtime)
    assert runtime.mutations == 3
    found = runtime.observe("production").instances
    assert sorted(name for one in found for name in one.detail["NetworkSettings"]["Networks"]) == left


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("halfway", 1), ("after", 2)])
def test_a_killed_reconciler_runs_none_of_its_handlers(world: World, runtime: MemoryRuntime, when: str, left: int) -> None:
    world.crash(3, when)
    with pytest.raises(Killed):
        on_two_networks(runtime)
    found = MemoryRuntime(world).observe("production").instances
    assert sum(len(one.detail["NetworkSettings"]["Networks"]) for one in found) == left
    assert not isinstance(Killed(), Exception)


def on_two_networks(runtime: MemoryRuntime) -> None:
    for key in ("front", "back"):
        runtime.do(CreateNetwork(Network("shop", "shop", key, key), OURS))
    change = create()
    places = tuple(Attachment(key, key) for key in ("front", "back"))
    runtime.do(CreateInstance(change.name, change.service, 1, change.image, change.payload, places))


@pytest.mark.parametrize(
    "ask",
    [
        lambda runtime: runtime.observe("production"),
        lambda runtime: runtime.answer(Questions()),
        lambda runtime: runtime.digests(["web:1"]),
        lambda runtime: runtime.do(create()),
        lambda runtime: next(runtime.events(threading.Event())),
        lambda runtime: next(runtime.logs("web")),
        lambda runtime: runtime.claim_lease("production", "a", VirtualClock().now(), 60),
        lambda runtime: runtime.release_lease("production", "a"),
    ],
    ids=["observe", "answer", "digests", "do", "events", "logs", "claim", "release"],
)
def test_an_engine_that_is_down_answers_nothing(
    world: World, runtime: MemoryRuntime, ask: Callable[[MemoryRuntime], Any]
) -> None:
    world.engine_down()
    with pytest.raises(Unreachable):
        ask(runtime)
    assert world.mutations == 0
    world.engine_up()
    runtime.observe("production")


@pytest.mark.parametrize("goes", ["engine_down", "restart_engine"])
def test_an_engine_that_goes_away_breaks_the_streams_that_listen(world: World, runtime: MemoryRuntime, goes: str) -> None:
    listening, broken = threading.Event(), threading.Event()

    def listen() -> None:
        try:
            for _ in runtime.events(threading.Event()):
                listening.set()
        except Unreachable:
            broken.set()

    listener = threading.Thread(target=listen)
    listener.start()
    while not listening.is_set():
        world.foreign_network(f"n{len(world.events)}")
        listening.wait(0.01)
    getattr(world, goes)()
    listener.join(10)
    assert broken.is_set()


# Repeating itself


def test_equal_histories_make_equal_worlds() -> None:
    def told() -> object:
        world = World(VirtualClock())
        world.image("web:1", health_after=1.0)
        runtime = MemoryRuntime(world)
        runtime.observe("production")
        run(runtime, create("web-1", slot=1), create("web-2", slot=2))
        world.clock.advance(2)
        world.remove("web-1")
        run(runtime, create("web-1", slot=1))
        return runtime.observe("production"), world.events

    assert told() == told()


def test_a_name_used_again_makes_another_id(world: World, runtime: MemoryRuntime) -> None:
    runtime.do(create())
    first = only(runtime).id
    world.remove("web")
    runtime.do(create())
    assert only(runtime).id != first


# The audit


def test_nothing_forbidden_is_nothing_to_tell(world: World, runtime: MemoryRuntime) -> None:
    world.foreign_container("proxy", {"80/tcp": "8080"})
    runtime.do(CreateVolume("data", {}, OURS))
    run(runtime, create(Binds=["data:/data"]))
    runtime.do(StopInstance(Target("web")))
    assert world.audit() == ()


def test_what_people_do_is_not_the_reconcilers_fault(world: World, runtime: MemoryRuntime) -> None:
    world.foreign_container("proxy")
    world.remove("proxy")
    runtime.do(create())
    assert world.audit() == ()


def in_use(runtime: MemoryRuntime) -> Change:
    runtime.do(CreateVolume("data", {}, OURS))
    run(runtime, create(Binds=["data:/data"]))
    return RemoveVolume("data")


def on_it(runtime: MemoryRuntime) -> Change:
    runtime.do(CreateNetwork(Network("shop", "shop", "front", "front"), OURS))
    run(runtime, create(NetworkMode="front"))
    return RemoveNetwork(next(one.id for one in runtime.observe("production").networks if one.name == "front"), "front")


def third_in_a_slot(runtime: MemoryRuntime) -> Change:
    runtime.do(create("web"))
    runtime.do(create("web.next"))
    return create("web.another")


def second_writer(runtime: MemoryRuntime) -> Change:
    run(runtime, create("db", Binds=["data:/data"]))
    runtime.do(create("db.next", Binds=["data:/data"]))
    return StartInstance(Target("db.next"))


def nameless(runtime: MemoryRuntime) -> Change:
    return CreateInstance("web", "shop/web", 1, "web:1", {"Labels": {labels.ENVIRONMENT: "production"}})


@pytest.mark.parametrize(
    ("forbidden", "rule"),
    [
        (in_use, Rule.USED),
        (on_it, Rule.USED),
        (third_in_a_slot, Rule.SLOT),
        (second_writer, Rule.DATA),
        (nameless, Rule.IDENTITY),
    ],
)
def test_what_is_forbidden_is_told(
    world: World, runtime: MemoryRuntime, forbidden: Callable[[MemoryRuntime], Change], rule: Rule
) -> None:
    change = forbidden(runtime)
    assert world.audit() == ()
    try:
        runtime.do(change)
    except Refused:
        assert rule is Rule.USED
    assert [one.rule for one in world.audit()] == [rule]


def test_a_change_to_somebody_elses_container_is_told_even_if_nobody_stopped_it(world: World) -> None:
    world.foreign_container("proxy")
    with world.watch.watching(lambda marks: labels.ENVIRONMENT in marks):
        world.rename("proxy", "ours-now")
    assert [one.rule for one in world.audit()] == [Rule.FOREIGN]


# The hands of people


def test_a_person_who_runs_compose_up_leaves_a_container_that_is_no_longer_ours(world: World, runtime: MemoryRuntime) -> None:
    run(runtime, create())
    world.compose_up("web")
    assert runtime.observe("production").instances == ()
    assert world.container("web").alive


def test_a_person_is_answered_as_by_the_engine(world: World) -> None:
    with pytest.raises(EngineError, match="No such container: nothing"):
        world.kill("nothing")
