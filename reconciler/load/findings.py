"""What is wrong so far, and what of it does a person read?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType

from reconciler.errors import InvalidState, Mark, Problem, Severity
from reconciler.load.excerpt import with_excerpts
from reconciler.load.notes import unique
from reconciler.ports import Files


@dataclass(slots=True)
class Findings:
    """Every error and warning so far; loading goes on after each to find more."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, problems: Iterable[Problem]) -> None:
        self.problems.extend(problems)

    def going_on(self) -> _GoingOn:
        """Keep the problems of what is done inside a `with`, instead of stopping at them."""
        return _GoingOn(self)


def presented(problems: Iterable[Problem], files: Files) -> tuple[Problem, ...]:
    """Return each problem once with its source line: errors first, then by place."""
    return tuple(sorted(with_excerpts(unique(problems), files), key=_order))


def is_error(problem: Problem) -> bool:
    """Say whether a problem keeps the desired state from being used."""
    return problem.severity is Severity.ERROR


@dataclass(frozen=True, slots=True)
class _GoingOn:
    """A class, not a generator, so that the type checker knows that errors end here."""

    findings: Findings

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if isinstance(error, InvalidState):
            self.findings.add(error.problems)
        return isinstance(error, InvalidState)


def _order(problem: Problem) -> tuple[bool, bool, Mark, str]:
    return not is_error(problem), problem.mark is None, problem.mark or Mark(""), problem.code
