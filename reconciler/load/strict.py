"""What does Compose let pass in a project that a program acting alone must not?

A plan must be a function of the commit and the declared inputs, and nothing of what a person wrote may be lost in
silence. Everything here is stricter than Compose; what Compose itself refuses is refused before.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from reconciler.errors import Mark, Problem, Severity
from reconciler.load.attributes import Policy, Rule, rules
from reconciler.load.compose import Project
from reconciler.load.extensions import FILE_KEY
from reconciler.load.notes import Path, Unset
from reconciler.load.places import problem_at
from reconciler.model import labels

# No attribute may be lost in silence, so nothing is unsupported but what a single engine cannot give a meaning to.
_HINTS = {
    "provider": "a provider is a program on the machine that runs Compose; run it as a service",
    "models": "run the model as a service",
    "isolation": "it means something on Windows only",
}
_NAME_LIKE = ("image", "container_name", "hostname", "domainname", "user", "name", "network_mode")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::\d+)?")
_CLEAR_SECRET = re.compile(r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIALS?)$", re.IGNORECASE)
_PROTOCOLS = ("tcp", "udp", "sctp")
_OWN_VARIABLES = ("HOME", "PWD", "USER", "PATH", "HOSTNAME")


@dataclass(frozen=True, slots=True)
class Strictness:
    """What a stack's settings say about being strict: where its variables are declared, and what is only a warning."""

    stack: str
    env_files: str
    lenient: Callable[[str], bool]
    root: str


def check_strictly(project: Project, strictness: Strictness) -> Iterator[Problem]:
    """Yield every error and warning about one project alone."""
    planned = _Planned(project)
    yield from _unset(project, planned, strictness)
    yield from (trap for trap in project.traps if planned.holds(trap.at, trap.mark))
    yield from _unnamed(project)
    yield from _clear_secret_files(project, strictness)
    for name, service in project.document.get("services", {}).items():
        for problem in _unsupported(project, name, service):
            yield replace(problem, severity=Severity.WARNING) if strictness.lenient(name) else problem
        for check in _SERVICE_CHECKS:
            yield from check(project, ("services", name), service)
    for kind in ("networks", "volumes"):
        for key, resource in project.document.get(kind, {}).items():
            yield from _reserved(project, (kind, key, "labels"), resource or {})


def replicas(service: Mapping[str, Any]) -> int:
    """Return how many containers a canonical service asks for."""
    return int(service.get("deploy", {}).get("replicas", service.get("scale", 1)))


def most_replicas(service: Mapping[str, Any]) -> int:
    """Return how many containers it may come to have, as far as its own `x-autoscale` goes."""
    autoscale = service.get("x-autoscale")
    highest = autoscale.get("max") if isinstance(autoscale, dict) else None
    highest = highest if isinstance(highest, str | int) and str(highest).isdigit() else 0
    return max(replicas(service), int(highest))


def _unset(project: Project, planned: _Planned, strictness: Strictness) -> Iterator[Problem]:
    declare = (
        f"declare it in {strictness.env_files}, in stacks.{strictness.stack}.environment of reconciler.yaml, "
        "or in the operator's file; or give it a default"
    )
    told: set[tuple[str, Mark]] = set()
    for unset in project.unset:
        # What an anchor says is said once, however many services take it.
        if (unset.name, unset.mark) in told or not planned.holds(unset.at, unset.mark):
            continue
        told.add((unset.name, unset.mark))
        own = "; the reconciler's own environment is never used" if unset.name in _OWN_VARIABLES else ""
        yield Problem("R180", f"variable {unset.name} is not set{own}", unset.mark, unset.at, declare + _literal(unset))


def _literal(unset: Unset) -> str:
    """A password or a hash with a `$` in it is the commonest variable that nobody meant."""
    if not unset.at:
        return "; or put the value into single quotes if the $ is a part of it"
    is_meant = not unset.bare or unset.name in _OWN_VARIABLES
    return "" if is_meant else "; or write $$ if the $ is a part of the value"


