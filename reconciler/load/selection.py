"""Which files make up a project, with which variables, under which name?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname, join

from reconciler.errors import InvalidState, Mark
from reconciler.load.interpolate import interpolate
from reconciler.load.node import Node
from reconciler.load.notes import Notes
from reconciler.load.paths import joined
from reconciler.load.sources import Sources
from reconciler.load.variables import dotenv_variables

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)

_NAME_HINT = "lower-case letters, digits, - and _, with a letter or digit first"


@dataclass(frozen=True, slots=True)
class ComposeRequest:
    """What to load. Paths are relative to the revision's root unless they are absolute.

    directory          where the command stands: default files are searched from here
    search_upwards     and then in the directories above, as the command line does
    files              the files themselves, in order; () for COMPOSE_FILE or the default names
    last_files         files after those, whichever they are; never the ones that decide on the directory
    project_directory  where relative paths start; None for the first file's directory
    name               the project's name; None for COMPOSE_PROJECT_NAME, the files' `name` or `fallback_name`
    fallback_name      the name where nothing says one; None for the directory's name
    profiles           services to enable; () for COMPOSE_PROFILES
    environment        variables from outside; they win over every env file
    env_files          instead of `.env`; relative to `directory`
    root               the absolute path that stands for the revision's root in the result
    home               what `~` means; None leaves it in the result
    """

    directory: str = ""
    search_upwards: bool = True
    files: tuple[str, ...] = ()
    last_files: tuple[str, ...] = ()
    project_directory: str | None = None
    name: str | None = None
    fallback_name: str | None = None
    profiles: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    env_files: tuple[str, ...] = ()
    root: str = "/"
    home: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What was found: absolute paths, all variables, the profiles, and a name that must or may be used."""

    files: tuple[str, ...]
    directory: str
    variables: Mapping[str, str] = field(repr=False)
    profiles: tuple[str, ...] = ()


def select(request: ComposeRequest, sources: Sources) -> Selection:
    """Return what makes up the project. Raises InvalidState when there is no Compose file."""
    standing = sources.absolute(request.directory)
    chosen = tuple(joined(standing, sources.absolute(path)) for path in request.files)
    variables = _with_env_files(request, request.environment, _directory(request, sources, chosen), sources)
    files = chosen or _named_files(variables, standing, sources) or _default_files(request, standing, sources)
    if not files:
        hint = f"name it {FILE_NAMES[0]}"
        sources.notes.problem("R072", f"no Compose file in {sources.name(standing) or 'the repository'}", None, (), hint)
    sources.notes.stop_if_wrong()
    directory = _directory(request, sources, files)
    variables = _with_env_files(request, variables, directory, sources)
    # Of no names at all, Compose makes one empty name, and a service may well carry it: `profiles: ["${ONLY_WITH-}"]`.
    profiles = request.profiles or tuple(part.strip() for part in variables.get("COMPOSE_PROFILES", "").split(","))
    files += tuple(sources.absolute(path) for path in request.last_files)
    return Selection(files, directory, variables, profiles)


def project_name(request: ComposeRequest, selection: Selection, sources: Sources, *, interpolated: bool = True) -> str:
    """Return the project's name; what makes it invalid is noted. A name in a file may hold variables."""
    given = request.name or selection.variables.get("COMPOSE_PROJECT_NAME", "")
    if given:
        if normalised_name(given) != given:
            sources.notes.problem("R058", f'"{given}" cannot be a project\'s name', None, ("name",), _NAME_HINT)
        return given
    written = _written_name(selection.files, sources)
    if written is None:
        written = Node(request.fallback_name or basename(selection.directory), Mark(sources.name(selection.files[0])))
    elif interpolated:
        written = _interpolated_name(written, selection.variables, sources.notes)
    name = normalised_name(str(written.value))
    if not name:
        sources.notes.problem("R058", "the project has no name", written, ("name",), f"give it one: {_NAME_HINT}")
    return name


def normalised_name(text: str) -> str:
    """Return the part of the text that can be a project's name: `[a-z0-9_-]`, a letter or digit first."""
    return "".join(re.findall(r"[a-z0-9_-]", text.lower())).lstrip("_-")


def _directory(request: ComposeRequest, sources: Sources, files: tuple[str, ...]) -> str:
    if request.project_directory is not None:
        return sources.absolute(request.project_directory)
    return dirname(files[0]) if files else sources.absolute(request.directory)


def _with_env_files(request: ComposeRequest, outer: Mapping[str, str], directory: str, sources: Sources) -> Mapping[str, str]:
    listed = request.env_files or tuple(filter(None, request.environment.get("COMPOSE_ENV_FILES", "").split(",")))
    standing = sources.absolute(request.directory)
    paths = [joined(standing, path) for path in listed] or _default_env_files(request, directory, sources)
    return {**dotenv_variables(((path, None) for path in paths), outer, sources), **outer}


def _default_env_files(request: ComposeRequest, directory: str, sources: Sources) -> list[str]:
    disabled = request.environment.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "t", "true")
    path = join(directory, ".env")
    return [path] if not disabled and sources.is_file(path) else []


def _named_files(variables: Mapping[str, str], standing: str, sources: Sources) -> tuple[str, ...]:
    if "COMPOSE_FILE" not in variables:
        return ()
    separator = variables.get("COMPOSE_PATH_SEPARATOR") or ":"
    files = tuple(joined(standing, path) for path in variables["COMPOSE_FILE"].split(separator))
    for path in files:
        if not sources.is_file(path):
            sources.notes.problem("R072", f"file {sources.name(path)} of COMPOSE_FILE not found", None)
    return files


def _default_files(request: ComposeRequest, standing: str, sources: Sources) -> tuple[str, ...]:
    directory = standing if request.project_directory is None else sources.absolute(request.project_directory)
    while True:
        found = _found(directory, FILE_NAMES, sources)
        if found:
            return found + _found(directory, OVERRIDE_NAMES, sources)
        if directory in (sources.root, "/") or not request.search_upwards:
            return ()
        directory = dirname(directory)


def _found(directory: str, names: Iterable[str], sources: Sources) -> tuple[str, ...]:
    """Return the first file of the names, with a word about those that lose to it."""
    files = [path for name in names if sources.is_file(path := join(directory, name))]
    for other in files[1:]:
        message = f"{basename(files[0])} is used, {basename(other)} beside it is not"
        sources.notes.warning("R074", message, Mark(sources.name(other)), (), "remove one of them")
    return tuple(files[:1])


def _written_name(files: Iterable[str], sources: Sources) -> Node | None:
    names = [
        document.value["name"]
        for path in files
        for document in sources.parse(path)
        if isinstance(document.value, dict) and "name" in document.value and document.value["name"].value
    ]
    return names[-1] if names else None


def _interpolated_name(name: Node, variables: Mapping[str, str], notes: Notes) -> Node:
    try:
        return name.with_value(interpolate(str(name.value), variables.get, name.mark, "name").text)
    except InvalidState as invalid:
        notes.problems.extend(invalid.problems)
        return name
