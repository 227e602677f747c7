"""Which files does one commit hold below the configured path?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from reconciler.drivers.git.catfile import TooLarge
from reconciler.drivers.git.objects import Entry
from reconciler.errors import InvalidState, Mark, Problem
from reconciler.ports import FileKind

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class GitFiles:
    """The files of one tree; `entries` and `blob` read objects by id. Links and submodules are shown, never followed."""

    def __init__(self, tree: str, entries: Callable[[str], Mapping[str, Entry]], blob: Callable[[str], bytes]) -> None:
        self._root = Entry(FileKind.DIRECTORY, tree, executable=False)
        self._entries = entries
        self._blob = blob

    def kind(self, path: str) -> FileKind | None:
        """Say what stands at the path, or None."""
        entry = self._entry(path)
        return entry.kind if entry else None

    def read(self, path: str) -> bytes:
        """Return a file's content. Raises InvalidState for a link, a submodule, an LFS pointer, what is too large."""
        entry = self._entry(path)
        if not entry or entry.kind is not FileKind.FILE:
            raise _no_file(path, entry)
        try:
            content = self._blob(entry.id)
        except TooLarge as cap:
            raise _invalid("R078", path, f"{path!r} is larger than {cap} bytes, the most read at once") from cap
        if content.startswith(_LFS_POINTER):
            hint = "commit the file itself: git lfs untrack it, then add it again"
            raise _invalid("R087", path, f"{path!r} is a Git LFS pointer, not the file", hint)
        return content

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted; () for what is no directory."""
        entry = self._entry(path)
        is_directory = entry and entry.kind is FileKind.DIRECTORY
        return tuple(sorted(self._entries(entry.id))) if entry and is_directory else ()

    def identity(self, path: str) -> str:
        """Return the id of the object at the path; "" for what is not there."""
        entry = self._entry(path)
        return entry.id if entry else ""

    def executable(self, path: str) -> bool:
        """Say whether the file's executable bit is set."""
        entry = self._entry(path)
        return bool(entry and entry.executable)

    def _entry(self, path: str) -> Entry | None:
        found: Entry | None = self._root
        for name in path.split("/") if path else ():
            if not found or found.kind is not FileKind.DIRECTORY:
                return None
            found = self._entries(found.id).get(name)
        return found


def no_directory(files: GitFiles, path: str, commit: str) -> InvalidState:
    """Say which part of the path is missing, and which name comes near."""
    parent, _, _ = path.rpartition("/")
    if files.kind(parent) is not FileKind.DIRECTORY:
        return no_directory(files, parent, commit)
    paths = [f"{parent}/{child}" if parent else child for child in files.children(parent)]
    near = get_close_matches(path, [path for path in paths if files.kind(path) is FileKind.DIRECTORY], 1)
    hint = f'did you mean "{near[0]}"?' if near else "check the configured path"
    return InvalidState([Problem("R088", f'there is no directory "{path}" in commit {commit[:12]}', hint=hint)])


def _no_file(path: str, entry: Entry | None) -> InvalidState:
    match entry.kind if entry else None:
        case FileKind.SYMLINK:
            hint = "put the file itself there"
            return _invalid("R077", path, f"{path!r} is a symbolic link; links are not followed", hint)
        case FileKind.SUBMODULE:
            hint = "put the files themselves into the repository"
            return _invalid("R086", path, f"{path!r} is a submodule; submodules are not fetched", hint)
        case FileKind.DIRECTORY:
            return _invalid("R076", path, f"{path!r} is a directory where a file is wanted")
        case _:
            return _invalid("R076", path, f"there is no file {path!r}")


def _invalid(code: str, path: str, message: str, hint: str = "") -> InvalidState:
    return InvalidState([Problem(code, message, Mark(path), hint=hint)])
