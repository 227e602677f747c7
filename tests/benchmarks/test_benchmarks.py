"""Do the benchmarks still run? What they measure here, in small and beside other tests, says nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROWS = ("--version", "plan of 100 services", "reload of one", "10 stacks added", "turn, nothing moved", "resident memory")
RUN = Path(__file__).parents[2] / "benchmarks" / "run"


def test_the_benchmarks_print_a_table() -> None:
    words = (RUN, "--runs", "1", "--size", "0.01", "version", "plan", "reload", "stacks", "recorded")
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.splitlines()
    assert head.startswith("| benchmark | ours | compose | bare calls |")
    assert [what for what in ROWS if not any(what in row for row in rows)] == []
