"""Does one reconciler stay as it is over thousands of turns of faults? RECONCILER_TURNS=10000 makes so many.

One world in memory and one life: commits, hands and faults come in random order, out of random histories, and whatever
the witness of a single history looks at is looked at here, too. Nobody restarts the reconciler: what it gathers, stays.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from histories import History, Say, Step, histories, samples
from playing import Playing
from slopes import Growth, sample

from reconciler.drivers.memory import Rule
from reconciler.drivers.sqlite import SqliteStore

TURNS = int(os.environ.get("RECONCILER_TURNS", "60"))
HISTORIES = 5 + TURNS // 200
SAMPLES = 200
ENOUGH_TO_JUDGE = 5000
MOST_MEMORY, MOST_HANDLES = 1 << 19, 0.5
"""How much memory, and how many descriptors or threads, the process may gain in 1,000 turns.

Not all of the memory is the reconciler's: the repository in memory keeps every commit.
"""

ENDS = ("restart", "crash", "lose")
"""What ends the process; other tests are about that."""


def test_a_life_of_faults_leaves_the_process_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = [_one_life(history) for history in samples(histories(), HISTORIES)]
    playing = Playing(History(tuple(step for history in pool for step in history)))
    playing.processes[0].store = SqliteStore(tmp_path)  # type: ignore[assignment]  # descriptors are opened by a real one
    playing.build_images()
    growth, turns = Growth(), 0
    for step in _endless(pool):
        playing.step(step)
        turns += _forget(playing)
        if turns * SAMPLES >= len(growth.samples) * TURNS:
            gc.collect()
            growth.samples.append(sample(turns))
        if turns >= TURNS:
            break
    playing.rest()
    touched = [one.text for one in playing.world.audit() if one.rule is Rule.FOREIGN]
    with capsys.disabled():
        print(f"\n{turns} turns, {playing.world.mutations} changes, foreign objects touched: {len(touched)}\n{growth.table()}")
    assert touched == []
    if turns >= ENOUGH_TO_JUDGE:
        assert growth.memory_bytes < MOST_MEMORY
        assert growth.descriptors < MOST_HANDLES
        assert growth.threads < MOST_HANDLES


def _one_life(history: History) -> tuple[Step, ...]:
    return tuple(step for step in history.steps if not (isinstance(step, Say) and step.command.startswith(ENDS)))


def _endless(pool: list[tuple[Step, ...]]) -> Iterator[Step]:
    """Yield the steps of histories drawn at random; after each of them what broke is mended."""
    chance = Random(1)
    while True:
        yield from chance.choice(pool)
        yield from map(Say, ("engine up", "remote up", "registry far:1 ok", "settle 10m"))


def _forget(playing: Playing) -> int:
    """Forget what only the test remembers; return how many turns there were since."""
    count = len(playing.reports)
    del playing.reports[:-1]
    playing.world.journal.events.clear()
    return count - len(playing.reports)
