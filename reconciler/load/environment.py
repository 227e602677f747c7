"""What does `reconciler.yaml` say, and which stacks does it name?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.excerpt import suggest
from reconciler.load.needs import cycles
from reconciler.load.node import marks as marks_of
from reconciler.load.node import plain
from reconciler.load.places import Marks, nearest, problem_at
from reconciler.load.terms import (
    AbsolutePath,
    AllOrTexts,
    Duration,
    Flag,
    HttpUrl,
    Name,
    RepositoryPath,
    Share,
    ShareOrCount,
    Texts,
    Timetable,
    Value,
    Whole,
)
from reconciler.load.written import Codes, Written, read, refused
from reconciler.load.yaml import parse
from reconciler.model.desired import Environment, Prune, PruneMode

FILE = "reconciler.yaml"
CODES = Codes(unknown_key="R100", wrong_kind="R101", missing_key="R102", refused_value="R103")

_PERSON = re.compile(r"[^<>\x00-\x1f\x7f]*[^<>\s]\s*<[^<>\s]+>")


class Window(Timetable):
    """When changes may start, or may not."""

    kind: Literal["allow", "deny"]
    """`deny`: new revisions wait while it is open; `allow`: they wait while it is closed."""


class StackSettings(Written):
    """What may stand for a stack, in a compose file as `x-reconciler`, and for all stacks at the top of reconciler.yaml."""

    sync: Literal["auto", "manual"] | None = None
    """`manual`: new revisions wait for `apply STACK`."""
    heal: Literal["heal", "detect", "off"] | None = None
    """What drift leads to: repair, a line in `plan` and `status`, or nothing."""
    windows: dict[Name, Window] | None = None
    """When new revisions may be applied; healing, rollback and scale-up go on."""
    ignore: Texts | None = None
    """Attributes that are not compared with what runs, such as `labels.last-seen`."""
    unsupported: Literal["error", "warn"] | None = None
    """What an attribute that Compose knows and this version does not implement leads to."""
    host_root: AbsolutePath | None = None
    """Directory on the engine's host that stands for the stack's directory, for data that cannot come from Git."""
    replace_networks: Flag | None = None
    """A changed network definition may be replaced; its users stop meanwhile."""
    prune_volumes: AllOrTexts | None = None
    """Volumes (by key) that go when Git no longer has them; `true` for all of the stack. Default: none, ever."""


class StackEntry(StackSettings):
    """A stack: a Compose project of this repository."""

    path: RepositoryPath
    """Its directory, relative to reconciler.yaml."""
    files: Texts = ()
    """Its compose files, relative to `path`; default: what Compose finds there."""
    project: str | None = None
    """Its Compose project name; default: the file's `name`, else the stack's."""
    profiles: Texts = ()
    """Profiles to enable."""
    environment: dict[str, Value] = Field(default_factory=dict)
    """Variables for interpolation in its compose files."""
    env_file: Texts = ()
    """Files of variables for interpolation, relative to `path`; default: `.env`."""
    needs: Texts = ()
    """Stacks that must be healthy before this one starts."""
    adopt: Texts = ()
    """Compose projects that run already and whose containers this stack takes over."""


class PruneEntry(Written):
    """How much may be removed because Git no longer has it."""

    mode: Literal["auto", "confirm", "off"] = "auto"
    """`confirm`: every deletion waits for a person; `off`: nothing is deleted."""
    max_delete: ShareOrCount = 0.3
    """The most that may go at once without a person: a share of our objects, or a number of them."""
    confirm: str = ""
    """The id printed by a hold: releases exactly that set of deletions."""
    images: Flag = True
    """Remove images that no kept revision uses."""


def _author(text: str) -> str:
    if not _PERSON.fullmatch(text):
        raise refused("expected a name and an address", "such as reconciler <reconciler@example.org>")
    return text


class WriteBack(Written):
    """How decisions of a verb or of the autoscaler become commits."""

    branch: str | None = None
    """Branch to push to; default: the one that is deployed."""
    push_branch: str | None = None
    """Branch to push to when `branch` is protected, for a pull request."""
    settle: Duration = 600.0
    """How long a value must hold before it is committed."""
    min_gap: Duration = 1800.0
    """Least time between two commits."""
    min_change: Share = 0.2
    """Least relative change that is worth a commit."""
    force_after: Duration = 3600.0
    """A value that differs from Git for this long is committed whatever its size."""
    daily_commits: Annotated[Whole, Field(ge=1)] = 24
    """Most commits a day."""
    author: Annotated[str, AfterValidator(_author)] = "reconciler <reconciler@localhost>"
    """Name and address of the author of these commits."""
    skip_ci: Flag = False
    """Add `[skip ci]` to the subject."""


class Registry(Written):
    """Where running replicas are registered."""

    type: Literal["embedded", "consul"] = "embedded"
    """The one built in, or a Consul."""
    url: HttpUrl | None = None
    """Address of the Consul; the operator must allow it."""

    @model_validator(mode="after")
    def _where(self) -> Self:
        if self.type == "consul" and not self.url:
            raise refused("a Consul needs its url", "registry: {type: consul, url: http://127.0.0.1:8500}")
        return self


class Alert(Written):
    """When to call someone."""

    when: Literal["degraded", "out-of-sync", "blocked", "failed"]
    """The state that raises it."""
    duration: Annotated[Duration, Field(alias="for")] = 0.0
    """How long the state must last."""
    webhook: str
    """URL that gets the alert, and its end, as JSON."""


def _form_of_stacks(value: object) -> str:
    return "auto" if isinstance(value, str) else "by name"


Stacks = Annotated[
    Annotated[Literal["auto"], Tag("auto")] | Annotated[dict[Name, StackEntry], Tag("by name")],
    Discriminator(_form_of_stacks),
]


class EnvironmentFile(StackSettings):
    """reconciler.yaml: one repository and branch, one target."""

    api: Literal["v1"]
    """Version of this format."""
    name: Name
    """Name of the environment; it stands in the owner label of everything we make."""
    target: Literal["docker", "swarm"] = "docker"
    """Kind of engine; its address is the operator's."""
    interval: Annotated[Duration, Field(ge=1)] = 30.0
    """How often to look for a new revision and for drift that no event told."""
    stacks: Stacks
    """Stacks by name, or `auto`: every directory with a compose file."""
    prune: PruneEntry = PruneEntry()
    write_back: WriteBack | None = None
    registry: Registry | None = None
    alerts: dict[Name, Alert] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declared:
    """reconciler.yaml as read: the environment, its stacks in order of their names, and the settings for all of them.

    entries   by stack name; None for `stacks: auto`
    places    where each path of the file stands
    """

    environment: Environment
    entries: Mapping[str, StackEntry] | None
    defaults: StackSettings
    places: Marks = field(repr=False)


