"""Does a look by word of events see what a list would, whatever happens, and whatever is lost?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.drivers.docker.connection import Connection
from reconciler.drivers.docker.errors import Rejected
from reconciler.drivers.docker.hearing import MOST_NAMED, Hearing, News
from reconciler.drivers.docker.observe import Observer, Sighting
from reconciler.model import labels
from reconciler.ports import Depth, Event

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MARK = f"{labels.ENVIRONMENT}=production"
OURS, THEIRS = {labels.ENVIRONMENT: "production"}, {labels.ENVIRONMENT: "other"}
NAMES = ("a", "b", "c")


class Engine:
    """Three places for containers, networks and volumes each; it answers like a connection, and tells who listens."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: set[str] = set()
        self.volumes: set[str] = set()
        self._tell = tell

    def get(self, path: str, **query: Any) -> Any:
        match path.split("/")[1:]:
            case ["containers", "json"]:
                return [_row(one) for one in self.containers.values() if one["Config"]["Labels"] == OURS]
            case ["containers", id, "json"] if id in self.containers:
                return self.containers[id]
            case ["networks"]:
                return [{"Id": name, "Name": name, "Labels": None} for name in self.networks]
            case ["volumes"]:
                return {"Volumes": [{"Name": name, "Labels": None} for name in self.volumes]}
            case _:
                raise Rejected(404, "there is none")

    def container(self, name: str, owner: dict[str, str]) -> None:
        """Make a container, or remove the one that is there."""
        if self.containers.pop(name, None):
            self._say("container", "destroy", name)
        else:
            self.containers[name] = _document(name, owner)
            self._say("container", "create", name)

    def flip(self, name: str) -> None:
        """Start what stands still, stop what runs."""
        if name in self.containers:
            state = self.containers[name]["State"]
            state["Status"] = "exited" if state["Status"] == "running" else "running"
            self._say("container", "die" if state["Status"] == "exited" else "start", name)

    def plug(self, name: str, network: str) -> None:
        """Put a container on a network, or take it off."""
        if name in self.containers:
            places = self.containers[name]["NetworkSettings"]["Networks"]
            action = "disconnect" if places.pop(network, None) else "connect"
            if action == "connect":
                places[network] = {"NetworkID": network, "EndpointID": "e"}
            self._say("network", action, network, container=name)

    def network(self, name: str) -> None:
        self._say("network", _flip(self.networks, name), name)

    def volume(self, name: str) -> None:
        self._say("volume", _flip(self.volumes, name), name)

    def _say(self, kind: str, action: str, id: str, **attributes: str) -> None:
        self._tell(Event(kind, action, id, id, NOW, attributes))


def _flip(names: set[str], name: str) -> str:
    action = "destroy" if name in names else "create"
    names ^= {name}
    return action


def _document(name: str, owner: dict[str, str]) -> dict[str, Any]:
    state = {"Status": "running"}
    config = {"Labels": owner}
    settings: dict[str, Any] = {"Networks": {}}
    return {"Id": name, "Name": f"/{name}", "Image": "i", "Config": config, "State": state, "NetworkSettings": settings}


def _row(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "Names": [one["Name"]], "State": one["State"]["Status"]}


class Play:
    """An engine that somebody observes by its events, as long as the stream of them is open."""

    def __init__(self) -> None:
        self.hearing = Hearing()
        self.engine = Engine(self._told)
        self.observer = Observer(cast("Connection", self.engine), self.hearing)  # It asks for nothing but `get`.
        self.open = ExitStack()
        self.listens = False
        self.followed = 0

    def step(self, step: tuple[str, str, str]) -> None:
        what, one, other = step
        match what:
            case "container":
                self.engine.container(one, OURS)
            case "foreign":
                self.engine.container(one, THEIRS)
            case "flip":
                self.engine.flip(one)
            case "plug":
                self.engine.plug(one, other)
            case "network":
                self.engine.network(one)
            case "volume":
                self.engine.volume(one)
            case "stream":
                self._open_or_close()
            case _:
                self._look()

    def _told(self, event: Event) -> None:
        if self.listens:
            self.hearing.heard(event)

    def _open_or_close(self) -> None:
        if self.listens:
            self.open.close()
        else:
            self.open.enter_context(self.hearing.stream())
        self.listens = not self.listens

    def _look(self) -> None:
        quick = self.observer.look([MARK], Depth.HEARD)
        self.followed += quick.followed is not None
        truth = Observer(cast("Connection", self.engine), Hearing()).look([MARK], Depth.WHOLE)
        assert _told_of(quick) == _told_of(truth)


def _told_of(seen: Sighting) -> tuple[object, ...]:
    return (
        [(one.id, one.phase) for one in seen.instances],
        [(one.name, one.users) for one in seen.networks],
        [one.name for one in seen.volumes],
    )


_steps = st.tuples(
    st.sampled_from(["container", "foreign", "flip", "plug", "network", "volume", "stream", "look", "look", "look"]),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
)


def _played(text: str) -> list[tuple[str, str, str]]:
    return [(what, "a", "b") for what in text.split()]


@given(st.lists(_steps, max_size=40))
@example(_played("container look stream look flip stream volume look"))
@example(_played("container look flip look stream flip look"))
def test_a_look_by_word_of_events_sees_what_a_list_would(steps: list[tuple[str, str, str]]) -> None:
    play = Play()
    for step in [("stream", "", ""), *steps, ("look", "", "")]:
        play.step(step)


def test_the_play_above_does_look_by_word_of_events() -> None:
    play = Play()
    for step in _played("stream container look flip look network look"):
        play.step(step)
    assert play.followed == 2


@pytest.mark.parametrize(
    ("kind", "action", "news"),
    [
        ("container", "die", News(frozenset({"x"}), enough=True)),
        ("network", "connect", News(frozenset({"c"}), enough=True)),
        ("network", "destroy", News(kinds=frozenset({"network"}), enough=True)),
        ("volume", "create", News(kinds=frozenset({"volume"}), enough=True)),
        ("image", "tag", News(kinds=frozenset({"image"}), enough=True)),
    ],
)
def test_an_event_is_placed(kind: str, action: str, news: News) -> None:
    hearing = Hearing()
    with hearing.stream():
        hearing.take()
        hearing.heard(Event(kind, action, "x", "x", NOW, {"container": "c"}))
        assert hearing.take() == news
        assert hearing.take() == News()


def test_who_does_not_look_for_long_keeps_little_and_then_looks_at_all() -> None:
    hearing = Hearing()
    with hearing.stream():
        hearing.take()
        for number in range(MOST_NAMED + 10):
            hearing.heard(Event("container", "die", str(number), "", NOW, {}))
        news = hearing.take()
        assert (len(news.containers) < MOST_NAMED, news.enough, news.lost) == (True, False, True)
        hearing.untake(news)
        assert hearing.take().lost
        assert not hearing.take().lost
