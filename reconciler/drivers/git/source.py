"""Which commit does the branch point at, and how is it read?"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from reconciler.drivers.git.clone import Clone, Limits
from reconciler.drivers.git.environment import Credentials
from reconciler.drivers.git.faults import Damaged
from reconciler.drivers.git.files import GitFiles, no_directory
from reconciler.drivers.git.objects import Entry, Objects
from reconciler.errors import Unreachable, UsageError
from reconciler.load.giturl import CommitName, GitUrl, check_branch, parse_commit_name, parse_folder
from reconciler.model.source import Revision
from reconciler.ports import FileKind

MOST_COMMITS = 100
Answer = TypeVar("Answer")


class GitSource:
    """One branch of one remote repository; the files below `path` in it are the desired state.

    `directory` is ours alone: the clone lives there. Sources of several branches may share it.

    rewritten  (old, new) when the last fetch found that new was not built upon old, a force-push; else None
    """

    def __init__(
        self,
        url: GitUrl,
        branch: str,
        directory: Path,
        *,
        path: str = "",
        credentials: Credentials | None = None,
        limits: Limits | None = None,
        ambient: Mapping[str, str] = os.environ,
    ) -> None:
        self.rewritten: tuple[str, str] | None = None
        self._url = url
        self._branch = check_branch(branch)
        self._path = parse_folder(path)
        self._limits = limits or Limits()
        self._clone = Clone(directory.absolute(), url, credentials or Credentials(), self._limits, ambient)
        seconds = self._limits.local_seconds
        self._objects = Objects(self._clone.path, self._clone.environment, deadline_seconds=seconds)
        self._files: tuple[str, GitFiles] | None = None

    @property
    def lost(self) -> tuple[str, ...]:
        """Names under which commits were kept, and which went down with a damaged clone."""
        return self._clone.lost

    @property
    def remembered(self) -> int:
        """How many trees and files are remembered."""
        return self._objects.remembered

    @property
    def clone(self) -> Clone:
        """The clone itself, for the writer beside us."""
        return self._clone

    @property
    def branch(self) -> str:
        """The branch that is followed."""
        return self._branch

    @property
    def path(self) -> str:
        """The directory that is followed; "" is the whole repository."""
        return self._path

    def fetch(self) -> Revision:
        """Return the branch's newest commit. Raises Unreachable, and Refused when the branch is gone or empty."""
        with self._clone.locked():
            before = self._clone.tip(self._branch)
            self._clone.update(self._branch)
            now = self._tip()
            moved = before and before != now
            self.rewritten = (before, now) if before and moved and not self._clone.is_ancestor(before, now) else None
            return self._repaired(lambda: self._objects.revision(now, self._branch))

    def files(self, revision: str) -> GitFiles:
        """Return the files of a commit by its whole id.

        Raises UsageError when the commit is not here, InvalidState when it does not have the configured path.
        """
        known = self._files
        if not known or known[0] != revision:
            self._objects.begin()
            self._require(revision)
            known = self._files = revision, self._below_path(revision)
        return known[1]

    def revision(self, name: str) -> Revision:
        """Resolve a commit id, a branch or `HEAD~1`, where HEAD is our branch as last fetched.

        Asks the remote for an id that is not here, and each time for another branch, since a stale one would mislead.
        Raises UsageError for what does not exist.
        """
        asked = parse_commit_name(name)
        with self._clone.locked():
            base, ref = self._repaired(lambda: self._find(asked))
            commit = self._clone.resolve(base + asked.steps) if base else None
            if not commit:
                raise self._unknown(name)
            return self._repaired(lambda: self._objects.revision(commit, ref))

    def between(self, old: str, new: str) -> tuple[Revision, ...]:
        """Return the commits that new has and old has not, newest first, at most 100. Raises UsageError."""
        self._require(old)
        self._require(new)
        commits = self._repaired(lambda: self._clone.between(old, new, MOST_COMMITS))
        return tuple(self._repaired(partial(self._objects.revision, commit, "")) for commit in commits)

    def keep(self, revision: str, name: str) -> None:
        """Protect a commit from being forgotten after a force-push. Names follow the rules of branches."""
        check_branch(name)
        with self._clone.locked():
            self._require(revision)
            self._repaired(lambda: self._clone.keep(revision, name))

    def keep_only(self, revisions: Collection[str], name: str) -> None:
        """Protect these commits as `NAME-ID`, as far as they are here, and no others any longer."""
        check_branch(name)
        with self._clone.locked():
            held = self._clone.held(name)
            for commit in filter(self._clone.resolve, frozenset(revisions) - held):
                self._repaired(partial(self._clone.keep, commit, f"{name}-{commit}"))
            for commit in held - frozenset(revisions):
                self._repaired(partial(self._clone.let_go, f"{name}-{commit}"))

    def changes(self, stop: threading.Event) -> Iterator[None]:
        """End at once: a remote does not tell; a webhook may."""
        yield from ()

    def close(self) -> None:
        """End the process that reads objects. Using the source again starts another."""
        self._objects.close()

    def _tip(self) -> str:
        if tip := self._clone.tip(self._branch):
            return tip
        raise Unreachable(f'branch "{self._branch}" of {self._url} vanished from the clone while it was fetched')

    def _find(self, asked: CommitName) -> tuple[str | None, str]:
        """Return the commit that the name starts from, and the branch it was found on."""
        if not self._clone.tip(self._branch):
            self._clone.update(self._branch)
        if asked.base in ("HEAD", self._branch):
            return self._tip(), self._branch
        if asked.may_be_id:
            if found := self._clone.resolve(asked.base):
                return found, ""
            self._clone.update(self._branch)
            if found := self._clone.resolve(asked.base):
                return found, ""
        return self._clone.fetch_other(asked.base), "" if asked.is_whole_id else asked.base

    def _require(self, commit: str) -> None:
        """Raise UsageError unless the commit is here. A clone that has lost its own tip is repaired first."""
        parse_commit_name(commit)
        if self._clone.resolve(commit):
            return
        tip = self._clone.tip(self._branch)
        if not (tip and self._clone.resolve(tip)):
            self.rebuild()
        if not self._clone.resolve(commit):
            raise self._unknown(commit)

    def _below_path(self, commit: str) -> GitFiles:
        whole = self._tree_files(self._repaired(lambda: self._objects.tree(commit)))
        if whole.kind(self._path) is FileKind.DIRECTORY:
            return self._tree_files(whole.identity(self._path))
        raise no_directory(whole, self._path, commit)

    def _tree_files(self, tree: str) -> GitFiles:
        def entries(tree: str) -> Mapping[str, Entry]:
            return self._repaired(lambda: self._objects.entries(tree))

        def blob(blob: str) -> bytes:
            return self._repaired(lambda: self._objects.blob(blob, self._limits.blob_bytes))

        return GitFiles(tree, entries, blob)

    def _repaired(self, question: Callable[[], Answer]) -> Answer:
        """Answer a question, making the clone anew when it cannot be answered from this one."""
        # First only the reading process: another process may have replaced the clone beneath it.
        for repair in (self._objects.close, self.rebuild):
            try:
                return question()
            except Damaged:
                repair()
        try:
            return question()
        except Damaged as damage:
            message = f"repository {self._url} cannot be read, not even from a new clone: {damage}"
            raise Unreachable(message, hint="fetch again; if it stays, run `git fsck` in the remote repository") from damage

    def rebuild(self) -> None:
        """Make the clone anew."""
        with self._clone.locked():
            self._clone.rebuild(self._branch)
            self._objects.close()

    def _unknown(self, name: str) -> UsageError:
        hint = "give a commit id, a branch, or HEAD~1"
        return UsageError(f"{name} names no commit of {self._url}", hint=hint)
