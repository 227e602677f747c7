"""Is a version that failed taken back in Git, once, where Git asks for that, whoever dies on the way?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from git_remotes import Remote, git

from reconciler.apply import Applier
from reconciler.audit import lines
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.directory import FolderSource
from reconciler.drivers.git import GitSource, GitWriter, Hand
from reconciler.drivers.memory import MemoryRuntime, MemoryStore, World
from reconciler.errors import Unreachable, UsageError
from reconciler.load.giturl import parse_url
from reconciler.load.loading import load
from reconciler.loop import Reconciler
from reconciler.loop import World as Ports
from reconciler.model.desired import Environment
from reconciler.ports import Decision, Written

SETTINGS = "api: v1\nname: production\nstacks:\n  shop: {path: shop}\n"
CHECK = "healthcheck: {test: [CMD, check], interval: 1s, retries: 2}"


def files(web: str, api: str = "web:1", on_failure: str = "revert", apart: bool = True) -> dict[str, str]:
    """Return a repository of two services, each in a file of its own, or both in one."""
    first = f"  web: {{image: '{web}', {CHECK}, x-rollout: {{on_failure: {on_failure}}}}}\n"
    second = f"  api: {{image: '{api}', {CHECK}}}\n"
    if apart:
        return {
            "reconciler.yaml": SETTINGS,
            "shop/compose.yaml": f"include: [api.yaml]\nservices:\n{first}",
            "shop/api.yaml": f"services:\n{second}",
        }
    return {"reconciler.yaml": SETTINGS, "shop/compose.yaml": f"services:\n{first}{second}"}


class Wire(GitWriter):
    """A writer whose remote does not answer, or answers and is not heard, as often as it is told."""

    silent = 0
    unheard = 0

    def write(self, decision: Decision) -> Written:
        if Wire.silent:
            Wire.silent -= 1
            raise Unreachable("the remote did not answer")
        written = super().write(decision)
        if Wire.unheard:
            Wire.unheard -= 1
            raise Unreachable("the remote did not answer")
        return written


@dataclass
class Scene:
    """A remote, an engine in memory, and a resident reconciler, which dies and begins again."""

    remote: Remote
    directory: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    opened: list[GitSource] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(self.clock)
        for version in (1, 2, 3):
            self.world.image(f"web:{version}", health_after=1)
        self.world.image("web:sick", never_healthy=True)
        self.reconciler = self.process()

    def source(self) -> GitSource:
        self.opened.append(GitSource(parse_url(str(self.remote.path), allow_file=True), "main", self.directory / "clone"))
        return self.opened[-1]

    def writer(self, environment: Environment) -> GitWriter:
        return Wire(self.source(), Hand("reconciler <r@localhost>", "here"), self.clock, random.Random(1))

    def process(self) -> Reconciler:
        runtime = MemoryRuntime(self.world)
        ports = Ports(self.source(), load, runtime, self.store, self.clock, writer_for=self.writer)
        return Reconciler(ports, Applier(runtime, self.clock, threads=False))

    def push(self, subject: str = "change", **versions: object) -> str:
        return self.remote.commit(files(**versions), subject)  # type: ignore[arg-type]

    def live(self) -> None:
        """Ask Git and turn for a while, then ask Git again and turn, as a resident does."""
        for _ in range(2):
            self.reconciler.refresh()
            for _ in range(8):
                self.reconciler.turn()
                self.clock.advance(1)

    def running(self) -> dict[str, str]:
        return {one.name.split("-")[1]: one.config["Image"] for one in self.world.engine.containers.values() if one.alive}

    def subjects(self) -> list[str]:
        return git(self.remote.path, "log", "--format=%s", "main").splitlines()

    def said(self) -> list[tuple[str, str, str]]:
        """Return what the audit log says of reverts: target, in words, outcome."""
        entries = [line.entry for line in lines(self.store.trail()) if line.entry.what == "revert"]
        return [(one.target, one.text, one.outcome) for one in entries]

    def blocked(self) -> list[str]:
        return [one.message for one in self.reconciler.look().plan.blocked]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    Wire.silent = Wire.unheard = 0
    scene = Scene(Remote.make(tmp_path / "state.git"), tmp_path)
    scene.push("begin", web="web:1")
    scene.live()
    yield scene
    for source in scene.opened:
        source.close()


def test_a_version_that_failed_is_taken_back_by_a_commit(scene: Scene) -> None:
    good, bad = scene.remote.tip(), scene.push("web is sick", web="web:sick", api="web:2")
    scene.live()
    assert scene.subjects() == [f"rollback(shop/web): {bad[:7]}→{good[:7]}", "web is sick", "begin"]
    assert git(scene.remote.path, "show", "main:shop/compose.yaml").strip() == files("web:1")["shop/compose.yaml"].strip()
    assert scene.running() == {"web": "web:1", "api": "web:2"}
    assert scene.said() == [("shop/web", f"reverted: commit {scene.remote.tip()[:7]} on main", "done")]
    history = scene.store.history()
    assert (history.applied, history.quarantine, scene.blocked()) == (scene.remote.tip(), {}, [])


def test_only_where_git_asks_for_it(scene: Scene) -> None:
    scene.push("web is sick", web="web:sick", on_failure="rollback")
    scene.live()
    assert scene.subjects() == ["web is sick", "begin"]
    assert scene.blocked() == ["shop/web: this spec failed: shop-web-1.next is unhealthy"]


def test_a_fix_that_came_first_counts(scene: Scene) -> None:
    scene.push("web is sick", web="web:sick")
    Wire.silent = 1000
    scene.live()
    scene.push("web is well", web="web:3")
    Wire.silent = 0
    scene.live()
    assert scene.subjects() == ["web is well", "web is sick", "begin"]
    assert scene.running()["web"] == "web:3"
    ((target, text, outcome),) = scene.said()
    assert (target, outcome) == ("shop/web", "failed")
    assert text.startswith("not in Git: a commit asks for another version of shop/web by now")


def test_a_remote_that_does_not_answer_is_asked_again(scene: Scene) -> None:
    scene.push("web is sick", web="web:sick")
    Wire.silent = 1000
    scene.live()
    scene.reconciler.refresh()
    assert str(scene.reconciler.trouble) == "the remote did not answer"
    assert (scene.running()["web"], scene.subjects(), scene.said()) == ("web:1", ["web is sick", "begin"], [])
    Wire.silent = 0
    scene.live()
    assert len(scene.subjects()) == 3


@pytest.mark.parametrize("dies", [False, True])
def test_it_is_committed_once_however_often_the_answer_is_lost(scene: Scene, dies: bool) -> None:
    scene.push("web is sick", web="web:sick")
    Wire.unheard = 3
    for _ in range(3):
        scene.live()
        if dies:
            scene.reconciler = scene.process()
    assert Wire.unheard < 3
    assert len(scene.subjects()) == 3
    assert scene.running() == {"web": "web:1", "api": "web:1"}


def test_what_cannot_go_back_alone_is_said_once_and_stays_held(scene: Scene) -> None:
    scene.push("both in one file", web="web:1", apart=False)
    scene.live()
    scene.push("both in one file change", web="web:sick", api="web:2", apart=False)
    scene.live()
    assert scene.running() == {"web": "web:1", "api": "web:2"}
    ((target, text, outcome),) = scene.said()
    assert (target, outcome) == ("shop/web", "failed")
    assert text.startswith("not in Git: the files of shop/web cannot go back alone")
    assert scene.blocked() == [f"shop/web: this spec failed: shop-web-1.next is unhealthy; {text}"]


def test_the_first_version_of_all_cannot_be_taken_back(tmp_path: Path) -> None:
    scene = Scene(Remote.make(tmp_path / "state.git"), tmp_path)
    scene.push("begin", web="web:1")
    scene.live()
    scene.store.lose()
    scene.push("web is sick", web="web:sick")
    scene.reconciler = scene.process()
    scene.live()
    assert scene.subjects() == ["web is sick", "begin"]
    assert scene.said() == [
        ("shop/web", "not in Git: no version before it was applied whole, as far as is known here", "failed")
    ]
    for source in scene.opened:
        source.close()


def test_a_directory_takes_no_commit(scene: Scene, tmp_path: Path) -> None:
    def refusing(environment: Environment) -> GitWriter:
        raise UsageError("this is a directory, so nothing can be committed to it")

    world = replace(scene.reconciler.world, source=FolderSource(tmp_path / "folder"), writer_for=refusing)
    for name, text in files("web:1").items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(text)
    scene.reconciler = Reconciler(world, Applier(world.runtime, scene.clock, threads=False))
    scene.live()
    (tmp_path / "folder/shop/compose.yaml").write_text(files("web:sick")["shop/compose.yaml"])
    scene.live()
    assert [text for _, text, _ in scene.said()] == ["not in Git: this is a directory, so nothing can be committed to it"]
