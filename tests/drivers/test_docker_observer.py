"""Is only asked for what changed, and is a change never missed?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fake_engine import fake_engine, says

from reconciler.drivers.docker.connection import open_connection
from reconciler.drivers.docker.hearing import MOST_NAMED, Hearing
from reconciler.drivers.docker.observe import Observer, Sighting, moment, neighbour
from reconciler.errors import Unreachable
from reconciler.model import labels
from reconciler.model.observed import Neighbour
from reconciler.ports import Depth, Event

NEVER = "0001-01-01T00:00:00Z"
MARK = f"{labels.ENVIRONMENT}=production"


class Fake:
    """An engine whose containers a test changes by hand."""

    def __init__(self, place: Path) -> None:
        self.rows = {id: _row(id) for id in ("a", "b", "c")}
        self.networks: list[dict[str, Any]] = [_named("n1", "front"), _named("n2", "back")]
        self.volumes: list[dict[str, Any]] = []
        self.missing: set[str] = set()
        self.foreign: set[str] = set()
        self.broken = False
        self.asked: list[str] = []
        self._place = place

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        word = handler.path.split("/")[3].partition("?")[0]
        if word == "json":
            says(list(self.rows.values()))(handler)
        elif self.broken:
            handler.close_connection = True
        else:
            row = self.rows.get(word, _row(word))
            owner = "somebody-else" if word in self.foreign else "production"
            says(_document(row, owner), 404 if word in self.missing else 200)(handler)

    def inspected(self) -> list[str]:
        """The containers inspected since this was asked last."""
        asked, self.asked[:] = [question.split("/")[3] for question in self.asked if "/containers/" in question], []
        return sorted(word for word in asked if not word.startswith("json"))

    def paths(self) -> list[str]:
        """What was asked for since this was asked last."""
        asked, self.asked[:] = [question.removeprefix("GET /v1.43").partition("?")[0] for question in self.asked], []
        return sorted(asked)


def _row(id: str) -> dict[str, Any]:
    place = {"NetworkID": "n1", "EndpointID": f"e-{id}"}
    return {
        "Id": id,
        "Names": [f"/web-{id}"],
        "State": "running",
        "Status": "Up 2 seconds",
        "Image": "web:1",
        "ImageID": "sha256:1",
        "NetworkSettings": {"Networks": {"front": place}},
    }


def _document(row: dict[str, Any], owner: str) -> dict[str, Any]:
    state = {"Status": row["State"], "StartedAt": "2026-05-01T12:00:00.123456789Z", "FinishedAt": NEVER}
    config = {"Labels": {labels.ENVIRONMENT: owner}}
    return {
        "Id": row["Id"],
        "Name": row["Names"][0],
        "Image": "sha256:1",
        "Config": config,
        "State": state,
        "Created": NEVER,
        "NetworkSettings": row["NetworkSettings"],
    }


def _named(id: str, name: str) -> dict[str, Any]:
    return {"Id": id, "Name": name, "Labels": None}


def _event(kind: str, action: str, id: str, **attributes: str) -> Event:
    return Event(kind, action, id, "", NOW, attributes)


NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    fake = Fake(tmp_path / "engine.sock")
    routes = {
        "json": fake.answer,
        "networks": lambda handler: says(fake.networks)(handler),
        "volumes": lambda handler: says({"Volumes": fake.volumes or None})(handler),
    }
    with fake_engine(tmp_path / "engine.sock", **routes) as fake.asked:
        yield fake


@pytest.fixture
def observer(tmp_path: Path, fake: Fake) -> Observer:
    observer = Observer(open_connection(f"unix://{tmp_path / 'engine.sock'}", 5), Hearing())
    _look(observer)
    fake.inspected()
    return observer


@pytest.fixture
def heard(observer: Observer, fake: Fake) -> Iterator[Hearing]:
    """A stream of events is open, and everything was listed since."""
    with observer.hearing.stream():
        _look(observer)
        fake.inspected()
        yield observer.hearing


def _look(observer: Observer, depth: Depth = Depth.LISTED) -> Sighting:
    return observer.look([MARK], depth)


def _states(seen: Sighting) -> dict[str, str]:
    return {one.id: one.phase.value for one in seen.instances}


LISTS = ["/containers/json", "/networks", "/volumes"]


def test_where_nothing_moved_three_lists_are_asked_for_and_nothing_else(observer: Observer, fake: Fake) -> None:
    _look(observer)
    assert fake.paths() == LISTS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("State", "exited"),
        ("Status", "Up 2 seconds (healthy)"),
        ("Status", "Exited (1) 2 seconds ago"),
        ("Names", ["/renamed"]),
        ("ImageID", "sha256:2"),
        ("Image", "sha256:1"),
        ("NetworkSettings", {"Networks": {}}),
        ("NetworkSettings", {"Networks": {"front": {"NetworkID": "n1", "EndpointID": "after a restart"}}}),
    ],
)
def test_what_the_list_shows_as_changed_is_inspected(observer: Observer, fake: Fake, key: str, value: object) -> None:
    fake.rows["b"][key] = value
    _look(observer)
    assert fake.inspected() == ["b"]
    _look(observer)
    assert fake.inspected() == []


def test_age_is_no_change(observer: Observer, fake: Fake) -> None:
    fake.rows["a"]["Status"] = "Up 3 hours"
    _look(observer)
    assert fake.inspected() == []


def test_what_is_new_is_inspected_and_what_is_gone_is_forgotten(observer: Observer, fake: Fake) -> None:
    del fake.rows["a"]
    fake.rows["d"] = _row("d")
    assert [one.id for one in _look(observer).instances] == ["b", "c", "d"]
    assert fake.inspected() == ["d"]


def test_what_an_event_named_is_inspected_once(observer: Observer, fake: Fake) -> None:
    observer.hearing.heard(_event("container", "update", "c"))
    observer.hearing.heard(_event("container", "die", "somebody else's"))
    _look(observer)
    assert fake.inspected() == ["c"]
    _look(observer)
    assert fake.inspected() == []


def test_a_thorough_look_inspects_all(observer: Observer, fake: Fake) -> None:
    _look(observer, Depth.WHOLE)
    assert fake.inspected() == ["a", "b", "c"]


def test_what_goes_between_list_and_inspection_is_left_out(observer: Observer, fake: Fake) -> None:
    fake.missing = {"a"}
    observer.hearing.changed("a")
    assert [one.id for one in _look(observer).instances] == ["b", "c"]
    fake.missing = set()
    assert [one.id for one in _look(observer).instances] == ["a", "b", "c"]


def test_a_look_that_failed_forgets_nothing_it_was_told(observer: Observer, fake: Fake) -> None:
    observer.hearing.changed("a")
    fake.broken = True
    with pytest.raises(Unreachable):
        _look(observer)
    fake.broken = False
    fake.inspected()
    _look(observer)
    assert fake.inspected() == ["a"]


# By word of events


def test_after_an_event_only_what_it_named_is_asked_for(observer: Observer, heard: Hearing, fake: Fake) -> None:
    fake.rows["b"]["State"] = "exited"
    heard.heard(_event("container", "die", "b"))
    assert _states(_look(observer, Depth.HEARD)) == {"a": "running", "b": "exited", "c": "running"}
    assert fake.paths() == ["/containers/b/json"]


def test_what_an_event_says_is_new_is_seen_and_what_it_says_is_gone_is_not(
    observer: Observer, heard: Hearing, fake: Fake
) -> None:
    fake.missing = {"a"}
    heard.heard(_event("container", "destroy", "a"))
    heard.heard(_event("container", "create", "d"))
    seen = _look(observer, Depth.HEARD)
    assert sorted(_states(seen)) == ["b", "c", "d"]
    assert {net.name: set(net.users) for net in seen.networks} == {"front": {"b", "c", "d"}, "back": set()}


def test_a_container_that_joins_a_network_is_seen_there(observer: Observer, heard: Hearing, fake: Fake) -> None:
    fake.rows["a"]["NetworkSettings"] = {"Networks": {"back": {"NetworkID": "n2"}}}
    heard.heard(_event("network", "connect", "n2", container="a"))
    users = {net.name: set(net.users) for net in _look(observer, Depth.HEARD).networks}
    assert users == {"front": {"b", "c"}, "back": {"a"}}
    assert fake.paths() == ["/containers/a/json"]


@pytest.mark.parametrize(("kind", "listed"), [("network", "/networks"), ("volume", "/volumes")])
def test_networks_and_volumes_are_listed_when_one_of_them_came_or_went(
    observer: Observer, heard: Hearing, fake: Fake, kind: str, listed: str
) -> None:
    fake.networks.append(_named("n3", "new"))
    fake.volumes.append({"Name": "new", "Labels": None})
    heard.heard(_event(kind, "create", "new"))
    seen = _look(observer, Depth.HEARD)
    assert fake.paths() == [listed]
    assert ("new" in {net.name for net in seen.networks}, [one.name for one in seen.volumes]) == (
        (True, []) if kind == "network" else (False, ["new"])
    )


def test_a_foreign_container_that_an_event_named_is_none_of_ours(observer: Observer, heard: Hearing, fake: Fake) -> None:
    fake.foreign = {"x"}
    heard.heard(_event("container", "start", "x"))
    assert sorted(_states(_look(observer, Depth.HEARD))) == ["a", "b", "c"]


def test_the_next_list_inspects_again_what_was_seen_by_an_event(observer: Observer, heard: Hearing, fake: Fake) -> None:
    heard.heard(_event("container", "die", "b"))
    _look(observer, Depth.HEARD)
    fake.inspected()
    _look(observer)
    assert fake.inspected() == ["b"]


def _nothing(hearing: Hearing) -> None:
    """No event came: perhaps none can."""


def _our_change(hearing: Hearing) -> None:
    hearing.heard(_event("container", "die", "b"))
    hearing.changed("")


def _another_stream(hearing: Hearing) -> None:
    with hearing.stream():
        hearing.heard(_event("container", "die", "b"))


@pytest.mark.parametrize("happens", [_nothing, _our_change, _another_stream])
def test_where_events_are_not_enough_everything_is_listed(
    observer: Observer, heard: Hearing, fake: Fake, happens: Callable[[Hearing], None]
) -> None:
    happens(heard)
    fake.rows["c"]["State"] = "exited"
    assert _states(_look(observer, Depth.HEARD))["c"] == "exited"
    assert set(fake.paths()) > set(LISTS)


def test_where_it_is_lost_what_events_named_everything_is_inspected(observer: Observer, heard: Hearing, fake: Fake) -> None:
    for number in range(MOST_NAMED + 1):
        heard.heard(_event("container", "die", str(number)))
    _look(observer, Depth.HEARD)
    assert fake.inspected() == ["a", "b", "c"]


def test_without_a_stream_everything_is_listed(observer: Observer, fake: Fake) -> None:
    observer.hearing.heard(_event("container", "die", "b"))
    _look(observer, Depth.HEARD)
    assert set(fake.paths()) >= set(LISTS)


def test_who_asks_for_other_labels_than_before_gets_a_list(observer: Observer, heard: Hearing, fake: Fake) -> None:
    heard.heard(_event("container", "die", "b"))
    observer.look([MARK, "com.docker.compose.project=y"], Depth.HEARD)
    assert set(fake.paths()) >= set(LISTS)


def test_a_look_that_failed_is_followed_by_a_list(observer: Observer, heard: Hearing, fake: Fake) -> None:
    heard.heard(_event("container", "die", "b"))
    fake.broken = True
    with pytest.raises(Unreachable):
        _look(observer, Depth.HEARD)
    fake.broken = False
    fake.paths()
    heard.heard(_event("container", "die", "c"))
    _look(observer, Depth.HEARD)
    assert fake.paths() == sorted([*LISTS, "/containers/b/json", "/containers/c/json"])


# Both


def test_a_container_with_two_of_the_labels_is_seen_once(observer: Observer) -> None:
    seen = observer.look([MARK, "com.docker.compose.project=y"], Depth.LISTED)
    assert [one.id for one in seen.instances] == ["a", "b", "c"]


def test_users_of_a_network_are_the_containers_that_say_so(observer: Observer, fake: Fake) -> None:
    fake.rows["a"]["NetworkSettings"] = {"Networks": {"back": {"NetworkID": ""}}}
    assert {net.name: set(net.users) for net in _look(observer).networks} == {"front": {"b", "c"}, "back": {"a"}}


def test_the_engines_year_one_means_never(observer: Observer) -> None:
    (one, *_) = _look(observer).instances
    assert (one.created, one.finished) == (None, None)
    assert one.started == moment("2026-05-01T14:00:00.123456+02:00")
    assert (one.restarts, one.exit_code) == (0, 0)


def test_a_neighbour_has_its_own_name_and_each_port_once() -> None:
    ports = [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 443, "Type": "tcp"},
    ]
    row = {"Id": "x", "Names": ["/web/db", "/db"], "Labels": None, "State": "running", "Ports": ports}
    held = (("0.0.0.0", 8080, "tcp"), ("::", 8080, "tcp"))
    assert neighbour(row) == Neighbour("x", "db", {}, held, running=True)
