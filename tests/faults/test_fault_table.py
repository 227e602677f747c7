"""Is every fault on the page, and is there a test of each that is really there?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "reconciler/docs/reference/faults.md"
TABLE: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("table.yaml").read_text())
FAULTS = [f"F{number:02}" for number in range(1, 46)]


def test_the_table_names_tests_of_every_fault() -> None:
    assert list(TABLE) == FAULTS
    assert all(TABLE.values())


def test_the_page_says_of_every_fault_what_happens() -> None:
    rows = re.findall(r"^\| (F\d\d) \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert [number for number, _, _ in rows] == FAULTS


def test_every_named_test_is_there() -> None:
    named = [test for tests in TABLE.values() for test in tests]
    files = sorted({test.partition("::")[0] for test in named})
    command = (sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *files)
    # What takes long is left out, so that each fault has a test in every run.
    environment = {name: value for name, value in os.environ.items() if name != "RECONCILER_FAULTS"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    collected = {line for line in done.stdout.splitlines() if "::" in line}
    families = {test.partition("[")[0] for test in collected}
    assert [test for test in named if test not in collected | families] == []
