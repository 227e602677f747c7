"""Which files do the commits of a working copy hold, as somebody cloned it here? Only read, never fetched into."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from reconciler.drivers.git.environment import local_environment
from reconciler.drivers.git.faults import Damaged
from reconciler.drivers.git.files import GitFiles, no_directory
from reconciler.drivers.git.objects import Entry, Objects
from reconciler.drivers.git.process import Output, require_git, run
from reconciler.errors import Unreachable, UsageError
from reconciler.load.giturl import parse_commit_name, parse_folder
from reconciler.model.source import Revision
from reconciler.ports import FileKind

LOCAL_SECONDS = 30.0
BLOB_BYTES = 64 * 1024**2
Answer = TypeVar("Answer")


class WorkingCopy:
    """The commits of the repository that a directory stands in; the files below that directory are the desired state.

    What is not committed does not count, and neither hooks nor filters of the repository ever run.
    """

    def __init__(self, directory: Path, path: str = "", *, ambient: Mapping[str, str] = os.environ) -> None:
        """Raises Unreachable when the directory belongs to no repository that can be read."""
        require_git(ambient.get("PATH", ""))
        self._directory = directory.absolute()
        self._environment = local_environment(ambient, (self._directory, *self._directory.parents))
        answer = self._run("rev-parse", "--absolute-git-dir", "--show-prefix")
        if answer.status:
            raise Unreachable(f"{directory} stands in no Git repository that can be read", hint="name the working copy")
        place, prefix = (*answer.lines, "")[:2]
        self._path = parse_folder(f"{prefix}/{path}".lstrip("/"))
        self._objects = Objects(Path(place), self._environment, deadline_seconds=LOCAL_SECONDS)

    def revision(self, name: str) -> Revision:
        """Resolve a commit id, a branch of here or of a remote (`origin/main`), a tag or `HEAD~1`. Raises UsageError."""
        parse_commit_name(name)
        answer = self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if answer.status:
            hint = "fetch it first; a shallow clone may lack it (git fetch --unshallow, or fetch-depth: 0 in CI)"
            raise UsageError(f"{name} names no commit of the working copy {self._directory}", hint=hint)
        return self._whole(lambda: self._objects.revision(answer.lines[0], ""))

    def files(self, revision: str) -> GitFiles:
        """Return the files of a commit. Raises InvalidState when it does not have our directory."""
        whole = self._tree(self._whole(lambda: self._objects.tree(revision)))
        if whole.kind(self._path) is not FileKind.DIRECTORY:
            raise no_directory(whole, self._path, revision)
        return self._tree(whole.identity(self._path))

    def close(self) -> None:
        """End the process that reads objects. Using the copy again starts another."""
        self._objects.close()

    def _tree(self, tree: str) -> GitFiles:
        def entries(tree: str) -> Mapping[str, Entry]:
            return self._whole(lambda: self._objects.entries(tree))

        return GitFiles(tree, entries, lambda blob: self._whole(lambda: self._objects.blob(blob, BLOB_BYTES)))

    def _whole(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except Damaged as damage:
            hint = "fetch what is missing (git fetch --unshallow --refetch), or run `git fsck`"
            raise Unreachable(f"the working copy {self._directory} lacks something: {damage}", hint=hint) from damage

    def _run(self, *arguments: str) -> Output:
        words = ("-C", str(self._directory), *arguments)
        return run(words, self._environment, deadline_seconds=LOCAL_SECONDS, about="git")
