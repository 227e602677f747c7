"""How much was played, how often was the reconciler killed, and how many mutants were found?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

PLAYED = ("histories", "steps", "turns", "changes")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print after the tests what they recorded."""
    lines = (*_played(terminalreporter), *_recovered(terminalreporter), *_caught(terminalreporter))
    if lines:
        terminalreporter.section("Random histories")
        for line in lines:
            terminalreporter.write_line(line)


def _played(terminal: TerminalReporter) -> Iterator[str]:
    played = Counter[str]()
    for report in terminal.stats.get("passed", []):
        played.update({name: count for name, count in _recorded(report) if name in PLAYED})
    if played:
        yield ", ".join(f"{played[name]} {name}" for name in PLAYED)


def _recovered(terminal: TerminalReporter) -> Iterator[str]:
    passed, failed = terminal.stats.get("passed", []), terminal.stats.get("failed", [])
    points = sum(count for report in passed for name, count in _recorded(report) if name == "points")
    if points:
        yield f"crash points behind the gateway: {points}" + (f"; {len(failed)} tests failed" if failed else "")


def _caught(terminal: TerminalReporter) -> Iterator[str]:
    passed, failed = (_mutants(terminal.stats.get(outcome, [])) for outcome in ("passed", "failed"))
    if passed or failed:
        yield f"mutants caught: {len(passed)}/{len(passed | failed)}"


def _mutants(reports: list[pytest.TestReport]) -> set[object]:
    return {value for report in reports for name, value in _recorded(report) if name == "mutant"}


def _recorded(report: pytest.TestReport) -> list[tuple[str, Any]]:
    return report.user_properties