class _Planned:
    """What of a project can come into a plan.

    What another key's extension says counts where a service takes it; a service that is off is never created, though
    one that is on may extend it; and how an image was built matters to whoever builds it.
    """

    def __init__(self, project: Project) -> None:
        self.off = frozenset(project.disabled)
        self.services = self.off | project.document.get("services", {}).keys()
        self.marks = project.marks

    def holds(self, at: str, mark: Mark | None) -> bool:
        """Say whether what stands at a dotted path of the files, and there at a mark, is a part of it."""
        parts = at.split(".")
        if parts[0] != "services":
            return not at.startswith("x-") or parts[0] == FILE_KEY
        # A service's name may hold dots; the longest that fits is meant.
        for end in range(len(parts), 1, -1):
            if (name := ".".join(parts[1:end])) in self.services:
                is_part = name not in self.off or (mark is not None and _place(mark) in self._places)
                return is_part and parts[end : end + 1] not in (["build"], ["develop"])
        return True

    @cached_property
    def _places(self) -> frozenset[tuple[str, int, int]]:
        on = (mark for path, mark in self.marks.items() if path[:1] == ("services",) and not self.off.intersection(path[1:2]))
        return frozenset(_place(mark) for mark in on)


def _place(mark: Mark) -> tuple[str, int, int]:
    return mark.path, mark.line, mark.column


def _unsupported(project: Project, name: str, service: Mapping[str, Any]) -> Iterator[Problem]:
    path = ("services", name)
    rule = rules().fields["services"].each
    for attribute_path in _with_policy(service, rule, path, Policy.UNSUPPORTED) if rule else ():
        attribute = attribute_path[-1]
        # With `image` beside it nothing needs to be built here; without, the missing image is the mistake.
        if attribute == "build":
            continue
        hint = _HINTS.get(str(attribute), "take it out, or set `unsupported: warn` to go on without it")
        yield problem_at("R181", f"{attribute} is not implemented", project.marks, attribute_path, hint)


def _with_policy(value: object, rule: Rule, path: Path, policy: Policy) -> Iterator[Path]:
    """Yield the paths below a value whose row of the attribute table has the policy."""
    if rule.attribute and rule.attribute.policy is policy:
        yield path
    elif isinstance(value, dict):
        for name, child in value.items():
            if below := rule.at(name):
                yield from _with_policy(child, below, (*path, name), policy)
    elif isinstance(value, list) and rule.item:
        for index, child in enumerate(value):
            yield from _with_policy(child, rule.item, (*path, index), policy)


def _unnamed(project: Project) -> Iterator[Problem]:
    """Refuse control characters in names, which escapes in double quotes can smuggle in."""
    for path, value in _leaves(project.document, ()):
        keyed = next((part for part in path if isinstance(part, str) and _CONTROL.search(part)), None)
        if keyed is not None:
            yield problem_at("R193", "a name holds a control character", project.marks, path)
        elif isinstance(value, str) and ("\x00" in value or (path[-1] in _NAME_LIKE and _CONTROL.search(value))):
            yield problem_at("R193", f"{path[-1]} holds a control character", project.marks, path)


