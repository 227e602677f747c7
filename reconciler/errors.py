"""What can go wrong, sorted by who acts.

    ReconcilerError
    ├── InvalidState    a person edits the repository (or the operator's file): carries problems with file, line and hint
    ├── UsageError      a person types the command again
    ├── Refused         a person decides: a guard, a lease or a stale plan holds it back
    ├── Unreachable     nobody acts: the next turn tries again (engine, Git remote, image registry)
    └── Conflict        nobody acts: the world moved, observe again

Anything else is a bug and stops the turn loudly. No message ever holds a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file of the repository: POSIX path relative to its root, 1-based line and column.

    `literal` is false when the value there came from interpolation or an env file, so its text may be a secret.
    """

    path: str
    line: int = 0
    column: int = 0
    literal: bool = True

    def __str__(self) -> str:
        if not self.line:
            return self.path
        return f"{self.path}:{self.line}:{self.column}" if self.column else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing a person must know about what they wrote.

    code     stable, `R` and three digits; the table stands in docs/reference/errors.md
    message  what is wrong, one line, no secret
    mark     where, or None when no file is to blame
    at       the dotted path inside the file, `services.web.deploy.replicas`; "" when there is none
    hint     what to do, one line; "" when the message says it
    excerpt  the offending source line without its newline; "" when unknown or when it could hold a secret
    span     how many characters from mark.column to underline
    """

    code: str
    message: str
    mark: Mark | None = None
    at: str = ""
    hint: str = ""
    excerpt: str = ""
    span: int = 1
    severity: Severity = Severity.ERROR


class ReconcilerError(Exception):
    """Base of every error this program raises on purpose. `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidState(ReconcilerError):
    """The desired state (or the operator's file) is wrong. Holds every problem found, never only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        first = self.problems[0]
        super().__init__(f"{first.mark}: {first.message}" if first.mark else first.message, hint=first.hint)


class UsageError(ReconcilerError):
    """The command line does not make sense."""


class Refused(ReconcilerError):
    """A guard holds this back until a person decides: a lease, a stale bound plan, a policy, a mass deletion."""


class Unreachable(ReconcilerError):
    """A neighbour did not answer, or not in time. A write that ends so may have happened: observe again."""


class Conflict(ReconcilerError):
    """The world is not as it was when the plan was made: observe again."""
