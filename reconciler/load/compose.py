"""What does a Compose project say, exactly as `docker compose config` understands it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import Mark, Problem
from reconciler.load.consistency import check_consistency
from reconciler.load.documents import CONTENT, load_documents
from reconciler.load.node import Node, marks, plain
from reconciler.load.normalise import normalise
from reconciler.load.notes import Notes, Path, Unset, unique
from reconciler.load.render import render
from reconciler.load.scope import Scope
from reconciler.load.selection import ComposeRequest, Selection, project_name, select
from reconciler.load.sources import Sources
from reconciler.load.variables import service_environment, service_labels
from reconciler.ports import Files

__all__ = ["ComposeRequest", "Project", "Unset", "load_as_written", "load_project"]


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded project.

    name      the project's name
    document  canonical, as `docker compose config --format json` prints it but with every `x-` key and without its
              empty structures; only services that are on, and only resources that they use
    marks     where each value of the document was written; what is missing here stands where its nearest ancestor
              does. A mark that is not literal belongs to a value from interpolation or an env file: it may be secret.
    disabled  services that no active profile enables
    profiles  every profile that some service names, sorted
    contents  what `environment` of a config or secret holds, by ("secrets", name)
    warnings  what Compose says aloud
    traps     what Compose takes in silence and an acting command must not
    unset     variables used without value or default; Compose puts nothing there
    inputs    every file read, in order, relative to the root
    variables what its own files were interpolated with
    """

    name: str
    document: dict[str, Any]
    marks: Mapping[Path, Mark] = field(repr=False)
    disabled: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    contents: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)
    warnings: tuple[Problem, ...] = ()
    traps: tuple[Problem, ...] = ()
    unset: tuple[Unset, ...] = ()
    inputs: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def load_project(files: Files, request: ComposeRequest) -> Project:
    """Load a project. Raises InvalidState with everything Compose would refuse, in one go."""
    notes = Notes()
    selection, name, scope = _surveyed(files, request, notes)
    variables = scope.variables
    model = normalise(_said(selection.files, scope), name, variables)
    disabled = _disabled(model, selection.profiles)
    document, places = render(_with_env_files(model, disabled, scope), notes)
    contents = _take_contents(document)
    off = _take_services(document, disabled)
    check_consistency(document, off, places, notes)
    notes.stop_if_wrong()
    return Project(
        name,
        _without_unused(document),
        places,
        disabled,
        _profiles(document["services"], off),
        contents,
        unique(notes.warnings),
        unique(notes.traps),
        tuple(dict.fromkeys(notes.unset)),
        tuple(notes.inputs),
        variables,
    )


def load_as_written(files: Files, request: ComposeRequest) -> Project:
    """Load a project whose variables nobody replaces: merged, short forms written out, paths resolved, but no value read.

    Every service and resource is in the document, used or not. Raises InvalidState with everything Compose would refuse.
    """
    notes = Notes()
    selection, name, scope = _surveyed(files, request, notes, interpolated=False)
    model = normalise(_said(selection.files, scope), name, None)
    notes.stop_if_wrong()
    document = plain(model)
    return Project(
        name,
        document,
        dict(marks(model)),
        profiles=_profiles(document.get("services", {})),
        warnings=unique(notes.warnings),
        inputs=tuple(notes.inputs),
    )


def _surveyed(
    files: Files, request: ComposeRequest, notes: Notes, *, interpolated: bool = True
) -> tuple[Selection, str, Scope]:
    """Return what makes up the project, its name, and against what its files are read."""
    sources = Sources(files, request.root, notes)
    selection = select(request, sources)
    name = project_name(request, selection, sources, interpolated=interpolated)
    variables = {**selection.variables, "COMPOSE_PROJECT_NAME": name}
    directory = selection.directory
    return selection, name, Scope(sources, notes, directory, directory, variables, request.home, (), interpolated)


