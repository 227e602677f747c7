"""What does one revision ask for, all of it, or what is all that is wrong with it?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.crosscheck import Part, check_services, check_stacks
from reconciler.load.findings import Findings, is_error, presented
from reconciler.load.gateway import with_gateway
from reconciler.load.layout import Layout, lay_out
from reconciler.load.memory import Loaded, Memory
from reconciler.load.names import NameServers, with_names
from reconciler.load.needs import in_order
from reconciler.load.override import DIRECTORY as OVERRIDES
from reconciler.load.stack import StackRequest, build_stack, read_stack
from reconciler.model.desired import GATEWAY_STACK, DesiredState, Stack
from reconciler.model.policy import Policy
from reconciler.model.source import Revision
from reconciler.ports import Files
from reconciler.settings import GATEWAY_IMAGE


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What is decided outside the repository.

    name         the environment's and the only stack's, where the repository does not say one
    environment  by stack: variables for interpolation, from the operator's file; they win over the repository's
    policy       what the repository may ask of the host
    gateway      image of the gateway, where a service needs one
    servers      whom containers ask for names
    """

    name: str = "default"
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    policy: Policy = field(default_factory=Policy)
    gateway: str = GATEWAY_IMAGE
    servers: NameServers = field(default_factory=NameServers)


def load(files: Files, revision: Revision, settings: LoadSettings | None = None, memory: Memory | None = None) -> DesiredState:
    """Return the desired state of a revision. A function of its arguments alone: no variable of this process counts.

    A memory that is kept from one call to the next saves the stacks that are as they were, and changes no result.
    Raises InvalidState with every error of every stack, each with its source line, and the warnings behind them.
    """
    settings = settings or LoadSettings()
    try:
        layout = lay_out(files, settings.name)
    except InvalidState as error:
        raise InvalidState(presented(error.problems, files)) from None
    findings = Findings([*_stale_overrides(files, layout), *_reserved(layout)])
    stacks = with_names(_stacks(files, layout, settings, findings, memory or Memory()), settings.servers, findings)
    problems = presented(findings.problems, files)
    if any(map(is_error, problems)):
        raise InvalidState(problems)
    return DesiredState(revision, layout.environment, with_gateway(layout.environment.name, stacks, settings.gateway), problems)


def _stacks(files: Files, layout: Layout, settings: LoadSettings, findings: Findings, memory: Memory) -> tuple[Stack, ...]:
    parts: list[Part] = []
    stacks: list[Stack] = []
    for request in _requests(layout, settings):
        loaded = memory.recall(files, request, settings.policy, partial(_stack, request, settings.policy))
        findings.add(loaded.problems)
        if loaded.reading and loaded.stack:
            parts.append(loaded.reading.part)
            stacks.append(loaded.stack)
    findings.add(check_stacks(parts))
    return tuple(stacks)


def _stack(request: StackRequest, policy: Policy, files: Files) -> Loaded:
    findings = Findings()
    reading = read_stack(files, request, findings)
    if reading is None:
        return Loaded(None, None, tuple(findings.problems))
    findings.add(check_services(reading.part))
    stack = build_stack(files, reading, policy, findings)
    return Loaded(reading, stack, tuple(findings.problems))


def _requests(layout: Layout, settings: LoadSettings) -> Iterable[StackRequest]:
    """Yield the stacks with needs first."""
    for name in in_order({name: entry.needs for name, entry in layout.entries.items()}):
        entry = layout.entries[name]
        variables = settings.environment.get(name, {})
        yield StackRequest(name, entry, (entry, layout.defaults), variables, layout.place(name))


def _reserved(layout: Layout) -> Iterable[Problem]:
    if GATEWAY_STACK in layout.entries:
        place, at = layout.place(GATEWAY_STACK), f"stacks.{GATEWAY_STACK}"
        yield Problem("R212", f"{GATEWAY_STACK} is the stack of the gateway itself", place, at, "choose another name")


def _stale_overrides(files: Files, layout: Layout) -> Iterable[Problem]:
    for file in files.children(OVERRIDES):
        stack, _, ending = file.rpartition(".")
        if ending == "yaml" and stack not in layout.entries:
            message = f"there is no stack {stack} for this override"
            yield Problem("R106", message, Mark(f"{OVERRIDES}/{file}"), hint="remove the file, or name it after its stack")
