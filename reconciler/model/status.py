"""How far reality is from Git, how well it runs, and how the last operation went: three questions, never one word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.model.plan import Plan


class Sync(StrEnum):
    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"


class Health(StrEnum):
    """From best to worst, in this order."""

    HEALTHY = "Healthy"
    SUSPENDED = "Suspended"
    PROGRESSING = "Progressing"
    MISSING = "Missing"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"


def worst(healths: Iterable[Health]) -> Health:
    """Return the worst of them; Healthy when there are none."""
    order = list(Health)
    return max(healths, key=order.index, default=Health.HEALTHY)


class Operation(StrEnum):
    """How a turn went: Failed when an action failed, Error when it could not even plan."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action. `error` is "" when it was done; `skipped` when a need of it failed."""

    action: str
    error: str = ""
    skipped: bool = False
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        return not self.error and not self.skipped


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as `status` shows it. `message` says why it is not healthy; `image` is what runs."""

    stack: str
    name: str
    sync: Sync
    health: Health
    wanted: int
    running: int
    ready: int
    image: str = ""
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class StackStatus:
    name: str
    sync: Sync
    health: Health
    services: tuple[ServiceStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One turn, whole: what woke it, what it planned, what became of it.

    error  why there is no plan (bad commit, unreachable engine); the last good revision keeps being healed
    """

    started: datetime
    finished: datetime
    woke: str
    operation: Operation
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    stacks: tuple[StackStatus, ...] = ()
    attempted: str = ""
    applied: str = ""
    error: str = ""
    hint: str = ""
