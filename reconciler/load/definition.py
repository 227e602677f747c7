"""What does the canonical document say of one service, network or volume, and where in which file does it stand?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.errors import Mark, Problem, Severity
from reconciler.load.attributes import find
from reconciler.load.compose import Project
from reconciler.load.notes import Path
from reconciler.load.places import nearest, problem_at
from reconciler.model.desired import NeedsApi
from reconciler.ports import Files


@dataclass(frozen=True, slots=True)
class Context:
    """What building a stack needs beyond its Compose files.

    stack      its name in the environment
    files      the revision's files
    root       the absolute path that stands for the repository in the canonical document
    directory  the stack's project directory, relative to the repository
    host_root  where the repository's directories stand on the engine's host; "" when nobody said so
    """

    stack: str
    files: Files
    root: str
    directory: str = ""
    host_root: str = ""

    def inside(self, path: str) -> str | None:
        """Return the repository's path for an absolute path of the document, None for one of the host."""
        if path == self.root:
            return ""
        return path.removeprefix(f"{self.root}/") if path.startswith(f"{self.root}/") else None


@dataclass(frozen=True, slots=True)
class Definition:
    """One object of the document. Paths given to its methods start inside it: `("ports", 0)`."""

    path: Path
    values: Mapping[str, Any]
    marks: Mapping[Path, Mark]

    @property
    def name(self) -> str:
        return str(self.path[-1])

    def mark(self, *inside: str | int) -> Mark | None:
        """Return where the value stands, or its nearest ancestor that has a place."""
        return nearest(self.marks, (*self.path, *inside))

    def problem(self, code: str, message: str, *inside: str | int, hint: str = "") -> Problem:
        """Return a mistake at the value."""
        return problem_at(code, message, self.marks, (*self.path, *inside), hint)

    def warning(self, code: str, message: str, *inside: str | int, hint: str = "") -> Problem:
        """Return something worth knowing about the value."""
        return replace(self.problem(code, message, *inside, hint=hint), severity=Severity.WARNING)

    def needs_api(self, *inside: str | int) -> NeedsApi:
        """Return the engine API that the attribute needs, as the attribute table has it."""
        row = find((*self.path, *inside))
        assert row is not None, inside
        assert row.api, inside
        return NeedsApi(".".join(map(str, inside)), row.api, self.mark(*inside))


def definition(project: Project, section: str, name: str) -> Definition:
    """Return one object of the document. Raises KeyError when there is none."""
    return Definition((section, name), project.document[section][name] or {}, project.marks)
