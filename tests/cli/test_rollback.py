"""Does `reconciler rollback` bring the version before back, keep it, and put it into Git, whatever fails on the way?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from git_remotes import Remote, git

from reconciler.apply import Applier
from reconciler.audit import Ledger, lines
from reconciler.claim import Claim
from reconciler.cli.retry import retry
from reconciler.cli.rollback import Desk, rollback
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.git import GitSource, GitWriter, Hand
from reconciler.drivers.memory import MemoryRuntime, MemoryStore, World
from reconciler.errors import Refused, UsageError
from reconciler.load.giturl import parse_url
from reconciler.load.loading import load
from reconciler.loop import Reconciler
from reconciler.loop import World as Ports
from reconciler.model import labels
from reconciler.model.audit import Kind
from reconciler.model.desired import Environment
from reconciler.model.observed import Phase
from reconciler.model.status import Report
from reconciler.plan import render
from reconciler.settle import settle, verdict_of

SETTINGS = "api: v1\nname: production\nstacks:\n  shop: {path: shop}\n  data: {path: data}\n"


def files(web: int = 1, api: int = 1, data: int = 1, more: str = "", settings: str = SETTINGS) -> dict[str, str]:
    """Return the repository with these versions; `more` is further text in the compose file of the shop."""
    shop = f"services:\n  web: {{image: 'web:{web}'}}\n  api: {{image: 'api:{api}'}}\n{more}"
    return {
        "reconciler.yaml": settings,
        "shop/compose.yaml": shop,
        "data/compose.yaml": f"services: {{db: {{image: 'db:{data}'}}}}\n",
    }


@dataclass
class Night:
    """A repository, an engine in memory, and a person who types; each command is a process of its own."""

    remote: Remote
    directory: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    opened: list[GitSource] = field(default_factory=list)
    holder: str = "a command"

    def __post_init__(self) -> None:
        self.world = World(self.clock)
        for name in ("web", "api", "db"):
            for version in range(1, 6):
                self.world.image(f"{name}:{version}")

    def push(self, subject: str = "change", **versions: int | str) -> str:
        return self.remote.commit(files(**versions), subject)  # type: ignore[arg-type]

    def source(self) -> GitSource:
        url = parse_url(str(self.remote.path), allow_file=True)
        self.opened.append(GitSource(url, "main", self.directory / "clone"))
        return self.opened[-1]

    def writer(self, environment: Environment) -> GitWriter:
        return GitWriter(self.source(), Hand("reconciler <r@localhost>", "here"), self.clock, random.Random(1))

    def process(self) -> Reconciler:
        runtime = MemoryRuntime(self.world)
        ports = Ports(self.source(), load, runtime, self.store, self.clock)
        return Reconciler(ports, Applier(runtime, self.clock, threads=False))

    def apply(self, only: str = "") -> Report:
        reconciler = self.process()
        reconciler.only = only
        reconciler.refresh()
        claim = Claim(MemoryRuntime(self.world), self.clock, self.holder, reconciler.ledger)
        try:
            report = settle(reconciler, claim, lambda report: None, self.clock.advance)
        finally:
            claim.release()
        assert not self.world.audit()
        return report

    def switch(self, stack: str) -> bool:
        return not verdict_of(self.apply(stack), stack)

    def rollback(self, target: str, to: str = "", reason: str = "") -> int:
        desk = Desk(self.source(), load, self.store, self.clock, self.writer, self.switch)
        return rollback(desk, target, to, reason)

    def running(self) -> dict[str, str]:
        """Return the image of each running container, by the service's name."""
        running = (one for one in self.world.engine.containers.values() if one.phase is Phase.RUNNING)
        return {one.name.split("-")[1]: one.config["Image"] for one in running}

    def said(self) -> list[tuple[str, str, str, tuple[str, ...]]]:
        """Return what the audit log says of words: target, in words, outcome, why."""
        entries = [line.entry for line in lines(self.store.trail()) if line.entry.kind is Kind.WORD]
        return [(one.target, one.text, one.outcome, one.reasons) for one in entries]

    def held(self) -> list[str]:
        reconciler = self.process()
        reconciler.refresh()
        return [render.held_text(one) for one in reconciler.look().plan.held]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    night = Night(Remote.make(tmp_path / "state.git"), tmp_path)
    night.push("begin")
    night.apply()
    yield night
    for source in night.opened:
        source.close()


