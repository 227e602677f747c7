"""Is a schedule (five cron fields, a time zone) written so that it can strike at all, and which numbers does it allow?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from reconciler.model.schedule import Schedule

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class Field:
    """One of cron's five fields: its name, the numbers it takes, and the words that stand for them from `first` on."""

    name: str
    first: int
    last: int
    words: tuple[str, ...] = ()


# crontab(5); 7 is Sunday too.
FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 7, DAYS),
)
_PART = re.compile(r"(?:(?P<all>\*)|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?")


def cron_mistake(text: str) -> str:
    """Say what is wrong with a cron expression of five fields; "" when nothing is."""
    written = text.split()
    if len(written) != len(FIELDS):
        return f"a schedule has five fields (minute, hour, day of month, month, day of week), here are {len(written)}"
    mistakes = (_field_mistake(field, part) for field, parts in zip(FIELDS, written, strict=True) for part in parts.split(","))
    return next(filter(None, mistakes), "") or _never(written)


def time_zone_known(name: str) -> bool:
    """Say whether the name is one of the time zone database, such as `Europe/Berlin`."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def parse_schedule(text: str, timezone: str) -> Schedule:
    """Return the schedule of a cron expression without mistakes."""
    written = text.split()
    minutes, hours, days, months, weekdays = (_numbers(field, part) for field, part in zip(FIELDS, written, strict=True))
    # crontab(5) calls a day restricted that does not begin with a star: `*/2` joined with a weekday means both.
    either_day = not written[2].startswith("*") and not written[4].startswith("*")
    return Schedule(minutes, hours, days, months, tuple(sorted({day % 7 for day in weekdays})), either_day, timezone)


def _field_mistake(field: Field, part: str) -> str:
    match = _PART.fullmatch(part)
    if not match:
        return f'"{part}" is no {field.name}'
    numbers = [_number(field, word) for word in (match["low"], match["high"]) if word]
    if any(number is None or not field.first <= number <= field.last for number in numbers):
        return f'"{part}" is no {field.name}: it goes from {field.first} to {field.last}'
    if match["high"] and sorted(numbers, key=int) != numbers:  # type: ignore[arg-type]  # None was refused above
        return f'"{part}" runs backwards'
    return f'"{part}": a step is at least 1' if match["step"] and int(match["step"]) == 0 else ""


def _number(field: Field, word: str) -> int | None:
    if word.isascii() and word.isdigit() and len(word) <= 2:
        return int(word)
    return field.words.index(word.lower()) + field.first if word.lower() in field.words else None


def _numbers(field: Field, parts: str) -> tuple[int, ...]:
    return tuple(sorted({number for part in parts.split(",") for number in _range(field, part)}))


def _range(field: Field, part: str) -> range:
    match = _PART.fullmatch(part)
    assert match, "a schedule is checked before it is parsed"
    step = int(match["step"] or 1)
    low = _number(field, match["low"]) if match["low"] else field.first
    # `5/10` begins at 5 and goes on to the last; a plain `5` is itself.
    open_end = match["all"] or (match["step"] and not match["high"])
    high = _number(field, match["high"]) if match["high"] else field.last if open_end else low
    assert low is not None, "a schedule is checked before it is parsed"
    assert high is not None, "a schedule is checked before it is parsed"
    return range(low, high + 1, step)


# The longest a month can be; February by its leap year.
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _never(written: list[str]) -> str:
    """Refuse `0 0 31 2 *`: a plain day that a plain month never has."""
    day, month, weekday = written[2:]
    number = _number(FIELDS[3], month)
    if weekday != "*" or number is None or not day.isdigit() or int(day) <= _LENGTHS[number - 1]:
        return ""
    return f"{MONTHS[number - 1].capitalize()} never has a day {day}"
