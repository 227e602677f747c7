"""What does it cost to look after two hundred real containers: to plan, to change one, to bring one back?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks import bare
from benchmarks.engine import Rivals, rivals
from benchmarks.measure import BARE, COMPOSE, OURS, Row, Target, alternating, seconds
from benchmarks.repositories import PER_STACK, one_project, realistic
from benchmarks.residents import turns_of
from reconciler.model import labels

DEADLINE_SECONDS = 60.0
CHANGED = "part0000-service0-1"


def town(runs: int, size: float) -> Iterator[Row]:
    """Everything about as many services as two hundred, times the size."""
    services = max(2 * runs, int(200 * size))
    with rivals() as sides:
        sides.place.write(realistic(sides.place.environment, services))
        sides.place.run("apply", "--quiet")
        yield from _one_shot(runs, sides, services)
        yield from turns_of(runs, sides.place, services)
        yield _one_changed(runs, sides, services)
        yield _killed(runs, sides)


def _one_shot(runs: int, sides: Rivals, services: int) -> Iterator[Row]:
    """`plan` where nothing is to do, beside docker compose's `up` where nothing is to do, of as many containers of its own."""
    works: dict[str, Callable[[], float]] = {OURS: lambda: seconds(lambda: sides.place.run("plan"))}
    targets: tuple[Target, ...] = ()
    if compose := sides.compose:
        compose.file.write_text(one_project(services))
        compose.run("up", "--detach")
        works[COMPOSE] = lambda: seconds(lambda: compose.run("up", "--detach"))
        targets = (Target(1.0, COMPOSE),)
    costs = alternating(runs, works)
    if compose:
        bare.remove_labelled(sides.engine, f"{labels.COMPOSE_PROJECT}={compose.project}")
    yield Row(f"one-shot plan, {services} realistic services", "s", costs, targets)


def _one_changed(runs: int, sides: Rivals, services: int) -> Row:
    """From the moment the file is written until the new container runs alone, beside bare calls that replace one."""
    environment, engine = sides.place.environment, sides.engine
    project = realistic(environment, services)
    changes = sides.changes(one_project(1))
    bare.start_all(engine, changes, 1)
    versions = iter(range(1, 1 + 2 * runs))
    with sides.place.resident():

        def push() -> float:
            file = next(path for path in project if path.startswith("part0000"))
            text = project[file].replace('VERSION: "1"', f'VERSION: "{1 + next(versions)}"', 1)
            before = _id_of(engine, f"{environment}-{CHANGED}")

            def changed() -> None:
                sides.place.write({file: text})
                _await(lambda: _id_of(engine, f"{environment}-{CHANGED}") not in ("", before))

            return seconds(changed)

        costs = alternating(runs, {OURS: push, BARE: lambda: seconds(lambda: bare.replace_all(engine, changes, 1))})
    sides.place.write(project)
    bare.remove_labelled(engine, sides.bare_label)
    return Row(f"one of {services} changed, file written → running", "s", costs, (Target(1.3, BARE),))


def _killed(runs: int, sides: Rivals) -> Row:
    """A container killed through the API until it runs again, beside a bare client that starts it at the event.

    Each time it is another one: who has just been repaired is repaired more slowly.
    """
    engine = sides.engine
    names = iter([f"{sides.place.environment}-part{number // PER_STACK:04}-service{number}-1" for number in range(2 * runs)])

    def ours() -> float:
        with sides.place.resident():
            return _down_and_up(engine, next(names))

    def bare_client() -> float:
        name = next(names)
        with _starting_at_die(engine, name):
            return _down_and_up(engine, name)

    costs = alternating(runs, {OURS: ours, BARE: bare_client})
    return Row("killed through the API → running again", "s", costs, (Target(1.1, BARE),))


def _down_and_up(engine: bare.Engine, name: str) -> float:
    before = _state(engine, name).get("StartedAt")

    def runs_again() -> bool:
        state = _state(engine, name)
        return bool(state.get("Running")) and state.get("StartedAt") != before

    def work() -> None:
        engine.ask("POST", f"/containers/{name}/kill")
        _await(runs_again)

    return seconds(work)


@contextmanager
def _starting_at_die(engine: bare.Engine, name: str) -> Iterator[None]:
    """A client that knows one container, and starts it as soon as the engine says that it died."""
    events = engine.stream("/events", filters={"event": ["die"], "container": [name]})

    def listen() -> None:
        events.readline()
        engine.ask("POST", f"/containers/{name}/start")

    client = threading.Thread(target=listen)
    client.start()
    yield
    client.join()
    events.close()


def _state(engine: bare.Engine, name: str) -> Mapping[str, Any]:
    """Return the state of a container, {} where there is none."""
    try:
        state: Mapping[str, Any] = engine.ask("GET", f"/containers/{name}/json")["State"]
    except bare.Refused:
        return {}
    return state


def _id_of(engine: bare.Engine, name: str) -> str:
    """Return the id of the container that has the name and runs, "" where none does."""
    try:
        found = engine.ask("GET", f"/containers/{name}/json")
    except bare.Refused:
        return ""
    return str(found["Id"]) if found["State"]["Running"] else ""


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)
