"""Is what a failed container wrote kept, no more of it than is useful, and no secret with it?"""

from __future__ import annotations

from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import MemoryRuntime, World
from reconciler.last_words import MOST_CHARACTERS, MOST_LINES, heard
from reconciler.model.plan import Failure


def last_words(*lines: str, secrets: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return what is kept of a container that wrote these lines."""
    world = World(VirtualClock())
    world.image("web:1", logs=tuple(("stdout", line) for line in lines))
    container = world.engine.create("web", {"Image": "web:1"})
    world.start(container.id)
    (failure,) = heard(MemoryRuntime(world), [Failure("shop/web", "v1", "web failed", container.id)], secrets)
    return failure.last_words


def test_only_the_last_lines_are_kept() -> None:
    lines = [f"line {number}" for number in range(MOST_LINES + 5)]
    assert last_words(*lines) == tuple(lines[5:])


def test_a_secret_is_masked() -> None:
    assert last_words("password is hunter2", secrets=frozenset({"hunter2"})) == ("password is ***",)


def test_a_secret_at_the_cut_does_not_show_its_beginning() -> None:
    (line,) = last_words("x" * (MOST_CHARACTERS - 2) + "hunter2", secrets=frozenset({"hunter2"}))
    assert len(line) == MOST_CHARACTERS
    assert "hun" not in line


def test_empty_lines_are_left_out() -> None:
    assert last_words("", "one", "  ", "two") == ("one", "two")


def test_a_container_that_is_gone_has_none() -> None:
    failure = Failure("shop/web", "v1", "web failed", "gone")
    assert heard(MemoryRuntime(World(VirtualClock())), [failure], frozenset()) == (failure,)
