"""What stands in the files of a project, by the absolute paths Compose thinks in?"""

from __future__ import annotations

from dataclasses import dataclass, field
from posixpath import join, normpath

from reconciler.errors import InvalidState, Mark
from reconciler.load.node import Node
from reconciler.load.notes import Notes, Path
from reconciler.ports import FileKind, Files

MAX_FILES = 64

# An env file that Git ignores holds secrets as a rule.
_MISSING_ENV_FILE = "add it, or name its variables under environment and give them values in the operator's file"


@dataclass(slots=True)
class Sources:
    """The files below `root`, the absolute path that stands for the top of the revision."""

    files: Files
    root: str
    notes: Notes
    _parsed: dict[str, tuple[Node, ...]] = field(default_factory=dict)

    def absolute(self, path: str) -> str:
        """Return the absolute path of a path relative to the root."""
        return normpath(join(self.root, path))

    def relative(self, path: str) -> str | None:
        """Return the path relative to the root, or None for one outside."""
        if path == self.root or self.root == "/":
            return path.removeprefix(self.root).lstrip("/")
        inside = path.startswith(f"{self.root}/")
        return path[len(self.root) + 1 :] if inside else None

    def is_file(self, path: str) -> bool:
        """Say whether a file (or a symlink, which reading will judge) stands at the absolute path."""
        inside = self.relative(path)
        return inside is not None and self.files.kind(inside) in (FileKind.FILE, FileKind.SYMLINK)

    def is_directory(self, path: str) -> bool:
        """Say whether a directory stands at the absolute path."""
        inside = self.relative(path)
        return inside is not None and self.files.kind(inside) is FileKind.DIRECTORY

    def read(self, path: str, asked_at: Node | Mark | None = None, at: Path = ()) -> bytes | None:
        """Return a file's content and remember it as an input; None, with a problem noted, where there is none."""
        inside = self.relative(path)
        if inside is None:
            self.notes.problem("R071", "the path leads out of the repository", asked_at, at, "name a file inside of it")
            return None
        if not self.is_file(path):
            hint = _MISSING_ENV_FILE if "env_file" in at else "add it, or correct the path"
            self.notes.problem("R072", f"file {inside} not found", asked_at, at, hint)
            return None
        if len(self.notes.inputs) >= MAX_FILES and inside not in self.notes.inputs:
            self.notes.problem("R015", f"the project reads more than {MAX_FILES} files", asked_at, at)
            return None
        self.notes.read(inside)
        return self.files.read(inside)

    def parse(self, path: str, asked_at: Node | Mark | None = None, at: Path = ()) -> tuple[Node, ...]:
        """Return the YAML documents of a file; () when it cannot be read, with the problems noted."""
        if path not in self._parsed:
            self._parsed[path] = self._parse(path, asked_at, at)
        return self._parsed[path]

    def _parse(self, path: str, asked_at: Node | Mark | None, at: Path) -> tuple[Node, ...]:
        from reconciler.load.yaml import parse

        try:
            content = self.read(path, asked_at, at)
            return () if content is None else parse(content, self.name(path))
        except InvalidState as invalid:
            self.notes.problems.extend(invalid.problems)
            return ()

    def name(self, path: str) -> str:
        """Return how a file is called in messages: relative to the root where it can be."""
        inside = self.relative(path)
        return path if inside is None else inside
