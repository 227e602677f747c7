"""What do times of the engine and of the history mean after somebody set the clock?

Ages, deadlines and back-offs go on as if nobody had: what was started ten seconds before the clock went two hours ahead is
ten seconds old. The engine tells times by the wall clock, so what was told before it was set is moved with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.model.history import Backoff, History
from reconciler.model.observed import Instance, ObservedState
from reconciler.ports import Clock

NOTICEABLE = timedelta(seconds=5)
"""A smaller difference is no setting: clocks are slewed, and looking takes time."""

UNMOVED = timedelta()

TIMES = ("created", "started", "finished")
"""Each is judged by itself: a container may have been made before the clock was set, and have ended after it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A time of a container's life as the engine tells it, and how far the clock was set since."""

    time: datetime
    moved: timedelta = UNMOVED

    @property
    def now(self) -> datetime:
        """That time as today's clock would have told it."""
        return self.time + self.moved


@dataclass(slots=True)
class Steady:
    """Notices that the wall clock was set, by a clock that never is."""

    clock: Clock
    _wall: datetime | None = None
    _monotonic: float = 0.0
    _told: dict[tuple[str, str], Told] = field(default_factory=dict)
    _since_seen: timedelta = UNMOVED

    def set_by(self) -> timedelta:
        """Return how far the wall clock was set since the last call: mostly not at all."""
        wall, monotonic = self.clock.now(), self.clock.monotonic()
        passed = timedelta(seconds=monotonic - self._monotonic)
        difference = wall - self._wall - passed if self._wall else UNMOVED
        moved = difference if abs(difference) >= NOTICEABLE else UNMOVED
        self._wall, self._monotonic, self._since_seen = wall, monotonic, self._since_seen + moved
        return moved

    def corrected(self, observed: ObservedState) -> ObservedState:
        """Return the snapshot with every container as old as it is, wherever the clock was set since the last one."""
        self._told = {
            (one.id, name): self._told_now((one.id, name), time, observed.at)
            for one in observed.instances
            for name in TIMES
            if (time := getattr(one, name)) is not None
        }
        self._since_seen = UNMOVED
        return replace(observed, instances=tuple(map(self._as_old_as_it_is, observed.instances)))

    def _told_now(self, key: tuple[str, str], time: datetime, now: datetime) -> Told:
        """What was known before, or what today's clock has not come to yet, is from before the setting."""
        before, by = self._told.get(key), self._since_seen
        if before is not None and before.time == time:
            return Told(time, before.moved + by)
        if time > now:
            return Told(time, now - time)  # How long ago it was nobody knows: at least it gets older from now on.
        return Told(time, by if UNMOVED < by <= now - time else UNMOVED)

    def _as_old_as_it_is(self, instance: Instance) -> Instance:
        created, started, finished = (self._now(instance, name) for name in TIMES)
        if (created, started, finished) == (instance.created, instance.started, instance.finished):
            return instance
        return replace(instance, created=created, started=started, finished=finished)

    def _now(self, instance: Instance, name: str) -> datetime | None:
        told = self._told.get((instance.id, name))
        return told.now if told else None


def moved(history: History, by: timedelta) -> History:
    """Return the history as if the clock had always shown what it shows since it was set by so much."""
    if not by:
        return history
    return replace(
        history,
        quarantine={key: replace(one, at=one.at + by) for key, one in history.quarantine.items()},
        heals=_backoffs(history.heals, by),
        retries=_backoffs(history.retries, by),
        retried=_times(history.retried, by),
        updated=_times(history.updated, by),
        asked=_times(history.asked, by),
        handed=_times(history.handed, by),
    )


def _backoffs(backoffs: Mapping[str, Backoff], by: timedelta) -> dict[str, Backoff]:
    return {key: replace(one, last=one.last + by, next=one.next + by) for key, one in backoffs.items()}


def _times(times: Mapping[str, datetime], by: timedelta) -> dict[str, datetime]:
    return {key: time + by for key, time in times.items()}
