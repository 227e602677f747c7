"""Does the Docker driver keep the runtime's promises on a real engine?"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from runtime_contract import RuntimeContract
from worlds import DockerWorld, World

NUMBERS = itertools.count()


@pytest.fixture
def world() -> Iterator[World]:
    world = DockerWorld(f"t{os.getpid()}-{next(NUMBERS)}")
    try:
        yield world
    finally:
        world.close()


@pytest.mark.engine
class TestDocker(RuntimeContract):
    """Every promise, on the engine of this machine."""
