"""How far reality is from Git, how well it runs, and how the last operation went: three questions, never one word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.model.plan import Plan
from reconciler.model.source import Revision


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
    """How a turn went: Failed when an action failed, Error when it could not even plan, or not keep what it did."""

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

    revision  the newest valid revision, which the plan is about
    applied   id of the last revision applied whole, after this turn
    error     why the newest revision does not count, or why there is no plan; the last good one keeps being healed
    """

    started: datetime
    finished: datetime
    woke: str
    operation: Operation
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    stacks: tuple[StackStatus, ...] = ()
    revision: Revision | None = None
    applied: str = ""
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What stays of a turn in the history: everything a person asks later, nothing a plan may not show.

    plan     the plan as it was printed, "" where there was none
    failed   "action: what the engine said" for each action that failed
    done     how many actions were done
    """

    started: datetime
    finished: datetime
    woke: str
    operation: Operation
    revision: str
    author: str
    subject: str
    applied: str
    summary: str
    plan: str
    failed: tuple[str, ...]
    stacks: tuple[StackStatus, ...]
    error: str
    hint: str
    done: int = 0