def test_the_version_before_runs_stays_and_comes_to_stand_in_git(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    good = night.remote.tip()
    bad = night.push("web 2", web=2)
    night.apply()
    assert night.running() == {"web": "web:2", "api": "api:1", "db": "db:1"}

    assert night.rollback("shop", reason="checkout broken") == 0
    assert night.running()["web"] == "web:1"
    commit = night.remote.tip()
    assert capsys.readouterr().out == (
        f'shop/web: back to {good[:7]} "begin", held until Git asks for something else\nshop: commit {commit[:7]} on main\n'
    )
    assert git(night.remote.path, "diff", "--stat", good, "main") == ""
    assert git(night.remote.path, "log", "-1", "--format=%an: %s%n%b").startswith(
        f"reconciler: rollback(shop): {bad[:7]}→{good[:7]}\nshop of production goes back to what {good} asks for.\n\n"
        "Reconciler-Decision-Id: "
    )

    assert night.said() == [
        ("shop", f"held at {good[:7]}", "done", ("checkout broken",)),
        ("shop", f"commit {commit[:7]} on main", "done", ("checkout broken",)),
    ]
    changes = night.world.mutations
    assert not night.apply().error
    assert (night.world.mutations, night.held(), night.store.history().applied) == (changes, [], commit)
    night.apply()
    assert night.store.history().rollbacks == {}


def refuse(night: Night) -> Path:
    hook = night.remote.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    return hook


def test_a_refused_push_keeps_the_hold_and_says_so(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    good = night.remote.tip()
    bad = night.push("web 2", web=2)
    night.apply()
    hook = refuse(night)
    assert night.rollback("shop/web", reason="slow") == 1
    assert "error: it is not in Git, so the hold stays: WriteBackDelayed: branch main" in capsys.readouterr().err
    delayed = "WriteBackDelayed: branch main takes no commit of ours: protected"
    assert night.said() == [
        ("shop/web", f"held at {good[:7]}", "done", ("slow",)),
        ("shop/web", "not in Git", "failed", ("slow",)),
    ]
    held = (
        f"shop/web: version {bad[:7]} of web, rolled back to {good[:7]}: slow; not in Git: {delayed} "
        "(until a commit asks for another version, or `reconciler retry shop/web`)"
    )
    assert night.held() == [held]
    report = night.apply()
    assert night.running()["web"] == "web:1"
    web = next(one for stack in report.stacks for one in stack.services if one.name == "web")
    assert (web.sync, web.health, night.store.history().applied) == ("OutOfSync", "Healthy", bad)

    # Other commits come through meanwhile, and what somebody does to the old version is healed.
    night.push("api 2", web=2, api=2)
    night.world.kill("shop-web-1")
    night.apply()
    assert night.running() == {"web": "web:1", "api": "api:2", "db": "db:1"}

    hook.unlink()
    assert night.rollback("shop/web", to=good) == 1, "web and api stand in one file, so web cannot go back alone"
    assert "cannot go back alone" in capsys.readouterr().err
    night.push("fix", web=3, api=2)
    night.apply()
    assert (night.running()["web"], night.held()) == ("web:3", [])


def test_retry_ends_it(night: Night) -> None:
    night.push("web 2", web=2)
    night.apply()
    refuse(night)
    night.rollback("shop")
    assert "shop: will be tried again (rolled back to" in retry(night.store, night.clock.now(), ["shop"])
    night.apply()
    assert night.running()["web"] == "web:2"


def test_only_the_stack_goes_back_and_nothing_else_is_touched(night: Night) -> None:
    night.push("web 2", web=2)
    night.apply()
    night.push("data 2, not applied yet", web=2, data=2)
    assert night.rollback("shop") == 0
    assert night.running() == {"web": "web:1", "api": "api:1", "db": "db:1"}
    assert "db:2" in git(night.remote.path, "show", "main:data/compose.yaml")
    night.apply()
    assert night.running() == {"web": "web:1", "api": "api:1", "db": "db:2"}


def test_a_push_in_between_is_the_last_word(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    night.push("web 2", web=2)
    night.apply()
    switch = night.switch

    def somebody_pushes(stack: str) -> bool:
        done = switch(stack)
        night.push("fixed already", web=3)
        return done

    night.switch = somebody_pushes  # type: ignore[method-assign]
    assert night.rollback("shop") == 1
    assert "a commit asks for another version of shop by now, and it counts" in capsys.readouterr().err
    night.apply()
    assert (night.running()["web"], night.held()) == ("web:3", [])


def test_a_revert_of_the_revert_is_a_word_of_its_own(night: Night) -> None:
    night.push("web 2", web=2)
    night.apply()
    night.rollback("shop")
    night.apply()
    night.push("web 2 after all", web=2)
    night.apply()
    assert night.running()["web"] == "web:2"


def test_the_version_can_be_named_and_services_that_it_lacks_go(night: Night) -> None:
    first = night.remote.tip()
    night.push("web 2", web=2)
    night.apply()
    night.push("web 3 and a worker", web=3, more="  worker: {image: 'api:2'}\n")
    night.apply()
    assert "worker" in night.running()
    assert night.rollback("shop", to=first[:10]) == 0
    assert night.running() == {"web": "web:1", "api": "api:1", "db": "db:1"}


def test_a_remote_that_is_away_keeps_nobody_from_going_back(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    night.push("web 2", web=2)
    night.apply()
    night.remote.path.rename(night.remote.path.with_name("away"))
    assert night.rollback("shop") == 1
    assert night.running()["web"] == "web:1"
    assert "which was seen last" in capsys.readouterr().err
    night.apply()
    assert night.running()["web"] == "web:1"
    night.remote.path.with_name("away").rename(night.remote.path)
    night.apply()
    assert night.running()["web"] == "web:1"
    assert night.rollback("shop") == 0
    assert "web:1" in git(night.remote.path, "show", "main:shop/compose.yaml")


@pytest.mark.parametrize("setting", ["windows: {never: {kind: deny, schedule: '* * * * *', duration: 48h}}", "sync: manual"])
def test_what_holds_new_revisions_does_not_hold_a_rollback_and_is_not_taken_back(night: Night, setting: str) -> None:
    night.push("web 2", web=2)
    night.apply()
    night.push("freeze", web=2, settings=f"{SETTINGS}{setting}\n")
    night.apply()
    assert night.rollback("shop") == 0
    assert night.running()["web"] == "web:1"
    assert setting in git(night.remote.path, "show", "main:reconciler.yaml")
    night.apply()
    assert night.running()["web"] == "web:1"


def test_a_version_that_only_waited_for_its_release_is_no_version_to_go_back_to(night: Night) -> None:
    night.push("web 2", web=2)
    night.apply()
    for version in (3, 4):
        night.push(f"web {version}", web=version, settings=f"{SETTINGS}sync: manual\n")
        assert night.apply().applied == night.remote.tip()
    assert night.running()["web"] == "web:2"
    assert night.rollback("shop") == 0
    assert night.running()["web"] == "web:2"


def test_said_twice_it_does_not_bring_the_newer_version_back(night: Night) -> None:
    night.push("web 2", web=2)
    night.apply()
    assert night.rollback("shop") == 0
    for _ in range(2):
        with pytest.raises(Refused, match="already, and Git asks for that"):
            night.rollback("shop")
        night.apply()


def test_containers_say_which_revision_they_were_made_for(night: Night) -> None:
    good = night.remote.tip()
    night.push("web 2", web=2)
    night.apply()
    refuse(night)
    night.rollback("shop")
    web = next(one for one in night.world.engine.containers.values() if one.name == "shop-web-1")
    assert web.labels[labels.REVISION] == good


def test_files_that_two_stacks_read_go_back_where_that_changes_nothing_else(night: Night) -> None:
    """The image stands in a file beside both stacks."""
    include = {"common/web.yaml": "services: {web: {image: 'web:1'}}\n"}
    shop = "include: [../common/web.yaml]\nservices: {api: {image: 'api:1'}}\n"
    night.remote.commit(files() | include | {"shop/compose.yaml": shop}, "share")
    night.apply()
    night.remote.commit(
        files() | {"common/web.yaml": include["common/web.yaml"].replace("1", "2"), "shop/compose.yaml": shop}, "web 2"
    )
    night.apply()
    assert night.running()["web"] == "web:2"
    assert night.rollback("shop/web") == 0
    assert "web:1" in git(night.remote.path, "show", "main:common/web.yaml")


def test_somebody_elses_lease_is_left_alone(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    night.push("web 2", web=2)
    night.apply()
    resident = Claim(MemoryRuntime(night.world), night.clock, "the resident", Ledger(night.store, night.clock))
    resident.take("production")
    with pytest.raises(Refused, match="the resident holds the lease"):
        night.rollback("shop")
    night.holder = "the resident"
    night.apply()
    assert night.running()["web"] == "web:1", "the hold is there before anything is switched"


@pytest.mark.parametrize(
    ("target", "to", "error", "says"),
    [
        ("shpo", "", UsageError, "there is no shpo in production now"),
        ("shop/wbe", "", UsageError, "there is no shop/wbe in production now"),
        ("shop", "", Refused, "no other version of shop was applied whole"),
        ("shop", "HEAD", Refused, "asks for no other version of shop"),
        ("shop", "nowhere", UsageError, "names no commit"),
    ],
)
def test_what_makes_no_sense_is_refused_and_holds_nothing(
    night: Night, target: str, to: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        night.rollback(target, to)
    assert night.store.history().rollbacks == {}


def test_a_version_that_can_no_longer_be_read_lets_nothing_roll_forward(night: Night) -> None:
    night.push("web 2", web=2)
    night.apply()
    refuse(night)
    night.rollback("shop")
    lost = replace(night.store.history().rollbacks["shop"], to="f" * 40)
    night.store.change(partial(replace, rollbacks={"shop": lost}))
    report = night.apply()
    assert "shop is rolled back to fffffff, which cannot be read" in report.error
    assert night.running()["web"] == "web:1"
