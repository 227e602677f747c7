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


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as the engine told of it, its times by name, and how it would have been told of by today's clock."""

    instance: Instance
    told: Mapping[str, Told]
    corrected: Instance


@dataclass(slots=True)
class Steady:
    """Notices that the wall clock was set, by a clock that never is."""

    clock: Clock
    _wall: datetime | None = None
    _monotonic: float = 0.0
    _seen: dict[str, Seen] = field(default_factory=dict)
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
        self._seen = {one.id: self._known(one) or self._told(one, observed.at) for one in observed.instances}
        self._since_seen = UNMOVED
        instances = tuple(self._seen[one.id].corrected for one in observed.instances)
        return observed if instances == observed.instances else replace(observed, instances=instances)

    def _known(self, instance: Instance) -> Seen | None:
        """What was looked at before holds, where neither it nor the clock has changed since."""
        seen = self._seen.get(instance.id)
        return seen if seen and seen.instance is instance and not self._since_seen else None

    def _told(self, instance: Instance, now: datetime) -> Seen:
        before = seen.told if (seen := self._seen.get(instance.id)) else {}
        times = ((name, getattr(instance, name)) for name in TIMES)
        told = {name: self._told_now(before.get(name), time, now) for name, time in times if time is not None}
        if not any(one.moved for one in told.values()):
            return Seen(instance, told, instance)
        created, started, finished = (told[name].now if name in told else None for name in TIMES)
        return Seen(instance, told, replace(instance, created=created, started=started, finished=finished))

    def _told_now(self, before: Told | None, time: datetime, now: datetime) -> Told:
        """What was known before, or what today's clock has not come to yet, is from before the setting."""
        by = self._since_seen
        if before is not None and before.time == time:
            return Told(time, before.moved + by)
        if time > now:
            return Told(time, now - time)  # How long ago it was nobody knows: at least it gets older from now on.
        return Told(time, by if UNMOVED < by <= now - time else UNMOVED)


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
