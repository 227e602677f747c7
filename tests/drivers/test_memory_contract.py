"""Does the engine in memory keep the runtime's promises?"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("runtime_contract", "worlds")

from memory_world import MemoryWorld  # noqa: E402 -- the line above must come first
from runtime_contract import RuntimeContract  # noqa: E402
from worlds import World  # noqa: E402


@pytest.fixture
def world() -> World:
    return MemoryWorld("production")


class TestMemory(RuntimeContract):
    """Every promise, in memory."""
