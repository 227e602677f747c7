"""What earlier turns learned, as far as a plan may depend on it. Losing it is safe, not free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.model.rollout import Progress, Word

KEPT_IMAGES = 3
"""Images of this many applied revisions of a service stay on the engine, for rollback."""


KEPT_JOBS, KEPT_RUNS = 1000, 100
"""So many jobs are remembered here, and so many successes of each; the engine remembers them too, see plan/finished.py."""


@dataclass(frozen=True, slots=True)
class HashKey:
    """The key of our spec labels: `id` is public (it stands in the label), `secret` never leaves the state directory."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A spec of a service that failed at a revision; not tried again until either changes, or `retry`.

    last_words  the last lines that the failed container wrote, oldest first
    written     what became of the commit that takes it back (`on_failure: revert`); "" before it was tried
    """

    service: str
    spec: str
    revision: str
    message: str
    at: datetime
    last_words: tuple[str, ...] = ()
    written: str = ""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Repairs of one thing: how many so far, when the last one was, when the next may be."""

    attempts: int
    last: datetime
    next: datetime
    why: str = ""

    def holds(self, now: datetime) -> bool:
        """Say whether the next repair must wait. A last one in the future was before the clock was set back."""
        return self.last <= now < self.next


VERSION = "version"
"""What the revisions are held under in the source that the history names."""

EVERYTHING = "*"
"""What stands for the whole environment where a stack or service could be named."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """A person's word that nothing is done to a stack or service; `until` None: until somebody says `resume`."""

    reason: str
    since: datetime
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Say whether it is not over yet."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Overrule:
    """A person's word that a revision does not wait for windows, and why."""

    revision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """A person's word that a stack or service runs an older version, until Git asks for another one than it did then.

    to        id of the revision whose version runs
    origin    id of the revision whose version was taken back; "" once Git asks for the older one: the rollback has landed
    services  ids of the services that differ between them
    written   what became of the commit that takes it back in Git too; "" before it was tried
    """

    to: str
    origin: str
    services: tuple[str, ...]
    reason: str
    at: datetime
    written: str = ""

    @property
    def landed(self) -> bool:
        return not self.origin


@dataclass(frozen=True, slots=True)
class History:
    """The planner's memory.

    key          for spec labels
    fresh        the state directory is new (or was lost): this turn deletes nothing
    attempted    id of the last revision a turn worked on
    applied      id of the last revision applied whole, but for stacks that wait for `apply STACK` (sync: manual); "" for none
    manual       stack -> id of the revision that `apply STACK` released last
    behind       stack that waited when `applied` was -> id of the revision whose version of it counted; "" for none
    quarantine   by service id
    heals        "stack/service/slot" (or another group key) -> back-off of self-healing
    retries      group key -> back-off after an action of it failed, `Backoff.why` says how
    pulled       image references that we pulled, and so may remove
    ran          service id -> the image references of its last applied revisions, newest first
    jobs         "stack/service" -> spec hashes of the last runs that succeeded, oldest first
    retried      service id -> when a person last said `retry`
    replaced     ("stack/service/slot", spec) -> how many replacements in a row, for the loop breaker
    updated      service id -> when a slot of it was last replaced (update_config.delay)
    asked        image reference -> when the image registry was last asked (pull_policy: always)
    suspended    stack, "stack/service" or EVERYTHING -> the suspension
    overruled    stack or EVERYTHING -> which revision waits for no window
    rollbacks    stack or "stack/service" -> the rollback
    rollouts     service id -> how far its rollout is
    words        service id -> the last that a person said to its rollout
    drains       name of a server of the gateway -> since when it is to end what it has in flight
    handed       container id -> when the lease was passed on to the reconciler in it, at this revision
    """

    key: HashKey
    fresh: bool = False
    attempted: str = ""
    applied: str = ""
    manual: Mapping[str, str] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)
    quarantine: Mapping[str, Quarantine] = field(default_factory=dict)
    heals: Mapping[str, Backoff] = field(default_factory=dict)
    retries: Mapping[str, Backoff] = field(default_factory=dict)
    jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pulled: frozenset[str] = frozenset()
    ran: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    retried: Mapping[str, datetime] = field(default_factory=dict)
    replaced: Mapping[tuple[str, str], int] = field(default_factory=dict)
    updated: Mapping[str, datetime] = field(default_factory=dict)
    asked: Mapping[str, datetime] = field(default_factory=dict)
    suspended: Mapping[str, Suspension] = field(default_factory=dict)
    overruled: Mapping[str, Overrule] = field(default_factory=dict)
    rollbacks: Mapping[str, Rollback] = field(default_factory=dict)
    handed: Mapping[str, datetime] = field(default_factory=dict)
    rollouts: Mapping[str, Progress] = field(default_factory=dict)
    words: Mapping[str, Word] = field(default_factory=dict)
    drains: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def named(self) -> frozenset[str]:
        """The ids of the revisions that rollbacks and stacks that wait go by."""
        taken_back = {id for one in self.rollbacks.values() for id in (one.origin, one.to)}
        return frozenset({*taken_back, *self.manual.values(), *self.behind.values()} - {""})

    def has_applied(self, stack: str, revision: str) -> bool:
        """Say whether all of a stack was there once as a revision asks for it."""
        return self.applied == revision and stack not in self.behind
