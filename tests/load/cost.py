"""What does a bad input cost? A program of its own reads it, within bounds, and tells seconds of CPU and bytes of memory."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SECONDS, BYTES = 1.0, 200 << 20
"""What reading one bad input may cost."""

_ROOT = Path(__file__).parents[2]


def assert_cheap(program: Path, path: Path) -> None:
    """Run the program on a bad input and compare what it tells of its cost with the limits."""
    asked = [sys.executable, str(program), str(path)]
    done = subprocess.run(asked, capture_output=True, check=True, env={"PYTHONPATH": str(_ROOT)})
    cost = json.loads(done.stdout)
    assert cost["seconds"] < SECONDS
    assert cost["bytes"] < BYTES


def tell_cost(read: Callable[[], object]) -> None:
    """Print the seconds of CPU that a call takes, and the most memory that this program ever held."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    before = _cpu_seconds()
    read()
    print(json.dumps({"seconds": _cpu_seconds() - before, "bytes": _peak_bytes()}))


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_bytes() -> int:
    """`ru_maxrss` would tell also what the parent held before."""
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert peak is not None, "Linux tells it"
    return int(peak[1]) * 1024
