"""How many cases of each conformance table pass?"""

from __future__ import annotations

from collections import Counter

import pytest
from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print passed/total per table after the tests."""
    passed, total = Counter[str](), Counter[str]()
    for outcome in ("passed", "failed", "xfailed"):
        for report in terminalreporter.stats.get(outcome, []):
            for table in _tables(report):
                total[table] += 1
                passed[table] += outcome == "passed"
    if total:
        terminalreporter.section("Compose conformance")
        for table in sorted(total):
            terminalreporter.write_line(f"{passed[table]:4}/{total[table]:<4} {table}")
        terminalreporter.write_line(f"{passed.total():4}/{total.total():<4} together")


def _tables(report: pytest.TestReport) -> list[str]:
    return [str(value) for name, value in report.user_properties if name == "table"]
