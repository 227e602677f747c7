"""Every protocol the outside world implements; drivers/ holds the implementations, wiring.py chooses them."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class FileKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"


class Files(Protocol):
    """The files of one revision. Paths are POSIX, relative to its root, without `.`, `..` or a leading slash.

    The root itself is "". Implementations cache: asking twice costs nothing.
    """

    def kind(self, path: str) -> FileKind | None:
        """Say what stands at the path, or None. Never follows a symlink."""

    def read(self, path: str) -> bytes:
        """Return a file's content. Raises InvalidState for what is no file or larger than the driver's cap."""

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names (not paths) in a directory, sorted; () for what is no directory."""

    def identity(self, path: str) -> str:
        """Return an id of the content at the path (file or whole directory); equal ids mean equal content."""

    def executable(self, path: str) -> bool:
        """Say whether the file's executable bit is set."""
