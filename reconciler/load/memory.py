"""Which stacks read as they did last time, so that a commit to one stack does not load all of them again?

A stack is a function of its request, the policy, and what the files answered while it was read. So every answer is
noted, and as long as all of them are the same the result is. It is kept in memory only: it holds interpolated values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.errors import Problem
from reconciler.load.stack import Reading, StackRequest
from reconciler.model.desired import Stack
from reconciler.model.policy import Policy
from reconciler.ports import FileKind, Files


@dataclass(frozen=True, slots=True)
class Loaded:
    """A stack as it was read and built, and the problems on the way; `reading` is None when it cannot be read."""

    reading: Reading | None
    stack: Stack | None
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class Memory:
    """The last result for each stack, and when it holds."""

    _kept: dict[str, tuple[StackRequest, Policy, Answers, Loaded]] = field(default_factory=dict)

    def recall(self, files: Files, request: StackRequest, policy: Policy, read: Callable[[Files], Loaded]) -> Loaded:
        """Return what was read last time if nothing it depends on has changed, else read."""
        kept = self._kept.get(request.name)
        if kept and kept[:2] == (request, policy) and kept[2].agree_with(files):
            return kept[3]
        witness = Witness(files)
        loaded = read(witness)
        self._kept[request.name] = (request, policy, witness.answers, loaded)
        return loaded


@dataclass(frozen=True, slots=True)
class Answers:
    """What files answered, by path; contents by their identity alone."""

    kinds: dict[str, FileKind | None] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    children: dict[str, tuple[str, ...]] = field(default_factory=dict)
    executables: dict[str, bool] = field(default_factory=dict)

    def agree_with(self, files: Files) -> bool:
        """Say whether other files would answer the same."""
        return (
            all(files.kind(path) == kind for path, kind in self.kinds.items())
            and all(files.children(path) == names for path, names in self.children.items())
            and all(files.identity(path) == identity for path, identity in self.identities.items())
            and all(files.executable(path) == flag for path, flag in self.executables.items())
        )


@dataclass(frozen=True, slots=True)
class Witness:
    """Files that note every answer they give."""

    files: Files
    answers: Answers = field(default_factory=Answers)

    def kind(self, path: str) -> FileKind | None:
        return self.answers.kinds.setdefault(path, self.files.kind(path))

    def read(self, path: str) -> bytes:
        # A link and a file may hold the same bytes, and only one of them can be read.
        self.kind(path)
        self.identity(path)
        return self.files.read(path)

    def children(self, path: str) -> tuple[str, ...]:
        return self.answers.children.setdefault(path, self.files.children(path))

    def identity(self, path: str) -> str:
        return self.answers.identities.setdefault(path, self.files.identity(path))

    def executable(self, path: str) -> bool:
        return self.answers.executables.setdefault(path, self.files.executable(path))