def _said(files: tuple[str, ...], scope: Scope) -> Node:
    model = load_documents(files, scope)
    if not model.value and not scope.notes.problems:
        scope.notes.problem("R033", "the Compose file says nothing", model, (), "give it services")
        scope.notes.stop_if_wrong()
    return model


def _services(model: Node) -> dict[str, Node]:
    services = model.value.get("services") if isinstance(model.value, dict) else None
    return services.value if services and isinstance(services.value, dict) else {}


def _disabled(model: Node, active: tuple[str, ...]) -> tuple[str, ...]:
    """Return the services that have profiles, none of them active; the profile `*` is all of them."""
    if "*" in active:
        return ()
    off = []
    for name, service in _services(model).items():
        profiles = service.value.get("profiles") if isinstance(service.value, dict) else None
        wanted = {item.value for item in profiles.value} if profiles and isinstance(profiles.value, list) else set()
        if wanted and not wanted & set(active):
            off.append(name)
    return tuple(off)


def _profiles(*groups: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    services = [service for group in groups for service in group.values()]
    return tuple(sorted({profile for service in services for profile in service.get("profiles", ())}))


def _with_env_files(model: Node, disabled: tuple[str, ...], scope: Scope) -> Node:
    """Write env and label files into the services; those of a service that is off are not even read."""
    services = {
        name: service if name in disabled else _with_files(service, ("services", name), scope)
        for name, service in _services(model).items()
    }
    if not isinstance(model.value, dict) or not services:
        return model
    return model.with_value({**model.value, "services": model.value["services"].with_value(services)})


def _with_files(service: Node, path: Path, scope: Scope) -> Node:
    if not isinstance(service.value, dict):
        return service
    entries = dict(service.value)
    if "env_file" in entries:
        environment = service_environment(service, path, scope.variables, scope.sources)
        entries["environment"] = entries.get("environment", entries["env_file"]).with_value(environment)
    if "label_file" in entries:
        labels = _labels(entries.get("labels"))
        given = service_labels(service, path, scope.sources)
        entries["labels"] = entries.get("labels", entries["label_file"]).with_value({**given, **labels})
    return service.with_value(entries)


def _labels(labels: Node | None) -> dict[str, Node]:
    match labels.value if labels else None:
        case dict(entries):
            return entries
        case list(items):
            pairs = [(str(item.value).partition("="), item) for item in items]
            return {name: item.with_value(value) for (name, _, value), item in pairs}
        case _:
            return {}


def _take_contents(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Take the values of variables out of the document, which is shown to people."""
    return {
        (kind, name): resource.pop(CONTENT)
        for kind in ("configs", "secrets")
        for name, resource in document.get(kind, {}).items()
        if CONTENT in resource
    }


def _take_services(document: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    services = document.setdefault("services", {})
    return {name: services.pop(name) for name in names}


def _without_unused(document: dict[str, Any]) -> dict[str, Any]:
    """Drop the resources no service uses, as Compose's commands do. What a route of ours names is used, too."""
    services = document["services"].values()
    used = {
        "networks": {name for service in services for name in service.get("networks") or ()},
        "volumes": {volume.get("source") for service in services for volume in service.get("volumes", ())},
        "configs": {config.get("source") for service in services for config in service.get("configs", ())},
        "secrets": {name for service in services for name in (*_secrets(service), _route_key(service))},
        "models": {name for service in services for name in service.get("models", ())},
    }
    kept = dict(document)
    for kind, names in used.items():
        kept[kind] = {name: resource for name, resource in document.get(kind, {}).items() if name in names}
    return {name: value for name, value in kept.items() if value or name not in used}


def _secrets(service: Mapping[str, Any]) -> list[str]:
    secrets = (*service.get("secrets", ()), *service.get("build", {}).get("secrets", ()))
    return [secret.get("source") for secret in secrets]


def _route_key(service: Mapping[str, Any]) -> str:
    """Return the secret that holds the private key of a service's route, "" for none; nobody has checked the route yet."""
    found: Any = service.get("x-route")
    for key in ("tls", "key"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