def _leaves(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    match value:
        case dict():
            for name, child in value.items():
                yield from _leaves(child, (*path, name))
        case list():
            for index, child in enumerate(value):
                yield from _leaves(child, (*path, index))
        case _:
            yield path, value


def _clear_secret_files(project: Project, strictness: Strictness) -> Iterator[Problem]:
    for name, secret in project.document.get("secrets", {}).items():
        file = (secret or {}).get("file", "")
        if file.startswith(f"{strictness.root}/"):
            message = f"the secret {name} is committed in clear: everyone who can read the repository knows it"
            hint = f"use `environment` and declare it in the operator's file under environment.{strictness.stack}"
            yield _warning("R194", message, project, ("secrets", name, "file"), hint)


def _valueless(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    """Compose takes a bare name from the environment it runs in, and leaves the variable out where it is not there."""
    for name, value in (service.get("environment") or {}).items():
        if value is None:
            message = f"{name} has no value anywhere, so the container does not get it"
            yield _warning("R182", message, project, (*path, "environment", name), "declare it, or take it out")


def _clear_variables(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in (service.get("environment") or {}).items():
        place = (*path, "environment", name)
        mark = project.marks.get(place)
        if value and _CLEAR_SECRET.search(name) and mark and mark.literal:
            yield _warning("R194", f"{name} looks like a secret committed in clear", project, place, f"write ${{{name}:?}}")


def _restart(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    policy = service.get("restart", "no")
    if not _RESTART.fullmatch(policy):
        hint = "no, always, unless-stopped, on-failure or on-failure:N"
        yield problem_at("R183", "there is no such restart policy", project.marks, (*path, "restart"), hint)


def _stop_signal(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    name = str(service.get("stop_signal", "SIGTERM"))
    if not _is_signal(name):
        yield problem_at("R184", "there is no such signal", project.marks, (*path, "stop_signal"), "such as SIGINT or 2")


def _is_signal(name: str) -> bool:
    if name.isascii() and name.isdigit():
        return 1 <= int(name[:4]) <= 64
    bare = name.upper().removeprefix("SIG")
    real_time = re.fullmatch(r"RTM(?:IN(?:\+([0-9]|1[0-5]))?|AX(?:-([0-9]|1[0-4]))?)", bare)
    return bool(real_time) or f"SIG{bare}" in signal.Signals.__members__


def _labels(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _reserved(project, (*path, "labels"), service)


def _reserved(project: Project, path: Path, holder: Mapping[str, Any]) -> Iterator[Problem]:
    for label in holder.get("labels") or {}:
        if label.startswith((labels.OURS, labels.COMPOSE)):
            yield problem_at(
                "R185", f"the label {label} is reserved", project.marks, (*path, label), "it says whose the object is"
            )


def _host_network(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    if service.get("network_mode") == "host" and service.get("ports"):
        hint = "take `ports` out: every port of the container is one of the host already"
        yield problem_at("R188", "ports mean nothing with network_mode: host", project.marks, (*path, "ports"), hint)


def _port_numbers(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    """Compose checks the numbers of the short form only."""
    for index, port in enumerate(service.get("ports") or ()):
        numbers = (str(port.get("target", 0)), str(port.get("published") or "1"))
        wrong = next((number for number in numbers if not _is_port(number)), "")
        at = (*path, "ports", index)
        if wrong:
            yield problem_at("R055", f"{wrong} is no port", project.marks, at, "ports go from 1 to 65535")
        if port.get("protocol", "tcp") not in _PROTOCOLS:
            yield problem_at("R055", "there is no such protocol for a port", project.marks, at, "tcp, udp or sctp")
    for index, exposed in enumerate(service.get("expose") or ()):
        number, _, protocol = str(exposed).partition("/")
        if not _is_port(number) or (protocol or "tcp") not in _PROTOCOLS:
            yield problem_at("R055", f"{exposed} is no port", project.marks, (*path, "expose", index), "such as 80 or 53/udp")


def _is_port(text: str) -> bool:
    """Say whether the text is a port, or a range of them."""
    if not re.fullmatch(r"\d{1,5}(?:-\d{1,5})?", text, re.ASCII):
        return False
    numbers = [int(number) for number in text.split("-")]
    return 0 < numbers[0] <= numbers[-1] <= 65535


def _container_name(project: Project, path: Path, service: Mapping[str, Any]) -> Iterator[Problem]:
    most = most_replicas(service)
    if "container_name" in service and most > 1:
        message = f"{most} replicas cannot share one container_name"
        yield problem_at("R190", message, project.marks, (*path, "container_name"), "take container_name out")


def _warning(code: str, message: str, project: Project, path: Path, hint: str) -> Problem:
    return replace(problem_at(code, message, project.marks, path, hint), severity=Severity.WARNING)


_SERVICE_CHECKS = (
    _restart,
    _stop_signal,
    _labels,
    _host_network,
    _port_numbers,
    _container_name,
    _valueless,
    _clear_variables,
)
