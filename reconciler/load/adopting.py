"""Where does a repository say which Compose project a stack takes over, and how is that written there by a machine?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import join
from typing import Any

from reconciler.errors import InvalidState, Refused
from reconciler.load.emit import yaml_lines
from reconciler.load.environment import FILE
from reconciler.load.node import Node, plain
from reconciler.load.selection import FILE_NAMES
from reconciler.load.yaml import parse
from reconciler.model.desired import Stack
from reconciler.ports import Files


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is to be written for a stack: into which file, below which keys, and the whole file after it."""

    stack: str
    path: str
    keys: tuple[str, ...]
    says: Mapping[str, Any]
    content: bytes

    def __str__(self) -> str:
        return f"{self.path}, {'.'.join(self.keys)}: {_flow(self.says)}"


def adoption(files: Files, stack: Stack, project: str) -> Adoption:
    """Return how the stack comes to adopt the project, under the project's own name.

    Raises Refused where the file says something else already, or is written in a way that no machine should touch.
    """
    says: dict[str, Any] = {"adopt": [project]}
    path, keys = _place(files, stack)
    if stack.project != project:
        if path != FILE:
            hint = f"set `name: {project}` in {path}, so that containers, networks and volumes keep their names"
            raise Refused(f"stack {stack.name} is project {stack.project}, not {project}", hint=hint)
        says = {"project": project, **says}
    return Adoption(stack.name, path, keys, says, _written(files.read(path), path, keys, says))


def _place(files: Files, stack: Stack) -> tuple[str, tuple[str, ...]]:
    """The stack's entry in reconciler.yaml, else `x-reconciler` of the compose file that was found for it."""
    if files.kind(FILE):
        stacks = plain(parse(files.read(FILE), FILE)[0]).get("stacks")
        if isinstance(stacks, dict) and stack.name in stacks:
            return FILE, ("stacks", stack.name)
    found = (join(stack.path, name) for name in FILE_NAMES)
    return next(path for path in found if files.kind(path)), ("x-reconciler",)


def _written(data: bytes, path: str, keys: tuple[str, ...], says: Mapping[str, Any]) -> bytes:
    documents = parse(data, path)
    by_hand = f"write it yourself: {'.'.join(keys)}: {_flow(says)}"
    entry = _at(documents[0], keys) if len(documents) == 1 else None
    if len(documents) != 1 or (entry is not None and not isinstance(entry.value, dict)):
        raise Refused(f"{path} is not written in a form that can be added to", hint=by_hand)
    before = plain(documents[0])
    if taken := says.keys() & (_mapping(before, keys) or {}).keys():
        raise Refused(f"{path} says something of {'.'.join(keys)}.{min(taken)} already", hint=by_hand)
    text = data.decode()
    after = _appended(text, keys, says) if entry is None else _inserted(text, entry, says)
    # Anchors, tags and odd layouts: what was written counts only if it says what was meant, and nothing else.
    if not _says(after.encode(), path, _with(before, keys, says)):
        raise Refused(f"{path} is not written in a form that can be added to", hint=by_hand)
    return after.encode()


def _says(data: bytes, path: str, document: Any) -> bool:
    try:
        return [plain(one) for one in parse(data, path)] == [document]
    except InvalidState:
        return False


def _at(node: Node, keys: tuple[str, ...]) -> Node | None:
    for key in keys:
        if not isinstance(node.value, dict) or key not in node.value:
            return None
        node = node.value[key]
    return node


def _mapping(document: Any, keys: tuple[str, ...]) -> dict[str, Any] | None:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else None


def _appended(text: str, keys: tuple[str, ...], says: Mapping[str, Any]) -> str:
    document: Mapping[str, Any] = says
    for key in reversed(keys):
        document = {key: document}
    return text.rstrip("\n") + "\n\n" + "".join(f"{line}\n" for line in yaml_lines(document))


def _inserted(text: str, entry: Node, says: Mapping[str, Any]) -> str:
    """Before the entry's first key: behind the brace, or on lines of their own."""
    lines = text.splitlines(keepends=True)
    line, column = lines[entry.mark.line - 1], entry.mark.column - 1
    if line[column : column + 1] == "{":
        rest = line[column + 1 :]
        comma = "" if rest.lstrip().startswith("}") else ", "
        new = [f"{line[: column + 1]}{_flow(says)[1:-1]}{comma}{rest}"]
    else:
        new = [*(f"{line[:column]}{name}: {_flow(value)}\n" for name, value in says.items()), line]
    lines[entry.mark.line - 1 : entry.mark.line] = new
    return "".join(lines)


def _flow(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{name}: {_flow(child)}" for name, child in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case _:
            return next(iter(yaml_lines({"": value}))).partition(": ")[2]


def _with(document: Any, keys: tuple[str, ...], says: Mapping[str, Any]) -> Any:
    if not keys:
        return {**(document or {}), **says}
    below = document.get(keys[0]) if isinstance(document, dict) else None
    return {**(document or {}), keys[0]: _with(below, keys[1:], says)}
