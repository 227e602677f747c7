"""Which stacks does a repository hold, and where?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.environment import FILE, Declared, StackEntry, StackSettings, read_environment
from reconciler.load.override import DIRECTORY as OVERRIDES
from reconciler.load.places import Marks, problem_at
from reconciler.load.selection import FILE_NAMES, normalised_name
from reconciler.load.yaml import parse
from reconciler.model.desired import Environment
from reconciler.ports import FileKind, Files


@dataclass(frozen=True, slots=True)
class Layout:
    """The environment and its stacks.

    entries   by stack name; for `stacks: auto`, and without a reconciler.yaml, as if they were written there
    defaults  settings for all stacks
    places    where the paths of reconciler.yaml stand; {} without one
    """

    environment: Environment
    entries: Mapping[str, StackEntry]
    defaults: StackSettings = field(default_factory=StackSettings)
    places: Marks = field(default_factory=dict, repr=False)

    def place(self, stack: str) -> Mark:
        """Return where a stack is declared: in reconciler.yaml, else by its directory."""
        return self.places.get(("stacks", stack)) or Mark(self.entries[stack].path or ".")


def lay_out(files: Files, name: str) -> Layout:
    """Find the stacks. `name` is the environment's and the stack's where the repository does not say one.

    Raises InvalidState when reconciler.yaml is wrong or there is nothing to deploy.
    """
    if files.kind(FILE) is None:
        return _single(files, name)
    declared = read_environment(files.read(FILE))
    entries = declared.entries if declared.entries is not None else _found(files, declared)
    problems = tuple(_missing(files, entries, declared.places))
    if problems:
        raise InvalidState(problems)
    return Layout(declared.environment, entries, declared.defaults, declared.places)


def _single(files: Files, name: str) -> Layout:
    file = next((file for file in FILE_NAMES if files.kind(file) is FileKind.FILE), None)
    if file is None:
        hint = f"write a {FILE} that names the stacks, or put one {FILE_NAMES[0]} here"
        raise InvalidState([Problem("R105", f"there is neither {FILE} nor a compose file", Mark("."), hint=hint)])
    stack = _written_name(files, file) or normalised_name(name) or "default"
    return Layout(Environment(stack), {stack: StackEntry(path="")})


def _written_name(files: Files, file: str) -> str:
    """Return the file's `name` where it is a plain one: it stays the same wherever the repository is cloned to."""
    names = [
        str(document.value["name"].value)
        for document in parse(files.read(file), file)
        if isinstance(document.value, dict) and "name" in document.value
    ]
    return names[-1] if names and normalised_name(names[-1]) == names[-1] else ""


def _found(files: Files, declared: Declared) -> Mapping[str, StackEntry]:
    """Name each directory with a compose file by its own name; the top one by the environment's."""
    entries: dict[str, StackEntry] = {}
    problems: list[Problem] = []
    for path in sorted(_with_compose_file(files, "")):
        name = path.rpartition("/")[2] or declared.environment.name
        if name in entries:
            message = f"{entries[name].path or '.'} and {path} would both be the stack {name}"
            problems.append(problem_at("R107", message, declared.places, ("stacks",), "name the stacks one by one"))
        entries.setdefault(name, StackEntry(path=path))
    if not entries:
        problems.append(problem_at("R105", "no directory holds a compose file", declared.places, ("stacks",)))
    if problems:
        raise InvalidState(problems)
    return entries


def _with_compose_file(files: Files, directory: str) -> Iterator[str]:
    names = files.children(directory)
    if any(name in FILE_NAMES for name in names):
        yield directory
    for name in names:
        path = f"{directory}/{name}".lstrip("/")
        if not name.startswith(".") and path != OVERRIDES and files.kind(path) is FileKind.DIRECTORY:
            yield from _with_compose_file(files, path)


def _missing(files: Files, entries: Mapping[str, StackEntry], places: Marks) -> Iterator[Problem]:
    for name, entry in entries.items():
        kind = files.kind(entry.path)
        if kind is not FileKind.DIRECTORY:
            message = f"{entry.path} is a {kind}, not a directory" if kind else f"there is no directory {entry.path}"
            yield problem_at("R105", message, places, ("stacks", name, "path"), "it is relative to reconciler.yaml")
