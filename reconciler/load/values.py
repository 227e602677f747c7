"""Read and write the small value grammars of Compose: sizes, durations, and text that stands for a number or flag."""

from __future__ import annotations

import re

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.node import Scalar

_MOST = (1 << 63) - 1

_SIZE = re.compile(r"([+]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_PART = r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h|d|w)"
_PARTS = re.compile(_PART)
_DURATION = re.compile(rf"([+-]?)((?:{_PART})+)", re.ASCII)

_LONGEST_DURATION = 200

_TRUE = frozenset(("true", "y", "yes", "on"))
_FALSE = frozenset(("false", "n", "no", "off"))
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse_bytes(value: Scalar, mark: Mark | None = None, at: str = "") -> int:
    """Return a size in bytes. Units are binary (`1k` is 1024) and may be written in either case, with `b` or `ib`.

    A whole number is taken as it is. Raises InvalidState for everything else, also for a number with a fraction and
    without quotes, which Compose reads as 0.
    """
    if type(value) is int and abs(value) <= _MOST:
        return value
    if not isinstance(value, str):
        raise _mistake("R050", "a size is text with a unit, or a whole number of bytes", mark, at, "such as 512m or 1.5g")
    match = _SIZE.fullmatch(value)
    if not match:
        raise _mistake("R050", "this is no size", mark, at, "such as 512m, 1.5g or 1024")
    # Compose multiplies floating-point numbers, so beyond 2^53 its answers are rounded; ours must be the same.
    size_bytes = float(match[1].replace("_", "")) * _SIZE_UNITS[(match[2] or "").lower()]
    if size_bytes > _MOST:
        raise _mistake("R050", "this size is larger than any machine has", mark, at, "")
    return int(size_bytes)


def parse_duration(text: str, mark: Mark | None = None, at: str = "") -> int:
    """Return a duration in nanoseconds: Go's grammar, and days `d` and weeks `w`. Parts add up in any order.

    Raises InvalidState for anything else, a number without its unit above all.
    """
    if text.lstrip("+-") == "0" and len(text) <= 2:
        return 0
    match = _DURATION.fullmatch(text) if len(text) <= _LONGEST_DURATION else None
    parts = _PARTS.findall(match[2]) if match else []
    if match is None or not all(whole or fraction for whole, fraction, _ in parts):
        message = "a duration needs a unit" if _DECIMAL.fullmatch(text) else "this is no duration"
        raise _mistake("R051", message, mark, at, "such as 500ms, 30s or 1h30m")
    nanoseconds = sum(_part(whole, fraction, _NANOSECONDS[unit]) for whole, fraction, unit in parts)
    if nanoseconds > _MOST:
        raise _mistake("R051", "this duration is longer than 292 years", mark, at, "")
    return -nanoseconds if match[1] == "-" else nanoseconds


def format_duration(nanoseconds: int) -> str:
    """Return a duration as Go writes it: `1h5m30.02s`, `500µs`, `168h0m0s`, `0s`."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < _NANOSECONDS["s"]:
        unit = next((unit for unit in ("ms", "µs", "ns") if rest >= _NANOSECONDS[unit]), "s")
        return f"{sign}{_decimal(rest, _NANOSECONDS[unit])}{unit}"
    hours, rest = divmod(rest, _NANOSECONDS["h"])
    minutes, rest = divmod(rest, _NANOSECONDS["m"])
    seconds = f"{_decimal(rest, _NANOSECONDS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def parse_bool(text: str, mark: Mark | None = None, at: str = "") -> bool:
    """Return the flag that text stands for: true, false and, in any case, y, yes, on, n, no, off."""
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise _mistake("R024", "this is neither true nor false", mark, at, "write true or false")
    return word in _TRUE


def parse_int(text: str, mark: Mark | None = None, at: str = "") -> int:
    """Return the 64-bit whole number that text stands for, decimal digits only."""
    if not _WHOLE.fullmatch(text) or len(text) > 20 or not -_MOST - 1 <= int(text) <= _MOST:
        raise _mistake("R024", "this is no whole number", mark, at, "write digits only")
    return int(text)


def parse_float(text: str, mark: Mark | None = None, at: str = "") -> float:
    """Return the finite number that text stands for."""
    value = float(text) if _DECIMAL.fullmatch(text) else float("inf")
    if abs(value) == float("inf"):
        raise _mistake("R024", "this is no number", mark, at, "such as 0.5")
    return value


def _mistake(code: str, message: str, mark: Mark | None, at: str, hint: str) -> InvalidState:
    return InvalidState([Problem(code, message, mark, at, hint)])


def _part(whole: str, fraction: str, unit_nanoseconds: int) -> int:
    # More than nineteen digits overflow whatever the unit; cut short, so that a long text costs nothing.
    nanoseconds = int(whole.lstrip("0")[:20] or "0") * unit_nanoseconds
    digits = _decimals(fraction)
    if digits:
        # In the same order as Go, whose rounding shows in the last digit.
        nanoseconds += int(float(int(digits)) * (float(unit_nanoseconds) / 10.0 ** len(digits)))
    return nanoseconds


def _decimals(fraction: str) -> str:
    """Return as many digits as Go reads: those that fit 63 bits, so eighteen or nineteen."""
    return fraction[:19] if int(fraction[:19] or "0") <= _MOST else fraction[:18]


def _decimal(amount: int, unit: int) -> str:
    """Return amount/unit without trailing zeros; `unit` is a power of ten."""
    whole, rest = divmod(amount, unit)
    width = len(str(unit)) - 1
    return f"{whole}.{rest:0{width}d}".rstrip("0").rstrip(".") if rest else str(whole)
