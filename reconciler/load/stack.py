"""What does one stack ask for, from its entry in reconciler.yaml to services the planner can compare?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.certificate import certificate_of
from reconciler.load.compose import ComposeRequest, Project, load_project
from reconciler.load.crosscheck import Part
from reconciler.load.definition import Context
from reconciler.load.discovery import discovery_of
from reconciler.load.entrusted import entrusted, relieved
from reconciler.load.environment import StackEntry, StackSettings
from reconciler.load.environment import Window as DeclaredWindow
from reconciler.load.extensions import FileSettings, not_acted_on, read_extensions, read_file_settings
from reconciler.load.findings import Findings, is_error
from reconciler.load.node import Node
from reconciler.load.override import images, override_path
from reconciler.load.policy import check_resource, check_service
from reconciler.load.resources import build_networks, build_volumes
from reconciler.load.scalars import render
from reconciler.load.schedule import parse_schedule
from reconciler.load.service import build_service
from reconciler.load.strict import Strictness, check_strictly
from reconciler.model.desired import (
    Entrusted,
    FailureAction,
    Heal,
    Service,
    Stack,
    SyncMode,
    UpdateConfig,
    Volume,
)
from reconciler.model.policy import Policy
from reconciler.model.schedule import Window, WindowKind
from reconciler.ports import Files

# Compose warns of it; the strict checks refuse it, with a better hint.
UNSET = "R016"
ROOT = "/.repository"
"""What stands for the top of the repository in canonical paths; no path of a host begins so."""


@dataclass(frozen=True, slots=True)
class StackRequest:
    """One stack to read.

    settings   its own, then those for all stacks, nearest first
    variables  declared by the operator; they win over the repository's
    place      where the stack is declared
    """

    name: str
    entry: StackEntry
    settings: tuple[StackSettings, ...]
    variables: Mapping[str, str] = field(repr=False)
    place: Mark


@dataclass(frozen=True, slots=True)
class Reading:
    """A stack whose files could be read. `faulty` services have errors already, so nothing is built of them."""

    request: StackRequest
    part: Part
    file_settings: FileSettings
    faulty: frozenset[str] = frozenset()

    def setting(self, key: str, default: Any = None) -> Any:
        """Return a setting as the nearest of file, stack and environment says it."""
        return nearest_setting(key, (self.file_settings, *self.request.settings), default)


def nearest_setting(key: str, layers: Iterable[object], default: Any = None) -> Any:
    """Return the first layer's word on a setting."""
    said = (getattr(layer, key, None) for layer in layers)
    return next((value for value in said if value is not None), default)


def read_stack(files: Files, request: StackRequest, findings: Findings) -> Reading | None:
    """Read a stack's files and check them strictly; None when they cannot be read at all."""
    override = override_path(request.name)
    overridden = files.kind(override) is not None
    pinned: dict[str, Node] = {}
    with findings.going_on():
        pinned = images(files.read(override), override) if overridden else {}
    try:
        project = load_project(files, _compose_request(request, (override,) if overridden else ()))
    except InvalidState as error:
        findings.add(_placed(problem, request) for problem in error.problems)
        return None
    findings.add(_unasked_images(project, pinned))
    return _checked(project, request, findings)


def build_stack(files: Files, reading: Reading, policy: Policy, findings: Findings) -> Stack:
    """Build what the planner compares, and hold it against the operator's policy."""
    request, project = reading.request, reading.part.project
    context = _context(files, reading)
    stack = Stack(
        name=request.name,
        project=project.name,
        path=request.entry.path,
        services=tuple(_services(reading, context, policy, findings)),
        needs=request.entry.needs,
        sync=SyncMode(reading.setting("sync", "auto")),
        heal=Heal(reading.setting("heal", "heal")),
        adopt=(*request.entry.adopt, *reading.file_settings.adopt),
        replace_networks=reading.setting("replace_networks", False),
        prune_volumes=reading.setting("prune_volumes", ()),
        windows=tuple(_window(name, declared) for name, declared in sorted(reading.setting("windows", {}).items())),
        source=request.place,
    )
    with findings.going_on():
        stack = replace(stack, networks=build_networks(project, context))
    with findings.going_on():
        volumes = build_volumes(project, context)
        stack = replace(stack, volumes=tuple(_pruned(volume, stack.prune_volumes) for volume in volumes))
    findings.add(check_resource(stack, policy))
    return stack


def _compose_request(request: StackRequest, last_files: tuple[str, ...]) -> ComposeRequest:
    entry = request.entry
    declared = {name: render(value) for name, value in entry.environment.items() if value is not None}
    return ComposeRequest(
        directory=entry.path,
        search_upwards=False,
        files=tuple(_below(entry.path, file) for file in entry.files),
        last_files=last_files,
        project_directory=entry.path,
        name=entry.project,
        fallback_name=request.name,
        profiles=entry.profiles,
        environment={**declared, **request.variables},
        env_files=tuple(_below(entry.path, file) for file in entry.env_file),
        root=ROOT,
    )


