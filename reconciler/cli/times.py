"""How does a person say and read times? All of them are UTC, and say so."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.model.plan import Waiting

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SHOWN = ((86400, "d"), (3600, "h"), (60, "min"))
_AGE = re.compile(r"(\d{1,5})\s*(s|m|min|h|d)(?:\s+ago)?")
_PARTS = re.compile(r"(\d{1,5})(s|min|m|h|d)")
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(?::\d\d)?Z?")
_HINT = "write 2026-11-23T12:00 or 12:00 (UTC), 2026-11-23T14:00+02:00, or 90m for ninety minutes ago"


def stamp(at: datetime) -> str:
    """Return a time to the second: 2026-11-23 12:00:05Z."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def age(at: datetime, now: datetime) -> str:
    """Return how long ago something was, in the largest unit that fits twice: 90 s, 3 min, 50 h."""
    return length((now - at).total_seconds())


def length(seconds: float) -> str:
    """Return a duration as people say it; a negative one, of a clock that was set, counts as none."""
    whole = max(0, int(seconds))
    for size, unit in _SHOWN:
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def ending(waiting: Waiting) -> str:
    """Return when it goes on without any event, or when it has waited for too long, to be put behind what it waits for."""
    if waiting.until is not None:
        return f", at the latest {stamp(waiting.until)}"
    return f", at {stamp(waiting.wake_at)}" if waiting.wake_at is not None else ""


def span(text: str) -> timedelta:
    """Read a duration: 90m, 2h, 1d12h. Raises UsageError."""
    parts = _PARTS.findall(text)
    if not parts or "".join(map("".join, parts)) != text.replace(" ", "") or not any(int(number) for number, _ in parts):
        raise UsageError(f"{text!r} is no duration", hint="write 90m, 2h or 1d12h")
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def coming(text: str, now: datetime) -> datetime:
    """Read a point in time to come; a time of day that has passed today is tomorrow's. Raises UsageError."""
    found = moment(text, now)
    of_today = found <= now and _TIME_OF_DAY.fullmatch(text.strip()) is not None
    return found + timedelta(days=1) if of_today else found


def moment(text: str, now: datetime) -> datetime:
    """Read a point in time: ISO 8601 (UTC unless it says otherwise), a time of today, or an age. Raises UsageError."""
    if past := _AGE.fullmatch(text.strip()):
        return now - timedelta(seconds=int(past[1]) * _UNITS[past[2]])
    for candidate in (text.strip(), f"{now.astimezone(UTC):%Y-%m-%d}T{text.strip()}"):
        try:
            found = datetime.fromisoformat(candidate)
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    raise UsageError(f"{text!r} is no time", hint=_HINT)
