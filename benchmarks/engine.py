"""What does the real engine's work take with us, with docker compose, and with bare calls?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import bare
from benchmarks.measure import BARE, COMPOSE, OURS, Row, Side, Target, alternating, seconds
from benchmarks.places import Compose, Place
from benchmarks.repositories import IMAGE, chain, in_environment, plain, replicated
from reconciler.drivers.directory import FolderSource
from reconciler.load.loading import LoadSettings, load
from reconciler.model import labels
from reconciler.model.history import HashKey, History
from reconciler.model.observed import ObservedImage, ObservedState
from reconciler.model.plan import CreateInstance
from reconciler.plan import make_plan


@dataclass(slots=True)
class Rivals:
    """The same Compose project, brought about by each side under a name of its own, and taken away again."""

    root: Path
    engine: bare.Engine = field(default_factory=bare.Engine)

    @property
    def place(self) -> Place:
        return Place(self.root / "ours", f"bench{os.getpid()}")

    @property
    def compose(self) -> Compose | None:
        return Compose.find(self.root / "compose.yaml", f"bench{os.getpid()}-compose")

    @property
    def bare_label(self) -> str:
        return f"{labels.ENVIRONMENT}=bench{os.getpid()}-bare"

    def ask(self, text: str) -> None:
        """Ask each side for this project."""
        self.place.write(in_environment(self.place.environment, text))
        (self.root / "compose.yaml").write_text(text)

    def changes(self, text: str) -> tuple[CreateInstance, ...]:
        """Return what our plan would create of a project: the payloads of the bare calls."""
        rival = Place(self.root / "bare", f"bench{os.getpid()}-bare")
        rival.write(in_environment(rival.environment, text))
        source = FolderSource(rival.repository)
        revision = source.fetch()
        desired = load(source.files(revision.id), revision, LoadSettings(rival.environment))
        nothing = ObservedState(datetime.now(UTC), images={IMAGE: ObservedImage("sha256:any")}, neighbours=())
        plan = make_plan(desired, nothing, History(HashKey("key", b"of a benchmark")))
        return tuple(one.change for one in plan.actions if isinstance(one.change, CreateInstance))

    def make_network(self, changes: tuple[CreateInstance, ...]) -> None:
        """Make the network that the containers of the bare calls are on."""
        for name in {one.network for change in changes for one in change.networks}:
            key, value = self.bare_label.split("=", 1)
            self.engine.ask("POST", "/networks/create", {"Name": name, "CheckDuplicate": True, "Labels": {key: value}})

    def clear(self) -> None:
        """Take away what any side has brought about."""
        names = (f"{labels.ENVIRONMENT}={self.place.environment}", self.bare_label)
        for label in (*names, f"{labels.COMPOSE_PROJECT}=bench{os.getpid()}-compose"):
            bare.remove_labelled(self.engine, label)
        ours = {"label": [f"{labels.LEASE}={self.place.environment}"]}
        for lease in self.engine.ask("GET", "/volumes", filters=ours)["Volumes"] or ():
            self.engine.ask("DELETE", f"/volumes/{lease['Name']}")
        self.place.forget()


@contextmanager
def rivals() -> Iterator[Rivals]:
    """Have rivals for the block, and an engine as it was after it."""
    with TemporaryDirectory() as folder:
        found = Rivals(Path(folder))
        try:
            yield found
        finally:
            found.clear()


def cold_apply(runs: int, size: float) -> Iterator[Row]:
    """Everything of a project from nothing."""
    services = max(2, int(50 * size))
    with rivals() as sides:
        costs = _up(runs, sides, plain(services), widths=True)
    targets = (Target(1.05, BARE), Target(1.0, COMPOSE)) if COMPOSE in costs else (Target(1.05, BARE),)
    yield Row(f"cold apply, {services} services", "s", costs, targets)


def replicas(runs: int, size: float) -> Iterator[Row]:
    """One service with many replicas, from nothing, and then each of them replaced."""
    count = max(2, int(50 * size))
    old, new = replicated(count, 1), replicated(count, 2)
    with rivals() as sides:
        up = _up(runs, sides, old)
        replaced = _replaced(runs, sides, old, new)
    targets = (Target(0.65, COMPOSE),) if COMPOSE in up else ()
    yield Row(f"one service × {count}: up", "s", up, targets)
    yield Row(f"one service × {count}: replace all", "s", replaced, targets)


def health_chain(runs: int, size: float) -> Iterator[Row]:
    """Services that wait for one another's health, checked every second."""
    length = 5 if size >= 1 else 2
    with rivals() as sides:
        sides.ask(chain(length))
        costs = alternating(runs, {name: _cleared(sides, work) for name, work in _ours_and_compose(sides, "--wait").items()})
    yield Row(f"chain of {length} with health", "s", costs, (Target(0.85, COMPOSE),) if COMPOSE in costs else ())


def _up(runs: int, sides: Rivals, text: str, *, widths: bool = False) -> dict[str, float]:
    """Let each side bring the project about, runs times; bare calls in the width that does best."""
    sides.ask(text)
    changes = sides.changes(text)

    def bare_calls(width: int) -> Callable[[], object]:
        def work() -> None:
            sides.make_network(changes)
            bare.start_all(sides.engine, changes, width)

        return work

    best = bare.WIDTHS[1]
    if widths:
        tried = {width: _cleared(sides, bare_calls(width))() for width in bare.WIDTHS}
        best = min(tried, key=lambda width: tried[width])
    works = {**_ours_and_compose(sides), BARE: bare_calls(best)}
    return alternating(runs, {name: _cleared(sides, work) for name, work in works.items()})


def _replaced(runs: int, sides: Rivals, old: str, new: str) -> dict[str, float]:
    """Let each side replace every container of what it brought about before."""
    before, after = sides.changes(old), sides.changes(new)

    def replacing(begin: Callable[[], object], work: Callable[[], object]) -> Side:
        def side() -> float:
            sides.ask(old)
            begin()
            sides.ask(new)
            return _cleared(sides, work)()

        return side

    def begin_bare() -> None:
        sides.make_network(before)
        bare.start_all(sides.engine, before, bare.WIDTHS[1])

    works = {name: replacing(work, work) for name, work in _ours_and_compose(sides).items()}
    works[BARE] = replacing(begin_bare, lambda: bare.replace_all(sides.engine, after, bare.WIDTHS[1]))
    return alternating(runs, works)


def _ours_and_compose(sides: Rivals, *options: str) -> Mapping[str, Callable[[], object]]:
    works: dict[str, Callable[[], object]] = {OURS: lambda: sides.place.run("apply", "--quiet")}
    if compose := sides.compose:
        works[COMPOSE] = lambda: compose.run("up", "--detach", *options)
    return works


def _cleared(sides: Rivals, work: Callable[[], object]) -> Side:
    """Return a side whose traces are taken away after each run, which does not count."""

    def side() -> float:
        try:
            return seconds(work)
        finally:
            sides.clear()

    return side
