"""Which resources does a document take over from the files it includes?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from posixpath import dirname, join, relpath

from reconciler.errors import Mark
from reconciler.load.node import Node, plain
from reconciler.load.notes import Path
from reconciler.load.paths import joined
from reconciler.load.scope import Scope
from reconciler.load.variables import dotenv_variables

_RESOURCES = ("services", "volumes", "networks", "secrets", "configs", "models")
_REMOTE = ("git@", "github.com/")

LoadModel = Callable[[tuple[str, ...], Scope], Node]


@dataclass(frozen=True, slots=True)
class _Include:
    """One entry: its files, the first of which counts for directory and cycles."""

    paths: tuple[Node, ...]
    directory: Node | None
    env_files: tuple[Node, ...]
    at: Path


def apply_includes(document: Node, file: str, scope: Scope, load: LoadModel) -> Node:
    """Return the document with the resources of the files it includes. `load` loads one included project."""
    entries = document.value
    if not isinstance(entries, dict) or "include" not in entries:
        return document
    rest = document.with_value({name: child for name, child in entries.items() if name != "include"})
    wishes = entries["include"]
    if not isinstance(wishes.value, list):
        scope.notes.problem("R030", "include must be a list", wishes, ("include",))
        return rest
    for index, wish in enumerate(wishes.value):
        included = _understood(wish, ("include", index), scope)
        if included and _is_reachable(included, file, scope):
            rest = _imported(rest, load(_files(included, scope), _inner(included, file, scope)), scope)
    return rest


def _understood(wish: Node, path: Path, scope: Scope) -> _Include | None:
    match wish.value:
        case str():
            return _Include((wish,), None, (), path)
        case dict(fields) if "path" in fields:
            unknown = [name for name in fields if name not in ("path", "project_directory", "env_file")]
            for name in unknown:
                scope.notes.trap("R034", f'unknown key "{name}"', fields[name], (*path, name))
            paths, env_files = (_texts(fields.get(name), (*path, name), scope) for name in ("path", "env_file"))
            return _Include(paths, fields.get("project_directory"), env_files, path)
        case dict():
            scope.notes.trap("R035", "an include without a path does nothing", wish, path)
            return None
        case _:
            scope.notes.problem("R030", "an include must be a text or a mapping", wish, path)
            return None


def _texts(node: Node | None, path: Path, scope: Scope) -> tuple[Node, ...]:
    """Return a text or the texts of a list; anything else is noted and left out."""
    if node is None or node.value is None:
        return ()
    texts = node.value if isinstance(node.value, list) else [node]
    for wrong in (text for text in texts if not isinstance(text.value, str)):
        scope.notes.problem("R030", f"{path[-1]} must be a text or a list of texts", wrong, path)
    return tuple(text for text in texts if isinstance(text.value, str))


def _files(included: _Include, scope: Scope) -> tuple[str, ...]:
    return tuple(joined(scope.directory, str(path.value)) for path in included.paths)


def _is_reachable(included: _Include, file: str, scope: Scope) -> bool:
    """Say whether every file is a local one that is not being read already."""
    sound = True
    chain = (*scope.chain, file)
    for path, name in zip(_files(included, scope), included.paths, strict=True):
        text = str(name.value)
        if "://" in text or text.startswith(_REMOTE):
            hint = "copy the file into the repository"
            scope.notes.problem("R073", "only files of the repository can be included", name, included.at, hint)
            sound = False
        elif path in chain:
            circle = " -> ".join(scope.sources.name(one) for one in (*chain[chain.index(path) :], path))
            scope.notes.problem("R048", f"files include one another in a circle: {circle}", name, included.at)
            sound = False
        elif not scope.sources.is_file(path):
            # Asked for here, so that the problem stands at the include.
            scope.sources.read(path, name, included.at)
            sound = False
    return sound and bool(included.paths)


def _inner(included: _Include, file: str, scope: Scope) -> Scope:
    """An included project resolves paths from its own directory and lets outer variables win over its own."""
    first = _files(included, scope)[0]
    directory, folder = dirname(first), relpath(dirname(first), scope.directory)
    if included.directory and (wanted := str(included.directory.value)):
        directory = joined(scope.directory, wanted)
        folder = wanted if wanted.startswith("/") else relpath(_existing(directory, scope), scope.directory)
    variables = {**_own_variables(included, directory, scope), **scope.variables}
    return replace(scope, directory=directory, folder=folder, variables=variables, chain=(*scope.chain, file))


def _existing(directory: str, scope: Scope) -> str:
    """Compose falls back to the parent of a project directory that is not there."""
    return directory if scope.sources.is_directory(directory) else dirname(directory)


def _own_variables(included: _Include, directory: str, scope: Scope) -> Mapping[str, str]:
    default = join(directory, ".env")
    files: list[tuple[str, Node | None]] = [(joined(scope.directory, str(node.value)), node) for node in included.env_files]
    if not files and scope.sources.is_file(default):
        files = [(default, None)]
    return dotenv_variables(files, scope.variables, scope.sources, included.at)


def _imported(document: Node, included: Node, scope: Scope) -> Node:
    if not (isinstance(document.value, dict) and isinstance(included.value, dict)):
        return document
    entries = dict(document.value)
    for kind in _RESOURCES:
        source = included.value.get(kind)
        if source and isinstance(source.value, dict):
            entries[kind] = _joined(entries.get(kind) or source.with_value({}), source.value, kind, scope)
    return document.with_value(entries)


def _joined(known: Node, imported: Mapping[str, Node], kind: str, scope: Scope) -> Node:
    """Add the imported resources; the same name is fine only for the very same definition."""
    if not isinstance(known.value, dict):
        return known
    for name in known.value.keys() & imported.keys():
        here, there = known.value[name], imported[name]
        if plain(here) != plain(there):
            message = f'{kind} "{name}" is also defined in the included {_place(there.where)}'
            hint = "rename one, or put the change into a second path of the include"
            scope.notes.problem("R049", message, here, (kind, name), hint)
    return known.with_value({**imported, **known.value})


def _place(mark: Mark) -> str:
    return str(mark)
