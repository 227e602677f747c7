"""What did loading a project notice on its way: problems, warnings, traps, unset variables, files read?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.errors import InvalidState, Mark, Problem, Severity
from reconciler.load.node import Node

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Unset:
    """A variable that was used without a value or a default: its name, where, and the dotted path of the value.

    The path is "" in an env file. `bare` says that it stands without braces.
    """

    name: str
    mark: Mark
    at: str
    bare: bool = False


@dataclass(slots=True)
class Notes:
    """Collects while loading goes on.

    problems  what Compose refuses
    warnings  what Compose says aloud and goes on
    traps     what Compose takes in silence though it is hardly meant; the strict layer makes errors of them
    inputs    every file read, in order, relative to the root
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    traps: list[Problem] = field(default_factory=list)
    unset: list[Unset] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def problem(self, code: str, message: str, place: Node | Mark | None, path: Path = (), hint: str = "") -> None:
        """Note what makes the project invalid."""
        self.problems.append(Problem(code, message, _mark(place), dotted(path), hint, span=_span(place, path)))

    def warning(self, code: str, message: str, place: Node | Mark | None, path: Path = (), hint: str = "") -> None:
        """Note what a person should hear."""
        self.warnings.append(Problem(code, message, _mark(place), dotted(path), hint, severity=Severity.WARNING))

    def trap(self, code: str, message: str, place: Node | Mark | None, path: Path = (), hint: str = "") -> None:
        """Note what Compose passes over and an acting command must not."""
        self.traps.append(Problem(code, message, _mark(place), dotted(path), hint))

    def read(self, path: str) -> None:
        """Note a file that was read."""
        if path not in self.inputs:
            self.inputs.append(path)

    def stop_if_wrong(self) -> None:
        """Raise InvalidState with every problem so far, each once."""
        if self.problems:
            raise InvalidState(unique(self.problems))


def unique(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems in order, those said before left out."""
    return tuple(dict.fromkeys(problems))


def dotted(path: Path) -> str:
    """Return a path as people write it, `services.web.ports.0`."""
    return ".".join(map(str, path))


def _mark(place: Node | Mark | None) -> Mark | None:
    return place.where if isinstance(place, Node) else place


def _span(place: Node | Mark | None, path: Path) -> int:
    """Underline the key if the place is a key's."""
    if isinstance(place, Node) and place.key and path:
        return len(str(path[-1])) or 1
    return 1
