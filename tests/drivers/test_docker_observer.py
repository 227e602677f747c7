"""Is only inspected what changed, and is a change never missed?"""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fake_engine import fake_engine, says

from reconciler.drivers.docker.connection import open_connection
from reconciler.drivers.docker.observe import Observer, Sighting, moment, neighbour
from reconciler.errors import Unreachable
from reconciler.model.observed import Neighbour

NEVER = "0001-01-01T00:00:00Z"


class Fake:
    """An engine whose containers a test changes by hand."""

    def __init__(self, place: Path) -> None:
        self.rows = {id: _row(id) for id in ("a", "b", "c")}
        self.missing: set[str] = set()
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
            says(_document(word), 404 if word in self.missing else 200)(handler)

    def inspected(self) -> list[str]:
        """The containers inspected since this was asked last."""
        asked, self.asked[:] = [question.split("/")[3] for question in self.asked if "/containers/" in question], []
        return sorted(word for word in asked if not word.startswith("json"))


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


def _document(id: str) -> dict[str, Any]:
    state = {"Status": "running", "StartedAt": "2026-05-01T12:00:00.123456789Z", "FinishedAt": NEVER}
    config = {"Labels": None}
    return {"Id": id, "Name": f"/web-{id}", "Image": "sha256:1", "Config": config, "State": state, "Created": NEVER}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    fake = Fake(tmp_path / "engine.sock")
    networks = [{"Id": "n1", "Name": "front", "Labels": {}}, {"Id": "n2", "Name": "back", "Labels": None}]
    routes = {"json": fake.answer, "networks": says(networks), "volumes": says({"Volumes": None})}
    with fake_engine(tmp_path / "engine.sock", **routes) as fake.asked:
        yield fake


@pytest.fixture
def observer(tmp_path: Path, fake: Fake) -> Observer:
    observer = Observer(open_connection(f"unix://{tmp_path / 'engine.sock'}", 5))
    _look(observer)
    fake.inspected()
    return observer


def _look(observer: Observer, *, thorough: bool = False) -> Sighting:
    return observer.look(["io.reconciler.environment=production"], thorough=thorough)


def test_where_nothing_moved_three_lists_are_asked_for_and_nothing_else(observer: Observer, fake: Fake) -> None:
    _look(observer)
    paths = sorted(question.partition("?")[0] for question in fake.asked)
    assert paths == ["GET /v1.43/containers/json", "GET /v1.43/networks", "GET /v1.43/volumes"]


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
    fake.rows["d"] = fake.rows.pop("a") | {"Id": "d"}
    assert [one.id for one in _look(observer).instances] == ["b", "c", "d"]
    assert fake.inspected() == ["d"]


def test_what_an_event_named_is_inspected_once(observer: Observer, fake: Fake) -> None:
    observer.forget("c")
    observer.forget("somebody else's")
    _look(observer)
    assert fake.inspected() == ["c"]
    _look(observer)
    assert fake.inspected() == []


def test_a_thorough_look_inspects_all(observer: Observer, fake: Fake) -> None:
    _look(observer, thorough=True)
    assert fake.inspected() == ["a", "b", "c"]


def test_what_goes_between_list_and_inspection_is_left_out(observer: Observer, fake: Fake) -> None:
    fake.missing = {"a"}
    observer.forget("a")
    assert [one.id for one in _look(observer).instances] == ["b", "c"]
    fake.missing = set()
    assert [one.id for one in _look(observer).instances] == ["a", "b", "c"]


def test_a_look_that_failed_forgets_nothing_it_was_told(observer: Observer, fake: Fake) -> None:
    observer.forget("a")
    fake.broken = True
    with pytest.raises(Unreachable):
        _look(observer)
    fake.broken = False
    fake.inspected()
    _look(observer)
    assert fake.inspected() == ["a"]


def test_a_container_with_two_of_the_labels_is_seen_once(observer: Observer) -> None:
    seen = observer.look(["io.reconciler.environment=x", "com.docker.compose.project=y"], thorough=False)
    assert [one.id for one in seen.instances] == ["a", "b", "c"]


def test_users_of_a_network_come_from_the_list_of_containers(observer: Observer, fake: Fake) -> None:
    fake.rows["a"]["NetworkSettings"] = {"Networks": {"back": {"NetworkID": ""}}}
    assert {net.name: set(net.users) for net in _look(observer).networks} == {"front": {"b", "c"}, "back": {"a"}}


def test_the_engines_year_one_means_never(observer: Observer) -> None:
    (one, *_) = _look(observer).instances
    assert (one.created, one.finished) == (None, None)
    assert one.started == moment("2026-05-01T14:00:00.123456+02:00")
    assert (one.labels, one.restarts, one.exit_code) == ({}, 0, 0)


def test_a_neighbour_has_its_own_name_and_each_port_once() -> None:
    ports = [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 443, "Type": "tcp"},
    ]
    row = {"Id": "x", "Names": ["/web/db", "/db"], "Labels": None, "State": "running", "Ports": ports}
    held = (("0.0.0.0", 8080, "tcp"), ("::", 8080, "tcp"))
    assert neighbour(row) == Neighbour("x", "db", {}, held, running=True)
