"""How long, and how much, does a word of a scenario say?"""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def seconds_of(text: str) -> float:
    """Read `30s`, `1h30m`, `-5m`, `2.5`. Raises ValueError for anything else."""
    digits = text.removeprefix("-")
    parts = re.findall(r"([\d.]+)(ms|[smhd]?)", digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise ValueError(f"{text!r} is no duration")
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -total if text.startswith("-") else total


def bytes_of(text: str) -> int:
    """Read `64m`, `1g`, `4096`. Raises ValueError for anything else."""
    return int(text[:-1]) * _BYTES[text[-1]] if text[-1:] in _BYTES else int(text)
