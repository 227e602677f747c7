"""Which files does a plain directory hold right now?"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import Conflict, InvalidState, Mark, Problem, Refused, Unreachable, UsageError
from reconciler.model.source import Revision
from reconciler.ports import FileKind

if TYPE_CHECKING:
    import threading

FILE_BYTES = 64 * 1024 * 1024
ENTRIES = 20_000
DEPTH = 60
HIDDEN = ".git"


class DirectoryFiles:
    """The files below `root`, each remembered as first seen, so that one load sees one state.

    Symlinks are shown and never followed, unless `follow_links`: then a link is what it points at, as every other
    program on this machine sees it. `.git` is hidden. Raises Unreachable for what the system does not let us read.
    """

    def __init__(self, root: Path, *, follow_links: bool = False, file_bytes: int = FILE_BYTES) -> None:
        self._root = root
        self._follow_links = follow_links
        self._file_bytes = file_bytes
        self._stats: dict[str, os.stat_result | None] = {}
        self._contents: dict[str, bytes] = {}
        self._children: dict[str, tuple[str, ...]] = {}
        self._identities: dict[str, str] = {}

    def kind(self, path: str) -> FileKind | None:
        """Say what stands at the path; None for nothing, and for what is no file (a pipe, a socket, a device)."""
        found = self._stat(path)
        return _kind(found.st_mode) if found else None

    def read(self, path: str) -> bytes:
        """Return the content. Raises InvalidState for what is no file or too large, Conflict when it just changed."""
        if path not in self._contents:
            self._contents[path] = self._read(path)
        return self._contents[path]

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted; () for what is no directory."""
        if path not in self._children:
            self._children[path] = self._list(path)
        return self._children[path]

    def identity(self, path: str) -> str:
        """Return a hash of the content, for a directory of everything below it; "" for what is not there.

        Raises InvalidState for a directory of more than 20,000 entries or 60 levels.
        """
        if path not in self._identities:
            self._identities[path] = self._identify(path)
        return self._identities[path]

    def executable(self, path: str) -> bool:
        """Say whether the owner may execute the file."""
        found = self._stat(path)
        return bool(found and stat.S_ISREG(found.st_mode) and found.st_mode & stat.S_IXUSR)

    def changed_at(self) -> datetime:
        """Return the newest modification time of everything looked at so far."""
        seconds = max((found.st_mtime for found in self._stats.values() if found), default=0.0)
        return datetime.fromtimestamp(seconds, UTC)

    def _stat(self, path: str) -> os.stat_result | None:
        if path not in self._stats:
            self._stats[path] = self._look(path) if self._is_inside(path) else None
        return self._stats[path]

    def _is_inside(self, path: str) -> bool:
        """Say whether every directory on the way is a real one, so that no link leads out of the root."""
        parts = path.split("/") if path else []
        if any(part in ("", ".", "..", HIDDEN) for part in parts):
            return False
        # From the root down, so that each step finds the one before it already seen, however deep the path is.
        return all(self.kind(parent) is FileKind.DIRECTORY for parent in accumulate(["", *parts][:-1], _join))

    def _look(self, path: str) -> os.stat_result | None:
        # The root is what the operator named: a link there is theirs to make.
        try:
            return os.stat(self._place(path), follow_symlinks=self._follow_links or not path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise self._unreadable(path, error) from error

    def _read(self, path: str) -> bytes:
        self._refuse_unless_file(path)
        try:
            content = self._bytes(path)
        except OSError as error:
            raise self._unreadable(path, error) from error
        if len(content) > self._file_bytes:
            raise _invalid("R078", path, f"{path!r} is larger than {self._file_bytes} bytes, the most read from one file")
        if self._identities.get(path, digest := hashlib.sha256(content).hexdigest()) != digest:
            raise Conflict(f"{path!r} changed while it was read")
        return content

    def _refuse_unless_file(self, path: str) -> None:
        match self.kind(path):
            case FileKind.FILE:
                return
            case FileKind.SYMLINK:
                raise _invalid("R077", path, f"{path!r} is a symbolic link; links are not followed", _LINK_HINT)
            case FileKind.DIRECTORY:
                raise _invalid("R076", path, f"{path!r} is a directory where a file is wanted")
            case _:
                raise _invalid("R076", path, f"there is no file {path!r}")

    def _bytes(self, path: str) -> bytes:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if self._follow_links else os.O_NOFOLLOW)
        with open(os.open(self._place(path), flags), "rb") as file:
            return file.read(self._file_bytes + 1)

    def _list(self, path: str) -> tuple[str, ...]:
        if self.kind(path) is not FileKind.DIRECTORY:
            return ()
        try:
            return tuple(sorted(_printing(name) for name in os.listdir(self._place(path)) if name != HIDDEN))
        except OSError as error:
            raise self._unreadable(path, error) from error

    def _identify(self, path: str) -> str:
        match self.kind(path):
            case FileKind.FILE:
                return self._file_digest(path)
            case FileKind.DIRECTORY:
                return self._directory_digest(path)
            case FileKind.SYMLINK:
                return hashlib.sha256(os.fsencode(os.readlink(self._place(path)))).hexdigest()
            case _:
                return ""

    def _file_digest(self, path: str) -> str:
        if path in self._contents:
            return hashlib.sha256(self._contents[path]).hexdigest()
        try:
            with self._place(path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self._unreadable(path, error) from error

    def _directory_digest(self, path: str) -> str:
        digest = hashlib.sha256()
        for name in self.children(path):
            child = _join(path, name)
            kind = self.kind(child)
            self._refuse_too_many(child)
            if kind:
                mode = "x" if self.executable(child) else "-"
                digest.update(f"{kind.value} {mode} {self.identity(child)} ".encode() + os.fsencode(name) + b"\0")
        return digest.hexdigest()

    def _refuse_too_many(self, path: str) -> None:
        if len(self._stats) > ENTRIES or path.count("/") > DEPTH:
            message = f"the directory holds more than {ENTRIES} entries or {DEPTH} levels, the most that are looked at"
            raise _invalid("R078", "", message, "name the directory that holds only the desired state")

    def _place(self, path: str) -> Path:
        return self._root / path if path else self._root

    def _unreadable(self, path: str, error: OSError) -> Unreachable:
        return Unreachable(f"{self._place(path)} cannot be read: {error.strerror}", hint="check owner and permissions")


class FolderSource:
    """A plain directory as a source: no history, and its newest revision is what stands there now."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._revision: Revision | None = None
        self._files: DirectoryFiles | None = None

    def fetch(self) -> Revision:
        """Return the directory as it stands. Raises Unreachable when it is gone, Refused when it is empty."""
        files = DirectoryFiles(self._root)
        if files.kind("") is not FileKind.DIRECTORY:
            raise Unreachable(f"there is no directory {self._root}", hint="mount it, or correct the path")
        if not files.children(""):
            raise Refused(f"the directory {self._root} is empty", hint="an empty directory never means: remove all")
        self._revision = Revision(files.identity(""), "directory", files.changed_at(), "", "working directory")
        self._files = files
        return self._revision

    def files(self, revision: str) -> DirectoryFiles:
        """Return the files fetched last. Raises UsageError for any other revision: a directory has no past."""
        if not self._files or not self._revision or revision != self._revision.id:
            raise _no_past(revision)
        return self._files

    def revision(self, name: str) -> Revision:
        """Return the directory as it stands for `HEAD`, `directory` or its id. Raises UsageError for others."""
        present = self.fetch()
        if name not in ("HEAD", present.ref, present.id):
            raise _no_past(name)
        return present

    def between(self, old: str, new: str) -> tuple[Revision, ...]:
        """Return the one step there is, or nothing when both are the same."""
        return (self.revision(new),) if old != new else ()

    def keep(self, revision: str, name: str) -> None:
        """Do nothing: what stood in a directory yesterday cannot be had again."""

    def keep_only(self, revisions: Collection[str], name: str) -> None:
        """Do nothing."""

    def changes(self, stop: threading.Event) -> Iterator[None]:
        """Yield each time something below the directory changed, until `stop` is set. Bursts come as one.

        Raises Unreachable when there is no such directory (any more).
        """
        from watchfiles import watch

        try:
            for _ in watch(self._root, watch_filter=_is_watched, stop_event=stop, raise_interrupt=False):
                yield
        except OSError as error:
            raise Unreachable(f"{self._root} cannot be watched: {error.strerror or error}") from error


_LINK_HINT = "put the file itself there"


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _printing(name: str) -> str:
    """Turn a name that is no UTF-8 into one that prints; nothing is found under it."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _kind(mode: int) -> FileKind | None:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.DIRECTORY
    return FileKind.SYMLINK if stat.S_ISLNK(mode) else None


def _invalid(code: str, path: str, message: str, hint: str = "") -> InvalidState:
    return InvalidState([Problem(code, message, Mark(path) if path else None, hint=hint)])


def _no_past(name: str) -> UsageError:
    return UsageError(f"a directory has no revision {name!r}", hint="use a Git repository to go back in time")


def _is_watched(_change: object, path: str) -> bool:
    return HIDDEN not in Path(path).parts
