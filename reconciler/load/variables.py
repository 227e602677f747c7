"""Which variables do a project's env files give it, and which does a service?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.errors import InvalidState, Mark
from reconciler.load.node import Node
from reconciler.load.notes import Notes, Path, Unset
from reconciler.load.sources import Sources

Found = tuple[str | None, Mark]


def dotenv_variables(
    paths: Iterable[tuple[str, Node | None]], outer: Mapping[str, str], sources: Sources, at: Path = ()
) -> dict[str, str]:
    """Return what env files say, later ones over earlier ones; `outer` is looked up first inside them.

    `paths` are absolute, each with the value that names it, for messages.
    """
    found: dict[str, Found] = {}
    for path, asked_at in paths:
        if path != "/dev/null":
            found |= _parsed(path, asked_at, at, outer, found, sources)
    return {name: value for name, (value, _) in found.items() if value is not None}


def service_environment(service: Node, path: Path, variables: Mapping[str, str], sources: Sources) -> dict[str, Node]:
    """Return a service's environment: what its env files say under what it says itself."""
    entries = service.value if isinstance(service.value, dict) else {}
    own = entries["environment"].value if "environment" in entries else {}
    declared = own if isinstance(own, dict) else {}
    texts = {name: str(node.value) for name, node in declared.items() if node.value is not None}
    outer = {**texts, **variables}
    found: dict[str, Found] = {}
    for file, raw, node, at in _env_files(entries.get("env_file"), path, sources):
        found |= _parsed(file, node, at, outer, found, sources, raw=raw)
    given = {name: Node(value, mark) for name, (value, mark) in found.items() if value is not None}
    return {**given, **declared}


def service_labels(service: Node, path: Path, sources: Sources) -> dict[str, Node]:
    """Return what a service's label files say; its own labels come on top of that."""
    files = service.value.get("label_file") if isinstance(service.value, dict) else None
    found: dict[str, Found] = {}
    for index, node in enumerate(files.value if files and isinstance(files.value, list) else ()):
        at = (*path, "label_file", index)
        found |= _parsed(str(node.value), node, at, {}, found, sources)
    return {name: Node(value, mark) for name, (value, mark) in found.items() if value is not None}


def _env_files(listed: Node | None, path: Path, sources: Sources) -> Iterable[tuple[str, bool, Node, Path]]:
    for index, node in enumerate(listed.value if listed and isinstance(listed.value, list) else ()):
        fields = node.value
        if not isinstance(fields, dict) or "path" not in fields:
            continue
        file, at = str(fields["path"].value), (*path, "env_file", index)
        kind = str(fields["format"].value) if "format" in fields else ""
        if kind not in ("", "raw", ".env"):
            sources.notes.problem("R059", f'unknown env_file format "{kind}"', fields["format"], at, "known is raw")
        elif sources.is_file(file) or fields["required"].value not in (False, "false"):
            yield file, kind == "raw", fields["path"], at


def _parsed(
    file: str,
    asked_at: Node | None,
    at: Path,
    outer: Mapping[str, str],
    earlier: Mapping[str, Found],
    sources: Sources,
    *,
    raw: bool = False,
) -> dict[str, Found]:
    """Return what one file says; inside it `outer` counts first, then itself, then the files before it."""
    from reconciler.load.dotenv import parse_env, parse_raw_env

    content = sources.read(file, asked_at, at)
    if content is None:
        return {}
    name = sources.name(file)
    before = {variable: value for variable, (value, _) in earlier.items() if value is not None}
    try:
        read = parse_raw_env(content, name, outer.get) if raw else parse_env(content, name, outer.get, before)
    except InvalidState as invalid:
        sources.notes.problems.extend(invalid.problems)
        return {}
    sources.notes.traps.extend(read.warnings)
    note_unset(sources.notes, [Unset(variable, mark, "") for variable, mark in read.unset])
    return read.variables


def note_unset(notes: Notes, unset: Iterable[Unset]) -> None:
    """Note variables used without a value, and warn of each name once, as Compose does."""
    warned = {one.name for one in notes.unset}
    for one in unset:
        notes.unset.append(one)
        if one.name not in warned:
            message = f'the variable "{one.name}" is not set and becomes nothing'
            notes.warning("R016", message, one.mark)
            warned.add(one.name)