def read_environment(data: bytes, path: str = FILE) -> Declared:
    """Read reconciler.yaml. Raises InvalidState with all its mistakes."""
    documents = parse(data, path)
    if len(documents) != 1:
        raise InvalidState([Problem("R101", f"expected one YAML document, found {len(documents)}", Mark(path))])
    document = plain(documents[0])
    places = dict(marks_of(documents[0]))
    file = read(EnvironmentFile, document, places, (), CODES)
    entries = None if file.stacks == "auto" else dict(sorted(file.stacks.items()))
    problems = (*_target_problems(file, places), *_needs_problems(entries or {}, places))
    if problems:
        raise InvalidState(problems)
    return Declared(_environment(file), entries, _for_all(file), places)


def write_back(environment: Environment) -> WriteBack:
    """Return how commits are to be made."""
    return WriteBack.model_construct(**environment.extensions.get("write_back", {}))


def _for_all(file: EnvironmentFile) -> StackSettings:
    """Return what stands at the top for all stacks, and nothing else: a stack is read anew when this changes."""
    return StackSettings.model_construct(**{name: getattr(file, name) for name in StackSettings.model_fields})


def _target_problems(file: EnvironmentFile, places: Marks) -> Iterator[Problem]:
    if file.target == "swarm":
        hint = "use `target: docker`"
        yield problem_at("R104", "this version cannot deploy to a swarm", places, ("target",), hint)


def _needs_problems(entries: Mapping[str, StackEntry], places: Marks) -> Iterator[Problem]:
    for name, entry in entries.items():
        for index, wanted in enumerate(entry.needs):
            if wanted not in entries:
                hint = suggest(wanted, entries) or "declare it under `stacks`"
                yield problem_at("R108", f'there is no stack "{wanted}"', places, ("stacks", name, "needs", index), hint)
    yield from (_cycle_problem(cycle, places) for cycle in cycles({name: entry.needs for name, entry in entries.items()}))


def _cycle_problem(cycle: tuple[str, ...], places: Marks) -> Problem:
    lines = [nearest(places, ("stacks", name, "needs")) for name in cycle]
    chain = " needs ".join(f"{name} (line {mark.line})" for name, mark in zip(cycle, lines, strict=True) if mark)
    message = f"stacks wait for each other: {chain} needs {cycle[0]}"
    return problem_at("R109", message, places, ("stacks", cycle[0], "needs"), "take one of these needs away")


def _environment(file: EnvironmentFile) -> Environment:
    waiting = {"write_back": file.write_back, "registry": file.registry, "alerts": file.alerts or None}
    extensions: dict[str, Any] = {
        key: value.model_dump(by_alias=True, exclude_none=True)
        if isinstance(value, Written)
        else {name: alert.model_dump(by_alias=True) for name, alert in value.items()}
        for key, value in waiting.items()
        if value is not None
    }
    return Environment(file.name, file.interval, _prune(file.prune), extensions)


def _prune(entry: PruneEntry) -> Prune:
    prune = Prune(PruneMode(entry.mode), confirm=entry.confirm, images=entry.images)
    if isinstance(entry.max_delete, float):
        return replace(prune, max_ratio=entry.max_delete)
    return replace(prune, max_ratio=0.0, floor=entry.max_delete)
