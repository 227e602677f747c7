"""Does a process grow: how do its memory, descriptors and threads change from turn to turn?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

WARM_UP = 0.2
"""The part of the samples, from the first on, that does not count: caches fill, libraries are loaded."""

PER_TURNS = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process holds after so many turns."""

    turns: int
    memory_bytes: int
    descriptors: int
    threads: int


def sample(turns: int, process: int | str = "self") -> Sample:
    """Look at a process as the kernel shows it: VmRSS, open descriptors, threads."""
    about = Path(f"/proc/{process}")
    status = dict(line.split(":\t", 1) for line in (about / "status").read_text().splitlines() if ":\t" in line)
    memory = int(status["VmRSS"].split()[0]) << 10
    return Sample(turns, memory, len(list((about / "fd").iterdir())), int(status["Threads"]))


@dataclass(slots=True)
class Growth:
    """What a process held from time to time, and the slopes of the lines that fit best (least squares), per 1,000 turns."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def memory_bytes(self) -> float:
        return self._slope([one.memory_bytes for one in self._warm()])

    @property
    def descriptors(self) -> float:
        return self._slope([one.descriptors for one in self._warm()])

    @property
    def threads(self) -> float:
        return self._slope([one.threads for one in self._warm()])

    def table(self) -> str:
        """Return the figures as a person reads them."""
        first, last = self._warm()[0], self._warm()[-1]
        memory = (_mib(first.memory_bytes), _mib(last.memory_bytes), f"{self.memory_bytes / 2**20:+.3f} MiB")
        rows = (
            ("", f"after {first.turns}", f"after {last.turns}", f"per {PER_TURNS:,} turns"),
            ("memory", *memory),
            ("descriptors", first.descriptors, last.descriptors, f"{self.descriptors:+.3f}"),
            ("threads", first.threads, last.threads, f"{self.threads:+.3f}"),
        )
        return "\n".join(f"{name:12}{before:>14}{after:>14}{slope:>20}" for name, before, after, slope in rows)

    def _warm(self) -> list[Sample]:
        return self.samples[int(len(self.samples) * WARM_UP) :]

    def _slope(self, values: Sequence[float]) -> float:
        turns = [one.turns / PER_TURNS for one in self._warm()]
        middle, level = sum(turns) / len(turns), sum(values) / len(values)
        spread = sum((turn - middle) ** 2 for turn in turns)
        return sum((turn - middle) * (value - level) for turn, value in zip(turns, values, strict=True)) / spread


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
