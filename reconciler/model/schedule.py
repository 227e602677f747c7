"""When does a schedule strike, and is a window open? Cron by the wall clock of a time zone, whatever that clock does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

HORIZON = timedelta(days=9 * 366)
"""The longest pause of a schedule that strikes at all: from one 29 February to the next, over a year like 2100."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The numbers that cron's five fields allow, ascending, in a time zone; Sunday is 0.

    either_day  both days are restricted: then one of them suffices, as crontab(5) has it
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool
    timezone: str

    def last(self, at: datetime) -> datetime | None:
        """Return the last strike until then (UTC), None where there was none for years."""
        today = at.astimezone(ZoneInfo(self.timezone)).date()
        days = (today - timedelta(days=number) for number in range(-1, HORIZON.days))
        return next((strike for day in days for strike in reversed(self._strikes(day)) if strike <= at), None)

    def next(self, at: datetime) -> datetime | None:
        """Return the first strike after then (UTC), None where there is none for years."""
        today = at.astimezone(ZoneInfo(self.timezone)).date()
        days = (today + timedelta(days=number) for number in range(-1, HORIZON.days))
        return next((strike for day in days for strike in self._strikes(day) if strike > at), None)

    def _strikes(self, day: date) -> list[datetime]:
        if day.month not in self.months or not self._falls_on(day):
            return []
        return sorted({strike for hour in self.hours for minute in self.minutes for strike in self._at(day, hour, minute)})

    def _falls_on(self, day: date) -> bool:
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday

    def _at(self, day: date, hour: int, minute: int) -> Iterator[datetime]:
        """A time that the clock skips comes as long after the jump as it would have; one that comes twice strikes once.

        PEP 495 reads a skipped time so (`fold=0`). What strikes at every hour does so in the repeated one too.
        """
        wall = datetime.combine(day, time(hour, minute), ZoneInfo(self.timezone))
        yield wall.astimezone(UTC)
        if len(self.hours) == 24:
            yield wall.replace(fold=1).astimezone(UTC)


class WindowKind(StrEnum):
    """Changes wait while a `deny` window is open, and while no `allow` window is, where there are any."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Window:
    """Opens at each strike of a schedule, for so many seconds of time that really passes."""

    name: str
    kind: WindowKind
    schedule: Schedule
    duration_seconds: float

    def is_open(self, at: datetime) -> bool:
        """Say whether it is open then; the moment it closes it is not."""
        last = self.schedule.last(at)
        return last is not None and at < last + timedelta(seconds=self.duration_seconds)

    def turns(self, at: datetime) -> datetime | None:
        """Return when it closes if it is open, when it opens if it is closed; None: never.

        A strike while it is open makes it stay open: it may turn out to be open still.
        """
        last = self.schedule.last(at)
        closes = last + timedelta(seconds=self.duration_seconds) if last is not None else None
        return closes if closes is not None and at < closes else self.schedule.next(at)
