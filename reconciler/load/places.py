"""Where in the files does a path of a document stand?"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors import Mark, Problem
from reconciler.load.notes import Path, dotted

Marks = Mapping[Path, Mark]


def nearest(marks: Marks, path: Path) -> Mark | None:
    """Return the place of the path, or of its nearest ancestor that has one."""
    for end in range(len(path), -1, -1):
        if path[:end] in marks:
            return marks[path[:end]]
    return None


def problem_at(code: str, message: str, marks: Marks, path: Path, hint: str = "") -> Problem:
    """Return the problem of what stands at the path; its key is underlined where it has one."""
    named = path in marks and bool(path) and isinstance(path[-1], str)
    return Problem(code, message, nearest(marks, path), dotted(path), hint, span=len(str(path[-1])) if named else 1)
