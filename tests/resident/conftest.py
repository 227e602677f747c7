"""What do tests of the loop share?"""

from __future__ import annotations

import pytest
from memory_place import MemoryPlace


@pytest.fixture
def place() -> MemoryPlace:
    return MemoryPlace()
