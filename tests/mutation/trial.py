"""Would a test fail if a small mistake were made? Draws mistakes at random, makes one at a time, and says which go unseen.

    python tests/mutation/trial.py plan --seed 1 2 --count 60

A mistake is made in the memory of a process of its own: no file is touched. Mistakes of each kind are drawn equally often.
Each is tried on the tests that reach the function it is in, the quickest first, until one fails.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import multiprocessing
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from changes import Kind, Mutation, mutations
from hypothesis import Phase, settings
from living import Living, Place

TREE = Path(__file__).parents[2]
MEMORY_BYTES = 4_000_000_000
OPTIONS = (
    *("-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is imported already
)
DEADLINE_SECONDS = 900
"""For what waits for ever. What runs for ever is stopped by the limit of its processor time."""

# The same examples in each run, no search for the smallest one that fails, and nothing kept for the next run.
settings.register_profile("mutants", derandomize=True, phases=[Phase.explicit, Phase.generate], database=None, deadline=None)


@dataclass(frozen=True, slots=True)
class Area:
    """A package with the tests that answer for it; `only` leaves out what takes long and tells little (pytest -k)."""

    package: Path
    tests: tuple[str, ...]
    only: str = ""


AREAS = {
    "plan": Area(TREE / "reconciler" / "plan", ("tests/plan", "tests/scenarios/test_scenarios.py")),
    "load": Area(TREE / "reconciler" / "load", ("tests/load", "tests/giturl"), only="not costs_less"),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    path: Path
    mutation: Mutation

    def __str__(self) -> str:
        return f"{self.path.relative_to(TREE)}:{self.mutation.line} {self.mutation.kind}"

    @property
    def function(self) -> Place:
        return str(self.path), self.mutation.function

    @property
    def difference(self) -> str:
        """The lines that the mistake changes, before and after."""
        source = self.path.read_bytes()
        before, after = (text.decode().splitlines() for text in (source, self.mutation.applied(source)))
        return "\n".join(f"    {line}" for line in [*difflib.unified_diff(before, after, lineterm="", n=0)][3:])


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _asked(arguments)
    area = AREAS[asked.area]
    os.chdir(TREE)
    trial = Trial(area, asked.seed, asked.count)
    chosen = ("-k", area.only) if area.only else ()
    return int(pytest.main([*OPTIONS, *chosen, *area.tests], plugins=[trial]))


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one draw for each")
    parser.add_argument("--count", type=int, default=60, help="how many mutants in a draw")
    return parser.parse_args(arguments)


class Trial:
    """Runs the tests once as they are, and then those that can tell for each mutant (a pytest plugin)."""

    def __init__(self, area: Area, seeds: list[int], count: int) -> None:
        self._area, self._seeds, self._count = area, seeds, count

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        paths = sorted(self._area.package.rglob("*.py"))
        for path in paths:
            importlib.import_module(".".join(path.relative_to(TREE).with_suffix("").parts))
        possible = [Mutant(path, one) for path in paths for one in mutations(path.read_bytes())]
        draws = {seed: draw(possible, seed, self._count) for seed in self._seeds}
        living = Living({mutant.function for drawn in draws.values() for mutant in drawn})
        seconds = {item: _seconds(item, living) for item in session.items}
        if session.testsfailed:
            raise session.Failed("the tests fail as they are")
        for seed, drawn in draws.items():
            self._say(session, f"\n{self._area.package.name}: {len(drawn)} of {len(possible)} mutants, seed {seed}")
            self._try(session, drawn, living, seconds)
        return True

    def _try(self, session: pytest.Session, drawn: list[Mutant], living: Living, seconds: dict[pytest.Item, float]) -> None:
        survived = Counter[Kind]()
        for mutant in drawn:
            tests = living.tests_of(mutant.function)
            by = _fate(mutant, living, {item: cost for item, cost in seconds.items() if item.nodeid in tests})
            self._say(session, f"{mutant}: {by or 'SURVIVED'} ({len(tests)} tests reach it)")
            if not by:
                self._say(session, mutant.difference)
                survived[mutant.mutation.kind] += 1
        self._say(session, f"{self._area.package.name}: {len(drawn) - survived.total()} of {len(drawn)} killed")
        for kind, count in Counter(mutant.mutation.kind for mutant in drawn).items():
            self._say(session, f"  {kind}: {count - survived[kind]} of {count}")

    def _say(self, session: pytest.Session, line: str) -> None:
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        assert terminal is not None
        terminal.write_line(line)
        terminal.flush()


def _seconds(item: pytest.Item, living: Living) -> float:
    begun = time.process_time()
    with living.test(item.nodeid):
        _run(item)
    return time.process_time() - begun


def _fate(mutant: Mutant, living: Living, seconds: dict[pytest.Item, float]) -> str:
    """Return by what a mutant was found, empty where by nothing; `seconds` are its tests and what each takes."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    items = sorted(seconds, key=seconds.__getitem__)
    cpu_seconds = 20 + round(3 * sum(seconds.values()))
    process = multiprocessing.get_context("fork").Process(target=_live_as, args=(mutant, living, items, theirs, cpu_seconds))
    process.start()
    theirs.close()
    by = "its deadline"
    with suppress(EOFError):
        by = ours.recv() if ours.poll(DEADLINE_SECONDS) else by
    process.kill()
    process.join()
    return by


def _run(item: pytest.Item) -> None:
    item.ihook.pytest_runtest_protocol(item=item, nextitem=None)


def draw(possible: Iterable[Mutant], seed: int, count: int) -> list[Mutant]:
    """Return so many of them, each kind as often as the others: most places are texts, and few of those are decisions."""
    chance = random.Random(seed)
    piles = {kind: [one for one in possible if one.mutation.kind is kind] for kind in Kind}
    for pile in piles.values():
        chance.shuffle(pile)
    drawn: list[Mutant] = []
    while any(piles.values()) and len(drawn) < count:
        drawn += [pile.pop() for pile in piles.values() if pile]
    return drawn[:count]


# --- in the process of a mutant --------------------------------------------------------------------------------------


def _live_as(mutant: Mutant, living: Living, items: list[pytest.Item], answer: Connection, cpu_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    living.rewrite(mutant.function, mutant.mutation.applied(mutant.path.read_bytes()))
    answer.send(next((item.nodeid for item in items if _fails(item)), ""))


def _fails(item: pytest.Item) -> bool:
    session = item.session
    session.config.pluginmanager.unregister(name="terminalreporter")
    _run(item)
    return bool(session.testsfailed)


if __name__ == "__main__":
    sys.exit(main())
