"""How far has a new version come that takes over step by step, and what judged it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """Where a rollout is."""

    ROLLING = "rolling"
    """Slot after slot: the containers themselves say how far it is."""
    SURGING = "surging"
    """The new set is being made beside the old one, and gets nothing yet."""
    SHIFTING = "shifting"
    """The new set gets the share of the present step."""
    KEEPING = "keeping the old set"
    """The new set gets everything; the old one stands by for an instant return."""
    RETIRING = "retiring"
    """The old set goes."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests (connections, where nothing looks into them) were sent on, and how many of them failed."""

    requests: int = 0
    failed: int = 0


class Say(StrEnum):
    """What a person may say to a rollout."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Word:
    """What a person said to a service's rollout, when, and why."""

    say: Say
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A rollout under way.

    spec      what the new set is made of
    stage     and `step`, counted from 0, of a canary's steps
    since     when that stage or step began
    paused    why it goes no further by itself, "" if it does
    promoted  a person's word that it goes on, whatever the clock and the analysis say
    heard     the last word of a person that it has followed
    begun     "BACKEND/SERVER" -> how its counters stood when the step began, for the analysis
    verdict   what the last analysis said, "" before the first one
    errors    how many analyses of this step came to no verdict
    """

    spec: str
    stage: Stage
    since: datetime
    step: int = 0
    paused: str = ""
    promoted: bool = False
    heard: Word | None = None
    begun: Mapping[str, Tally] = field(default_factory=dict)
    verdict: str = ""
    errors: int = 0


class Verdict(StrEnum):
    """What an analysis says of a new set."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    """Nothing could be found out; it may be, next time."""


@dataclass(frozen=True, slots=True)
class Course:
    """What becomes of a rollout now.

    progress  what is to be remembered
    failed    why the new set is given up, "" if it is not
    waits     what it waits for, in words, and `until` when at the latest (None: an event or a person will tell)
    """

    progress: Progress
    failed: str = ""
    waits: str = ""
    until: datetime | None = None
