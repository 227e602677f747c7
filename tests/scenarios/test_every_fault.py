"""Does every story end as if nothing had happened, whichever call goes wrong, and in whichever way?

A story is played once undisturbed. Then it is played again for each of its changes and each kind of fault, and must end
in the same world, with nothing forbidden on the way and nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
from stage import Stage
from transcript import Step

from reconciler.model import labels


def lose(when: str) -> Callable[[Stage, int], None]:
    return lambda stage, nth: stage.world.fail(nth, when)


def kill(when: str) -> Callable[[Stage, int], None]:
    return lambda stage, nth: stage.world.crash(nth, when)


def kill_twice(stage: Stage, nth: int) -> None:
    stage.world.crash(nth, "after")
    stage.world.crash(nth + 1, "after")


def kill_with_state(stage: Stage, nth: int) -> None:
    stage.state_lasts = False
    stage.world.crash(nth, "after")


FAULTS: dict[str, Callable[[Stage, int], None]] = {
    "lost before": lose("before"),
    "lost halfway": lose("halfway"),
    "lost after": lose("after"),
    "refused": lose("refuse"),
    "conflict": lose("conflict"),
    "engine restarts": lose("restart"),
    "killed before": kill("before"),
    "killed halfway": kill("halfway"),
    "killed after": kill("after"),
    "killed twice": kill_twice,
    "killed and the state lost": kill_with_state,
}


@dataclass(frozen=True, slots=True)
class Story:
    """From one revision, applied whole, to the next. `least` containers of `service` serve at every moment between them."""

    name: str
    before: str
    after: str
    service: str = "web"
    least: int = 0


WEB = """
name: shop
services:
  web:
    image: web:{version}
    restart: unless-stopped
    deploy: {{replicas: {replicas}}}
"""
DATABASE = """
name: shop
services:
  db:
    image: web:{version}
    restart: unless-stopped
    container_name: database
    volumes: [data:/data]
volumes:
  data:
"""
FILES = """
name: shop
services:
  web:
    image: web:1
    restart: unless-stopped
    read_only: {read_only}
    networks: [{networks}]
    configs: [{{source: settings, target: /etc/web/settings}}]
    post_start: [{{command: [warm, up]}}]
networks:
  front:
  back:
configs:
  settings: {{content: "{content}"}}
"""
JOB = """
name: shop
services:
  migrate:
    image: job:{version}
  web:
    image: web:{version}
    restart: unless-stopped
    depends_on:
      migrate: {{condition: service_completed_successfully}}
"""

STORIES = [
    Story("create", "name: shop\nservices: {}\n", WEB.format(version=1, replicas=2)),
    Story("roll out", WEB.format(version=1, replicas=2), WEB.format(version=2, replicas=2), least=2),
    Story("scale up", WEB.format(version=1, replicas=1), WEB.format(version=1, replicas=3), least=1),
    Story("scale down", WEB.format(version=1, replicas=3), WEB.format(version=1, replicas=1), least=1),
    Story("stop first", DATABASE.format(version=1), DATABASE.format(version=2), service="db"),
    Story("remove", WEB.format(version=1, replicas=2), "name: shop\nservices: {}\n"),
    Story(
        "files and networks",
        FILES.format(read_only="false", networks="front", content="a"),
        FILES.format(read_only="false", networks="front, back", content="b"),
        least=1,
    ),
    Story(
        "files through a volume",
        FILES.format(read_only="true", networks="front, back", content="a"),
        FILES.format(read_only="true", networks="back", content="b"),
        least=1,
    ),
    Story("job", JOB.format(version=1), JOB.format(version=2), least=1),
]
CHANGES_AT_MOST = 40


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_a_story_ends_well_whichever_change_goes_wrong(story: Story, fault: str) -> None:
    undisturbed, changes = ending(story.name)
    assert 0 < changes <= CHANGES_AT_MOST
    for nth in range(1, changes + 1):
        stage = staged(story)
        FAULTS[fault](stage, nth)
        told = finished(stage, story, least=0 if fault == "engine restarts" else story.least)
        assert told == undisturbed, f"{fault}, at change {nth}"


@cache
def ending(name: str) -> tuple[list[str], int]:
    """Return how a story ends undisturbed, and how many changes it takes."""
    (story,) = (story for story in STORIES if story.name == name)
    stage = staged(story)
    before = stage.world.mutations
    return finished(stage, story, least=story.least), stage.world.mutations - before


def staged(story: Story) -> Stage:
    """Set the stage: the first revision is applied whole, the second pushed."""
    stage = Stage()
    for version in (1, 2):
        stage.world.image(f"web:{version}", health_after=2.0)
        stage.world.image(f"job:{version}", exits=0, after=1.0)
    push(stage, story.before)
    say(stage, "settle")
    say(stage, "advance 30s")
    say(stage, "settle")
    push(stage, story.after)
    return stage


def finished(stage: Stage, story: Story, *, least: int) -> list[str]:
    """Play to the end; return what then is there. The end is one: another turn changes nothing."""
    begun = len(stage.world.events)
    say(stage, "settle 1h")
    assert stage.world.audit() == ()
    assert min(serving(stage, story.service)[begun:]) >= least
    stage.world.wire.clear()
    changes = stage.world.mutations
    stage.clock.advance(600)
    assert say(stage, "settle 1h") == []
    assert stage.world.mutations == changes
    # What a finished job left behind is named by a key that may have been lost.
    return [line.partition("reconciler-job-")[0] for line in say(stage, "show")]


def serving(stage: Stage, service: str) -> list[int]:
    """Return how many containers of a service were healthy after each event, from the first one on."""
    healthy: set[str] = set()
    counts = []
    for event in stage.world.events:
        if event.attributes.get(labels.SERVICE) == service:
            if event.action == "health_status: healthy":
                healthy.add(event.id)
            elif event.action in ("die", "pause", "health_status: unhealthy"):
                healthy.discard(event.id)
        counts.append(len(healthy))
    return counts


def push(stage: Stage, compose: str) -> None:
    list(stage.say(Step(0, "push revision <<EOF", ("== compose.yaml", *compose.splitlines()))))


def say(stage: Stage, command: str) -> list[str]:
    return list(stage.say(Step(0, command)))
