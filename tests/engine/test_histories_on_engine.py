"""Does the same history lead to the same state in memory and on a real engine? So the model of the engine stays honest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import docker
import pytest
from asked import ENVIRONMENT
from engine_playing import PREFIX, EnginePlaying, apart, build_images, state
from histories import ENGINE_IMAGES, History, Say, engine_histories, samples, script
from playing import Playing

from reconciler.drivers.memory import MemoryRuntime
from reconciler.ports import Depth

HISTORIES = tuple(apart(history) for history in samples(engine_histories(), 8))


@pytest.fixture(scope="module")
def images(engine: docker.APIClient, busybox_image: str) -> Iterator[None]:
    """Images under the names that the histories use."""
    references = [f"{PREFIX}/{image}" for image in ENGINE_IMAGES]
    build_images(engine, iter(references))
    yield
    for reference in references:
        engine.remove_image(reference)


@pytest.fixture
def on_engine(engine: docker.APIClient, images: None, clean_environment: Callable[[str], str]) -> EnginePlaying:
    clean_environment(ENVIRONMENT)
    return EnginePlaying(engine)


@pytest.mark.parametrize("history", HISTORIES, ids=[f"history {number + 1}" for number in range(len(HISTORIES))])
def test_a_history_leads_to_the_same_state_in_memory_and_on_an_engine(history: History, on_engine: EnginePlaying) -> None:
    in_memory = Playing(history)
    in_memory.build_images()
    for number, step in enumerate(history.steps):
        in_memory.step(step)
        left = on_engine.step(step)
        if isinstance(step, Say) and step.command.startswith("settle"):
            so_far = "\n".join(script(History(history.steps[: number + 1])))
            assert not left, f"the engine never comes to rest:\n{so_far}\n\n{left}"
            remembered = state(MemoryRuntime(in_memory.world).observe(ENVIRONMENT))
            assert state(on_engine.runtime.observe(ENVIRONMENT, depth=Depth.WHOLE)) == remembered, so_far
