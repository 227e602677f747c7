"""Is every fault on the page, and is there a test of each that is really there?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "reconciler/docs/reference/faults.md"
TABLE: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("table.yaml").read_text())
FAULTS = [f"F{number:02}" for number in range(1, 56) if number not in range(46, 52)]


def test_the_table_names_tests_of_every_fault() -> None:
    assert list(TABLE) == FAULTS
    assert all(TABLE.values())


def test_the_page_says_of_every_fault_what_happens() -> None:
    said = PAGE.read_text()
    rows = re.findall(r"^\| (F\d\d) \| (.+) \| (.+) \|$", said, re.MULTILINE)
    assert sorted(number for number, _, _ in rows) == FAULTS
    assert f"{len(FAULTS)} of {len(FAULTS)} are survived" in said


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """The ids of the tests that every run has, with and without their parameters: what takes long is left out."""
    files = sorted({test.partition("::")[0] for tests in TABLE.values() for test in tests})
    command = (sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *files)
    environment = {name: value for name, value in os.environ.items() if name != "RECONCILER_FAULTS"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    ids = {line for line in done.stdout.splitlines() if "::" in line}
    return ids | {id.partition("[")[0] for id in ids}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_test_of_the_fault_is_in_every_run(fault: str, collected: set[str]) -> None:
    assert not collected.isdisjoint(TABLE[fault])


@pytest.mark.parametrize("fault", FAULTS)
def test_every_named_test_is_there(fault: str, collected: set[str]) -> None:
    assert [test for test in TABLE[fault] if not (test in collected or _takes_long(test))] == []


def _takes_long(test: str) -> bool:
    path, _, name = test.partition("::")
    return f"\n@pytest.mark.long\ndef {name}(" in (PROJECT / path).read_text()
