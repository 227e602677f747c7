"""Which revisions has somebody pushed?"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from reconciler.drivers.memory.journal import Timeline
from reconciler.errors import InvalidState, Mark, Problem, Refused, Unreachable, UsageError
from reconciler.model.source import Revision
from reconciler.ports import FileKind

BRANCH = "main"
_MOST_BETWEEN = 100


@dataclass(frozen=True)
class MemoryFiles:
    """The files of one revision, by path."""

    contents: Mapping[str, bytes] = field(repr=False)

    @cached_property
    def _directories(self) -> Mapping[str, tuple[str, ...]]:
        """The names in each directory, by its path."""
        found: dict[str, set[str]] = {}
        for path in self.contents:
            while path:
                path, _, name = path.rpartition("/")
                found.setdefault(path, set()).add(name)
        return {directory: tuple(sorted(names)) for directory, names in found.items()}

    def kind(self, path: str) -> FileKind | None:
        if path in self.contents:
            return FileKind.FILE
        return FileKind.DIRECTORY if not path or self.children(path) else None

    def read(self, path: str) -> bytes:
        """Return a file's content. Raises InvalidState for what is no file."""
        if path not in self.contents:
            raise InvalidState([Problem("R076", f"there is no file {path!r}", Mark(path))])
        return self.contents[path]

    def children(self, path: str) -> tuple[str, ...]:
        return self._directories.get(path, ())

    def identity(self, path: str) -> str:
        """Return a hash of the file, or of everything below the directory."""
        below = f"{path}/" if path else ""
        digest = hashlib.sha256()
        names = [path] if path in self.contents else sorted(name for name in self.contents if name.startswith(below))
        for name in names:
            content = self.contents[name]
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def executable(self, path: str) -> bool:
        """No file in memory is executable."""
        return False


class Repository:
    """A repository that people push to, as the source. `up` False: the remote does not answer; `branch_gone`: it is empty."""

    def __init__(self, clock: Timeline) -> None:
        self.up = True
        self.branch_gone = False
        self.kept: dict[str, str] = {}
        self._clock = clock
        self._commits: list[Revision] = []
        self._files: dict[str, MemoryFiles] = {}

    def push(self, changes: Mapping[str, bytes | None], subject: str) -> Revision:
        """Commit on top of the branch: write these files, remove those that are None."""
        head = self._commits[-1] if self._commits else None
        contents = {**(self._files[head.id].contents if head else {}), **changes}
        files = MemoryFiles({path: content for path, content in contents.items() if content is not None})
        told = f"{len(self._commits)}\0{head.id if head else ''}\0{subject}\0{files.identity('')}"
        id = hashlib.sha256(told.encode()).hexdigest()[:40]
        revision = Revision(id, BRANCH, self._clock.now(), "Ada <ada@example.org>", subject)
        self._commits.append(revision)
        self._files[id] = files
        return revision

    def fetch(self) -> Revision:
        """Return the newest revision. Raises Unreachable while the remote is down, Refused for a branch that is gone."""
        if not self.up:
            raise Unreachable("the Git remote does not answer")
        if self.branch_gone or not self._commits:
            raise Refused(f"there is no branch {BRANCH}", hint="nothing is removed because of it: restore the branch")
        return self._commits[-1]

    def files(self, revision: str) -> MemoryFiles:
        """Return the files of a revision. Raises UsageError for what does not exist."""
        return self._files[self.revision(revision).id]

    def revision(self, name: str) -> Revision:
        """Resolve a commit id (or its beginning), the branch, or `HEAD~1`. Raises UsageError for what does not exist."""
        reference, _, back = name.partition("~")
        if reference in (BRANCH, "HEAD") and len(self._commits) > int(back or 0):
            return self._commits[-1 - int(back or 0)]
        found = [commit for commit in self._commits if reference and commit.id.startswith(reference)]
        if len(found) != 1:
            raise UsageError(f"there is no revision {name!r}")
        return found[0]

    def between(self, old: str, new: str) -> tuple[Revision, ...]:
        """Return the commits that lead from old (excluded) to new (included), newest first."""
        ids = [commit.id for commit in self._commits]
        first = ids.index(self.revision(old).id) + 1 if old else 0
        last = ids.index(self.revision(new).id) + 1
        return tuple(reversed(self._commits[first:last]))[:_MOST_BETWEEN]

    def keep(self, revision: str, name: str) -> None:
        """Remember what was applied."""
        self.kept[name] = self.revision(revision).id

    def keep_only(self, revisions: Collection[str], name: str) -> None:
        """Remember these, and forget others that were remembered so."""
        others = {key: id for key, id in self.kept.items() if key != f"{name}-{id}"}
        self.kept = others | {f"{name}-{id}": id for id in revisions}

    def changes(self, stop: threading.Event) -> Iterator[None]:
        """Cannot tell: whoever pushes takes a turn afterwards."""
        yield from ()
