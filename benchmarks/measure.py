"""What does it cost? Medians of runs that take turns, so that whatever else the machine does hits all sides alike."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Side = Callable[[], float]
"""Does the work once; returns what it cost."""

OURS, COMPOSE, BARE = "ours", "compose", "bare"


@dataclass(frozen=True, slots=True)
class Target:
    """Ours must cost at most so many times what another side costs; where `of` is "", at most `most` itself."""

    most: float
    of: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `costs` is by side; `note` says what a reader must know to believe it."""

    name: str
    unit: str
    costs: Mapping[str, float]
    targets: tuple[Target, ...] = ()
    note: str = ""


def alternating(runs: int, sides: Mapping[str, Side]) -> dict[str, float]:
    """Let the sides take turns, so often; return the median of each."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            taken[name].append(side())
    return {name: statistics.median(costs) for name, costs in taken.items()}


def seconds(work: Callable[[], object]) -> float:
    """Return how long it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return how much processor time of this process it took: what else runs beside it does not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def cpu_seconds_of(process: int) -> float:
    """Return how much processor time another process took until now."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


_TICKS = 100
"""Linux tells processor time in hundredths of a second, on every machine it runs on."""


def resident_megabytes_of(process: int) -> float:
    """Return how much memory another process holds now."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    assert found is not None, "Linux tells it of every process that lives"
    return int(found[1]) / 1024
