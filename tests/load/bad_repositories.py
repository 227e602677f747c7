"""Load one bad repository, and print what a person would see.

Run as a program it loads one directory: `python tests/load/bad_repositories.py DIRECTORY`; its cost is measured that way.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from cost import tell_cost

from reconciler.drivers.directory import DirectoryFiles
from reconciler.errors import InvalidState
from reconciler.load.excerpt import render_problem
from reconciler.load.loading import LoadSettings, load
from reconciler.load.operator import read_operator
from reconciler.model.source import Revision
from reconciler.settings import Operator

BAD = Path(__file__).parent / "bad"
NUMBERS = (*range(34, 66), 70, 71)

_REVISION = Revision("0" * 40, "main", datetime(2026, 1, 1, tzinfo=UTC), "", "")


def bad_repositories() -> list[Path]:
    """Return the directories that the loader as a whole refuses: B34 to B65, B70 and B71."""
    return [path for path in sorted(BAD.iterdir()) if path.is_dir() and int(path.name[1:3]) in NUMBERS]


def refusal(path: Path) -> str:
    """Return everything that is said about one bad repository; "" if it is not refused."""
    operator_file = path / "operator.yaml"
    operator = read_operator(operator_file.read_bytes(), "operator.yaml") if operator_file.exists() else Operator()
    try:
        load(DirectoryFiles(path), _REVISION, LoadSettings("here", operator.environment, operator.policy))
    except InvalidState as error:
        return "".join(f"{render_problem(problem)}\n\n" for problem in error.problems)
    return ""


if __name__ == "__main__":
    tell_cost(lambda: refusal(Path(sys.argv[1])))
