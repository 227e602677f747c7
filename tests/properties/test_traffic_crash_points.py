"""Does every change behind the gateway end in one whole version, wherever the reconciler is killed, and whatever it forgets?

Each story is played once undisturbed, then killed before, in and after each of its changes, commands to the gateway
included. Every promise of traffic_playing.py holds on the way. Usually every fourth point is tried, for the two worst kinds
of death; RECONCILER_CRASH_POINTS=all tries every point and kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from traffic_asked import IMAGES, Asked, Push, Served, Step
from traffic_playing import Crossing, differences, say, take

from reconciler.model.history import Rollback

WEB = Served("web", "web:1", 2)
API = Served("api", "web:1", 1)
CHANGES_AT_MOST = 60
EVERYTHING = os.environ.get("RECONCILER_CRASH_POINTS") == "all"
ORDERS, STRIDE = (3, 1) if EVERYTHING else (1, 4)
"""At each point actions are carried out in so many orders that their needs leave open; so far is it from point to point."""


@dataclass(frozen=True, slots=True)
class Story:
    """From a revision that was applied whole to `steps`; in the end there is one of `ends`.

    forgotten  what there may be in the end, too, where the state directory was lost
    """

    name: str
    before: Asked
    steps: tuple[Step, ...]
    ends: Asked
    forgotten: Asked = ()


def to(strategy: str, image: str = "web:2", replicas: int = 2) -> Asked:
    return (replace(WEB, image=image, strategy=strategy, replicas=replicas),)


def of(strategy: str) -> Asked:
    return (replace(WEB, strategy=strategy),)


STORIES = (
    *(Story(name, of(name), (Push(to(name)),), to(name)) for name in ("rolling", "blue-green", "canary", "recreate")),
    *(
        Story(f"{name}, broken", of(name), (Push(to(name, "sick:1")),), of(name))
        for name in ("rolling", "blue-green", "canary", "recreate")
    ),
    Story(
        "canary, aborted",
        of("canary"),
        (Push(to("canary")), "settle 2s", "rollout abort shop/web"),
        of("canary"),
        forgotten=to("canary"),
    ),
    Story(
        "blue-green, aborted while the old set stands by",
        of("blue-green"),
        (Push(to("blue-green")), "settle 3s", "rollout abort shop/web"),
        of("blue-green"),
        forgotten=to("blue-green"),
    ),
    Story(
        "aborted while the old set stands by, and nothing falls back",
        of("paused"),
        (Push(to("paused")), "settle 3s", "rollout abort shop/web"),
        of("paused"),
        forgotten=to("paused"),
    ),
    Story(
        "canary, overtaken",
        of("canary"),
        (Push(to("canary", "sick:1")), "settle 1s", Push(to("canary"))),
        to("canary"),
    ),
    Story("rolled back", of("rolling"), (Push(to("rolling")), "settle 1m", "take back"), of("rolling")),
    Story("blue-green, rolled back", of("blue-green"), (Push(to("blue-green")), "settle 3s", "take back"), of("blue-green")),
    Story("scale up", to("rolling", "web:1", 1), (Push(to("rolling", "web:1", 3)),), to("rolling", "web:1", 3)),
    Story("scale down", to("rolling", "web:1", 3), (Push(to("rolling", "web:1", 1)),), to("rolling", "web:1", 1)),
    Story("a service comes", of("rolling"), (Push((API, *of("rolling"))),), (API, *of("rolling"))),
    Story("a service goes", (API, *of("rolling")), (Push(of("rolling")),), of("rolling")),
    Story("gateway upgrade", of("rolling"), ("gateway haproxy:2",), of("rolling")),
    Story("a dead gateway", of("rolling"), ("kill reconciler-gateway-shop",), of("rolling")),
    Story("a dead replica", of("rolling"), ("kill shop-web-1",), of("rolling")),
)


def die(when: str) -> Callable[[Crossing, int], None]:
    return lambda stage, nth: stage.world.crash(nth, when)


def lose(when: str) -> Callable[[Crossing, int], None]:
    return lambda stage, nth: stage.world.fail(nth, when)


def forget(when: str) -> Callable[[Crossing, int], None]:
    def forgetting(stage: Crossing, nth: int) -> None:
        stage.state_lasts = False
        stage.world.crash(nth, when)

    return forgetting


ALWAYS = {"killed after": die("after"), "killed after, state lost": forget("after")}
FURTHER = {
    "killed before": die("before"),
    "killed halfway": die("halfway"),
    "killed before, state lost": forget("before"),
    "lost before": lose("before"),
    "lost after": lose("after"),
    "refused": lose("refuse"),
}
DEATHS = ALWAYS | FURTHER if EVERYTHING else ALWAYS


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_one_whole_version_is_there_in_the_end(
    story: Story, death: str, record_property: Callable[[str, object], None]
) -> None:
    forgets = "state lost" in death
    if forgets and "take back" in story.steps:
        pytest.skip("a rollback that does not stand in Git is forgotten with the state directory")
    points = 0
    for chance in range(ORDERS):
        undisturbed = began(story, chance)
        changes = undisturbed.world.mutations
        say(undisturbed, "settle 10m")
        assert ends(undisturbed, story.ends) == []
        changes = undisturbed.world.mutations - changes
        assert 0 < changes <= CHANGES_AT_MOST
        for nth in range(1 + list(DEATHS).index(death) % STRIDE, changes + 1, STRIDE):
            stage = began(story, chance * CHANGES_AT_MOST + nth)
            DEATHS[death](stage, nth)
            say(stage, "settle 10m")
            stage.clock.advance(700)
            say(stage, "settle 10m")
            found = ends(stage, story.ends)
            if found and forgets and story.forgotten:
                found = ends(stage, story.forgotten)
            assert found == [], f"{death}, at change {nth}, in order {chance * CHANGES_AT_MOST + nth}"
            points += 1
    record_property("points", points)


def began(story: Story, chance: int) -> Crossing:
    """Apply the first revision whole, then do what comes after it; the last of that is still to be followed."""
    stage = Crossing(chance)
    for reference, how in IMAGES.items():
        say(stage, f"image {reference} {how}".strip())
    take(stage, Push(story.before))
    say(stage, "settle 1m")
    for step in story.steps:
        if step == "take back":
            take_back(stage)
        else:
            take(stage, step)
    return stage


def take_back(stage: Crossing) -> None:
    """Hold the first revision of two, as `reconciler rollback` does before anything else."""
    target, origin = (stage.repository.revision(name).id for name in ("HEAD~1", "HEAD"))
    taken = Rollback(target, origin, ("shop/web",), "", stage.clock.now())
    stage.store.change(lambda history: replace(history, rollbacks={"shop": taken}))


def ends(stage: Crossing, asked: Asked) -> list[str]:
    """Return what is not as these services ask for, or is still being done."""
    changes = stage.world.mutations
    say(stage, "turn")
    more = [f"another turn asks for {stage.witness.changes}"] if stage.world.mutations != changes else []
    return [*differences(stage, asked), *more]
