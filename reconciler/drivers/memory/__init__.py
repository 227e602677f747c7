"""A whole world in memory, with an engine in it that is reached as a real one is: for tests, and to plan without Docker."""

from __future__ import annotations

from reconciler.drivers.memory.audit import Rule, Violation
from reconciler.drivers.memory.fault import Killed
from reconciler.drivers.memory.gateway import MemoryGateway
from reconciler.drivers.memory.image import Behaviour
from reconciler.drivers.memory.refusal import EngineError
from reconciler.drivers.memory.registry import Trouble
from reconciler.drivers.memory.repository import Repository
from reconciler.drivers.memory.runtime import MemoryRuntime
from reconciler.drivers.memory.store import MemoryStore
from reconciler.drivers.memory.world import World

__all__ = [
    "Behaviour",
    "EngineError",
    "Killed",
    "MemoryGateway",
    "MemoryRuntime",
    "MemoryStore",
    "Repository",
    "Rule",
    "Trouble",
    "Violation",
    "World",
]
