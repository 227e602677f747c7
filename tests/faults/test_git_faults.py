"""Does what was good last live on, and does the newest revision come through, whatever happens to the Git remote?

The remote is a real one, `git http-backend` behind TLS with an authority of its own; the engine is in memory.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from git_remotes import Remote, Web, make_certificate, serve
from memory_place import MemoryPlace

from reconciler.drivers.git import Credentials, GitSource, Limits
from reconciler.load.giturl import parse_url
from reconciler.model.status import Report
from reconciler.resident import Resident

DEADLINE_SECONDS = 30.0
MOST_TURNS = 50
MOST_BYTES = 1 << 20


def asks_for(image: str, **more: str) -> dict[str, str]:
    """Return a repository that asks for one service of an image; `more` are other files of it."""
    check = "{test: [CMD, check], interval: 2s, retries: 2}"
    return {"compose.yaml": f"services: {{web: {{image: '{image}', healthcheck: {check}}}}}\n", **more}


class Follower:
    """A resident that follows a remote, in turns, on an engine in memory."""

    def __init__(self, web: Web, directory: Path) -> None:
        self.place = MemoryPlace()
        self.clone = directory / "clone/repository.git"
        limits = Limits(clone_bytes=MOST_BYTES)
        authority = Credentials(ca_bundle=directory / "cert.pem")
        self.source = GitSource(parse_url(web.url()), "main", directory / "clone", credentials=authority, limits=limits)
        self.told: list[Report] = []
        self.restart()

    def restart(self) -> None:
        """The process ends, and another one begins with the same state directory."""
        self.resident = Resident(self.place.reconciler(self.source), self.told.append, "us")

    def fetch(self) -> None:
        self.resident.reconciler.refresh()

    def turn(self) -> Report:
        self.place.pass_time(self.resident.turn(("test",)))
        return self.told[-1]

    def runs(self, image: str) -> Report:
        """Fetch, and turn until one container of this image runs and nothing else; return the last turn."""
        self.fetch()
        for _ in range(MOST_TURNS):
            report = self.turn()
            if self.place.running() == {"shop-web-1": image} and report.plan and not report.plan.actions:
                return report
        pytest.fail(f"it runs {self.place.running()}, not {image}: {self.told[-1].error}")

    def heals(self, image: str) -> Report:
        """Somebody kills the container; turn until it runs again."""
        self.place.world.kill("shop-web-1")
        assert self.place.running() == {}
        return self.runs(image)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    remote = Remote.make(tmp_path / "served/state.git")
    remote.commit(asks_for("web:1"), "first")
    return remote


@pytest.fixture
def web(tmp_path: Path, remote: Remote) -> Iterator[Web]:
    with serve(Web(remote.path.parent), make_certificate(tmp_path)) as web:
        yield web


@pytest.fixture
def follower(tmp_path: Path, web: Web) -> Iterator[Follower]:
    """A resident that has applied the first commit."""
    follower = Follower(web, tmp_path)
    assert follower.runs("web:1").error == ""
    yield follower
    follower.source.close()


TROUBLES: dict[str, tuple[Callable[[Web], object], str]] = {
    "refuses the token": (lambda web: setattr(web, "status", 401), "does not let us in"),
    "is broken": (lambda web: setattr(web, "status", 500), "trouble of its own"),
    "has moved to plain http": (lambda web: setattr(web, "redirect", "http://127.0.0.1:9"), "redirect"),
}


@pytest.mark.parametrize(("trouble", "message"), TROUBLES.values(), ids=TROUBLES)
def test_f31_a_remote_that(
    trouble: Callable[[Web], object], message: str, web: Web, remote: Remote, follower: Follower
) -> None:
    trouble(web)
    remote.commit(asks_for("web:2"))
    report = follower.heals("web:1")
    assert message in report.error, "it says that what runs may be old"
    follower.restart()
    assert message in follower.heals("web:1").error
    web.status, web.redirect = 0, ""
    assert follower.runs("web:2").error == ""


def test_f32_a_fetch_that_hangs(web: Web, remote: Remote, follower: Follower) -> None:
    remote.commit(asks_for("web:2"))
    web.hang = True
    fetching = threading.Thread(target=follower.resident.reconciler.refresh)
    fetching.start()
    follower.place.world.kill("shop-web-1")
    while follower.place.running() != {"shop-web-1": "web:1"}:
        assert fetching.is_alive(), "it heals while the fetch hangs"
        follower.turn()
    web.hang = False
    web.closing.set()
    fetching.join(DEADLINE_SECONDS)
    assert not fetching.is_alive()
    assert follower.runs("web:2").error == ""


def test_f33_a_force_push(remote: Remote, follower: Follower) -> None:
    first = remote.tip()
    remote.commit(asks_for("web:sick"), "another history", onto="")
    follower.runs("web:1")
    assert remote.tip() != first
    follower.restart()
    assert "web:1" in follower.heals("web:1").stacks[0].services[0].image, "what ran before is still at hand"
    follower.place.pass_time(600)
    remote.commit(asks_for("web:2"), "a third history", onto="")
    assert follower.runs("web:2").applied == remote.tip()


@pytest.mark.parametrize("empty", [False, True], ids=["deleted", "empty"])
def test_f34_a_branch_that_is_gone(empty: bool, remote: Remote, follower: Follower) -> None:
    if empty:
        remote.commit({}, "nothing", onto="")
    else:
        remote.delete("main")
    report = follower.heals("web:1")
    assert report.error, "it says so"
    follower.restart()
    assert follower.heals("web:1").error
    remote.commit(asks_for("web:2"))
    assert follower.runs("web:2").error == ""


def _emptied(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "an empty HEAD": lambda clone: (clone / "HEAD").write_text(""),
    "no objects": lambda clone: _emptied(clone / "objects"),
    "a stale lock": lambda clone: (clone / "refs/reconciler/branch/main.lock").write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_f37_a_clone_with(damage: Callable[[Path], object], remote: Remote, follower: Follower) -> None:
    damage(follower.clone)
    follower.restart()
    assert follower.heals("web:1").error == ""
    remote.commit(asks_for("web:2"))
    assert follower.runs("web:2").error == ""


def test_f38_a_huge_blob(remote: Remote, follower: Follower) -> None:
    remote.commit(asks_for("web:2") | {"compose.yaml": "#" * (2 << 20)})
    assert "the most is 1,048,576" in follower.heals("web:1").error
    remote.commit(asks_for("web:2"))
    assert follower.runs("web:2").error == ""


def test_f38_a_huge_repository(remote: Remote, follower: Follower) -> None:
    remote.commit(asks_for("web:2") | {"noise": Random(1).randbytes(2 * MOST_BYTES)})
    assert f"takes more than {MOST_BYTES} bytes" in follower.heals("web:1").error
    remote.commit(asks_for("web:2"), onto="")
    assert follower.runs("web:2").error == ""


def test_f39_a_flood_of_commits(remote: Remote, follower: Follower) -> None:
    loads, turns = follower.place.loads, len(follower.told)
    for number in range(30):
        remote.commit(asks_for(f"web:{1 + number % 2}", note=str(number)))
    follower.runs("web:2")
    assert follower.place.loads == loads + 1, "only the newest one is read"
    assert len(follower.told) - turns < MOST_TURNS / 5


def test_f39_a_flood_of_events(follower: Follower) -> None:
    bell = follower.resident.bell
    for number in range(10_000):
        bell.ring(f"die web-{number % 10}")
    assert len(bell.wait(0)) == 10
    assert bell.wait(0) == ()


def test_f40_a_bad_commit(remote: Remote, follower: Follower) -> None:
    remote.commit({"compose.yaml": "services: {web: {imagee: 'web:2'}}\n"})
    assert 'unknown key "imagee"' in follower.heals("web:1").error
    follower.restart()
    assert 'unknown key "imagee"' in follower.heals("web:1").error
    remote.commit(asks_for("web:2"))
    assert follower.runs("web:2").error == ""


def test_f41_a_state_that_shrank(remote: Remote, follower: Follower) -> None:
    names = [f"s{number}" for number in range(10)]

    def services(some: list[str]) -> dict[str, str]:
        return {"compose.yaml": "services: {" + ", ".join(f"{name}: {{image: 'web:1'}}" for name in some) + "}\n"}

    remote.commit(services(names))
    follower.fetch()
    for _ in range(20):
        follower.turn()
    assert len(follower.place.running()) == len(names)
    remote.commit(services(names[:1]))
    follower.fetch()
    for _ in range(5):
        report = follower.turn()
    assert len(follower.place.running()) == len(names)
    assert report.plan is not None
    assert [one.code for one in report.plan.blocked] == ["R140"]
