"""Does the engine in memory keep the runtime's promises?"""

from __future__ import annotations

import pytest
from memory_world import MemoryWorld
from runtime_contract import RuntimeContract
from worlds import World


@pytest.fixture
def world() -> World:
    return MemoryWorld("production")


class TestMemory(RuntimeContract):
    """Every promise, in memory."""
