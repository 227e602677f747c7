"""What stands in the audit log: who had what done, why, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a line tells: a turn is about to act · a call and its outcome · a person's word · the lease · the log itself."""

    BEGUN = "begun"
    ACTION = "action"
    WORD = "word"
    LEASE = "lease"
    NOTE = "note"


class Result(StrEnum):
    """What came of it; OPEN where that is not known yet."""

    OPEN = ""
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit log, but for what chains it to the line before. Nothing in it that a plan may not show.

    what      id of the action, the verb that was said, what became of the lease, or what a note is about
    target    a stack, "stack/service" or another Group.key; EVERYTHING for the environment
    text      in words: "create instance", "until 18:00:00Z", "commit 3f2a9c1 on main"
    by        author of the revision that asks for it, login of the person who said it, or whose lease it is about
    woke      what woke the turn
    revision  id of the revision it was done for
    actions   ids of what is begun: one that gets no line of its own was cut off
    """

    at: datetime
    kind: Kind
    what: str
    target: str = ""
    text: str = ""
    by: str = ""
    woke: str = ""
    revision: str = ""
    reasons: tuple[str, ...] = ()
    outcome: Result = Result.OPEN
    error: str = ""
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """What is known beside the log: its last line, and number of the first line that is still kept."""

    number: int
    hash: str
    first: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of the log."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Trail:
    """The log as it stands, oldest piece first; `head` is None where nobody knows how it ended."""

    pieces: tuple[Piece, ...]
    head: Head | None = None
