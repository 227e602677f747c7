"""What does a reconciler cost that stays: a turn at which nothing moved, its memory, and while nothing happens?"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bare import Engine
from benchmarks.measure import BARE, OURS, Row, Target, alternating, cpu_seconds_of, resident_megabytes_of, seconds
from benchmarks.places import PROJECT, Place
from benchmarks.pure import NAME, SECRET
from benchmarks.repositories import realistic
from reconciler.apply import Applier
from reconciler.drivers.clock import SystemClock
from reconciler.drivers.directory import FolderSource
from reconciler.drivers.docker import connect
from reconciler.drivers.sqlite import SqliteStore
from reconciler.load.loading import LoadSettings, load
from reconciler.loop import Reconciler, World
from reconciler.model import labels
from reconciler.model.status import Operation
from reconciler.resident import Resident
from reconciler.wake import listen

IDLE_SECONDS = 20.0


def recorded_turn(runs: int, size: float) -> Iterator[Row]:
    """A turn at which nothing moved, beside a list of the same containers, on a recorded engine."""
    services = max(10, int(1_000 * size))
    with TemporaryDirectory() as folder, _recorded(Path(folder) / "engine.sock", services) as socket:
        place = Place(Path(folder), NAME, f"unix://{socket}")
        place.write(realistic(NAME, services))
        place.state.mkdir()
        (place.state / "hash.key").write_bytes(SECRET)
        yield from _turns(runs, place, Engine(str(socket)), f"{services:,} recorded containers")
        yield _memory(place, f"{services:,} recorded containers", 100)


def turns_of(runs: int, place: Place, containers: int) -> Iterator[Row]:
    """The same on a real engine where everything of the place runs; and what it costs while nothing happens."""
    yield from _turns(runs, place, Engine(), f"{containers} real containers")
    yield _memory(place, f"{containers} real containers", 80)
    yield _idle(place, f"{containers} containers")


def _turns(runs: int, place: Place, engine: Engine, what: str) -> Iterator[Row]:
    """A turn at the interval, beside one that an event woke which changes nothing: a signal that nobody minds."""
    resident = _resident(place)
    label = f"{labels.ENVIRONMENT}={place.environment}"
    with _listening(resident):
        for _ in range(2):
            resident.turn(("start",))
        some = engine.containers(label)[0]["Id"]
        sides = {
            OURS: lambda: _turn(resident, ("interval",)),
            "event": lambda: _turn(resident, _signal(resident, engine, some)),
            BARE: lambda: seconds(lambda: engine.containers(label)),
        }
        costs = {side: 1000 * cost for side, cost in alternating(runs, sides).items()}
    yield Row(f"turn, nothing moved, {what}", "ms", {OURS: costs[OURS], BARE: costs[BARE]}, (Target(1.3, BARE),))
    yield Row(f"event tick, {what}", "ms", {OURS: costs["event"], BARE: costs[BARE]}, (Target(10),))
    resident.reconciler.end(0)
    resident.reconciler.world.runtime.release_lease(place.environment, resident.holder)


@contextmanager
def _listening(resident: Resident) -> Iterator[None]:
    """Have it hear the engine's events, as a resident does that runs by itself."""
    runtime, stop = resident.reconciler.world.runtime, threading.Event()
    thread = threading.Thread(target=listen, args=(runtime, resident.bell, stop))
    thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _signal(resident: Resident, engine: Engine, container: str) -> tuple[str, ...]:
    """Return what woke it: a signal to one of its containers."""
    engine.ask("POST", f"/containers/{container}/kill", signal="SIGCONT")
    woke = resident.bell.wait(10)
    assert woke, "the event was not told"
    return woke


def _turn(resident: Resident, woke: tuple[str, ...]) -> float:
    took = seconds(lambda: resident.turn(woke))
    report = resident.pulse.report
    assert report is not None
    assert report.operation is Operation.SUCCEEDED, report.error
    assert report.plan is not None
    assert not report.plan.groups, "something moved"
    return took


def _resident(place: Place) -> Resident:
    clock = SystemClock()
    runtime = connect(place.engine or None, clock=clock)
    world = World(
        FolderSource(place.repository),
        lambda files, revision: load(files, revision, LoadSettings(place.environment)),
        runtime,
        SqliteStore(place.state),
        clock,
    )
    resident = Resident(Reconciler(world, Applier(runtime, clock)), lambda report: None, "benchmark")
    resident.reconciler.refresh()
    return resident


@contextmanager
def _recorded(socket: Path, services: int) -> Iterator[Path]:
    words = (sys.executable, "-m", "benchmarks.recorded", str(socket), str(services))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)}) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "the recorded engine did not start"
        try:
            yield socket
        finally:
            process.terminate()


def _memory(place: Place, what: str, most: float) -> Row:
    with place.resident() as process:
        return Row(f"resident memory, {what}", "MB", {OURS: resident_megabytes_of(process.pid)}, (Target(most),))


def _idle(place: Place, what: str) -> Row:
    """In percent of a core."""
    with place.resident() as process:
        time.sleep(5)
        before = cpu_seconds_of(process.pid)
        time.sleep(IDLE_SECONDS)
        spent = cpu_seconds_of(process.pid) - before
    return Row(f"idle for {IDLE_SECONDS:g} s, {what}", "% of a core", {OURS: 100 * spent / IDLE_SECONDS}, (Target(0.5),))
