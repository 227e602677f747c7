"""Is a schedule (five cron fields, a time zone) written so that it can strike at all?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

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


# The longest a month can be; February by its leap year.
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _never(written: list[str]) -> str:
    """Refuse `0 0 31 2 *`: a plain day that a plain month never has."""
    day, month, weekday = written[2:]
    number = _number(FIELDS[3], month)
    if weekday != "*" or number is None or not day.isdigit() or int(day) <= _LENGTHS[number - 1]:
        return ""
    return f"{MONTHS[number - 1].capitalize()} never has a day {day}"
