"""What would a revision hold after an edit?"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.ports import Edits, FileKind, Files


@dataclass(frozen=True, slots=True)
class Overlay:
    """The files of a revision with an edit laid over them."""

    below: Files
    edits: Edits

    def kind(self, path: str) -> FileKind | None:
        """Say what stands at the path, or None."""
        if path in self.edits:
            return FileKind.FILE if self.edits[path] else None
        if any(new and edited.startswith(f"{path}/") for edited, new in self.edits.items()):
            return FileKind.DIRECTORY
        return self.below.kind(path)

    def read(self, path: str) -> bytes:
        """Return a file's content. Raises InvalidState for what is no file."""
        if path not in self.edits:
            return self.below.read(path)
        if new := self.edits[path]:
            return new.content
        raise InvalidState([Problem("R076", f"there is no file {path!r}", Mark(path))])

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted."""
        prefix = f"{path}/" if path else ""
        edited = {name[len(prefix) :].partition("/")[0] for name in self.edits if name.startswith(prefix)}
        names = {*self.below.children(path), *edited}
        return tuple(sorted(name for name in names if self.kind(f"{prefix}{name}") is not None))

    def identity(self, path: str) -> str:
        """Return an id of the content at the path; "" for what is not there."""
        prefix = f"{path}/" if path else ""
        touched = sorted(name for name in self.edits if name == path or name.startswith(prefix))
        if not touched:
            return self.below.identity(path)
        digest = sha256(self.below.identity(path).encode())
        for name in touched:
            new = self.edits[name]
            content = f"{new.executable}{len(new.content)}".encode() + new.content if new else b"-"
            digest.update(f"\0{name}\0".encode() + content)
        return digest.hexdigest()

    def executable(self, path: str) -> bool:
        """Say whether the file's executable bit is set."""
        if path not in self.edits:
            return self.below.executable(path)
        new = self.edits[path]
        return new is not None and new.executable