def _below(directory: str, path: str) -> str:
    return "/".join(filter(None, (ROOT, directory, path)))


def _placed(problem: Problem, request: StackRequest) -> Problem:
    """Lay what no file is to blame for, such as a missing one, at the stack's declaration."""
    return problem if problem.mark else replace(problem, mark=request.place, at=f"stacks.{request.name}")


def _unasked_images(project: Project, pinned: Mapping[str, Node]) -> Iterator[Problem]:
    for name, image in pinned.items():
        if "x-image" not in project.document["services"].get(name, {}):
            hint = "declare x-image on the service, or write the image in the stack's own file"
            yield Problem("R106", f"the override sets the image of {name}, which has no x-image", image.where, hint=hint)


def _checked(project: Project, request: StackRequest, findings: Findings) -> Reading:
    file_settings = FileSettings()
    with findings.going_on():
        file_settings = read_file_settings(project.document, project.marks)
    extensions: dict[str, dict[str, Any]] = {}
    for name, service in project.document["services"].items():
        with findings.going_on():
            extensions[name] = read_extensions(service, project.marks, ("services", name))
    reading = Reading(request, Part(request.name, project, request.place, extensions), file_settings)
    findings.add(warning for warning in project.warnings if warning.code != UNSET)
    problems = tuple(check_strictly(project, _strictness(reading)))
    findings.add(problems)
    faults = [f"{problem.at}." for problem in problems if is_error(problem)]
    faulty = (name for name in reading.part.services if any(at.startswith(f"services.{name}.") for at in faults))
    return replace(reading, faulty=frozenset(faulty))


def _strictness(reading: Reading) -> Strictness:
    stack = reading.setting("unsupported", "error")
    own = {name: _own(reading, name).get("unsupported", stack) for name in reading.part.services}
    env_files = reading.request.entry.env_file or (".env",)
    return Strictness(
        stack=reading.request.name,
        env_files=" or ".join(_shown(reading.request.entry.path, file) for file in env_files),
        lenient=lambda service: own[service] == "warn",
        root=ROOT,
    )


def _shown(directory: str, path: str) -> str:
    return f"{directory}/{path}" if directory else path


def _own(reading: Reading, service: str) -> Mapping[str, Any]:
    """Return what a service's own `x-reconciler` says."""
    settings: Mapping[str, Any] = reading.part.extensions.get(service, {}).get("x-reconciler", {})
    return settings


def _context(files: Files, reading: Reading) -> Context:
    return Context(
        stack=reading.request.name,
        files=files,
        root=ROOT,
        directory=reading.request.entry.path,
        host_root=reading.setting("host_root", ""),
    )


def _services(reading: Reading, context: Context, policy: Policy, findings: Findings) -> Iterator[Service]:
    for name, definition in sorted(reading.part.services.items()):
        # What something else provides is refused already, or the repository accepted to go on without it.
        if name in reading.faulty or "provider" in definition:
            continue
        with findings.going_on():
            service, warnings = build_service(reading.part.project, name, context)
            findings.add(warnings)
            service = _with_extensions(service, reading)
            findings.add(check_service(service, policy))
            yield relieved(service, _entrusted(service, reading, context))


def _entrusted(service: Service, reading: Reading, context: Context) -> Entrusted | None:
    """Return what the gateway does for a service, with the certificate of its route."""
    trust = entrusted(reading.part.services[service.name], service.extensions)
    tls = service.extensions.get("x-route", {}).get("tls")
    if trust is None or trust.routing is None or tls is None:
        return trust
    certificate = certificate_of(reading.part.project, service.name, context, tls)
    return replace(trust, routing=replace(trust.routing, certificate=certificate))


def _with_extensions(service: Service, reading: Reading) -> Service:
    own = _own(reading, service.name)
    extensions = reading.part.extensions.get(service.name, {})
    return replace(
        service,
        extensions=extensions,
        update=_update(service, extensions.get("x-rollout", {})),
        not_acted_on=not_acted_on(extensions),
        discovery=discovery_of(service, reading.part.services[service.name], extensions.get("x-discovery")),
        wave=extensions.get("x-sync", {}).get("wave", 0),
        heal_own=Heal(own["heal"]) if "heal" in own else None,
        ignore=tuple(own.get("ignore") or reading.setting("ignore", ())),
    )


def _update(service: Service, rollout: Mapping[str, Any]) -> UpdateConfig:
    """`on_failure: pause` is said of whole sets, and of single replicas."""
    pauses = rollout.get("on_failure") == "pause"
    return replace(service.update, failure_action=FailureAction.PAUSE) if pauses else service.update


def _window(name: str, declared: DeclaredWindow) -> Window:
    schedule = parse_schedule(declared.schedule, declared.timezone)
    return Window(name, WindowKind(declared.kind), schedule, declared.duration)


def _pruned(volume: Volume, keys: tuple[str, ...]) -> Volume:
    return replace(volume, prune="*" in keys or volume.key in keys)
