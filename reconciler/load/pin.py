"""What does an override say once a person has said how many replicas a service has?

A function of the files of a revision, so that it can be made anew on whatever somebody else has pushed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from reconciler.errors import Conflict, InvalidState, Problem
from reconciler.load.emit import yaml_lines
from reconciler.load.node import Node, plain
from reconciler.load.overlay import Overlay
from reconciler.load.override import DIRECTORY, override_path
from reconciler.load.yaml import parse
from reconciler.model.desired import GATEWAY_STACK, DesiredState, Service
from reconciler.ports import Edits, FileKind, Files, NewFile

HEADER = "# Written by reconciler, and made anew each time: do not edit. `reconciler scale` changes a number of replicas.\n"


@dataclass(frozen=True, slots=True)
class Pin:
    """A person's word on the replicas of a service, which an autoscaler leaves alone until the date is over."""

    stack: str
    service: str
    replicas: int
    by: str
    until: str
    reason: str

    @property
    def id(self) -> str:
        return f"{self.stack}/{self.service}"


def limits(service: Service) -> tuple[int, int] | None:
    """Return the fewest and most replicas that `x-autoscale` of the service allows; None where it says nothing of them."""
    autoscale = service.extensions.get("x-autoscale", {})
    return (autoscale["min"], autoscale["max"]) if autoscale.get("max") is not None else None


def pinned(files: Files, pins: Iterable[Pin], read: Callable[[Files], DesiredState]) -> Edits:
    """Return the overrides with the pins in them; {} when all of them say so already.

    Raises Conflict when a service is gone or its limits exclude the number by now, and InvalidState when the repository
    would not be valid afterwards, or would say anything else than before but the replicas.
    """
    pins = tuple(pins)
    before = read(files)
    for pin in pins:
        _check(before, pin)
    stacks = sorted({pin.stack for pin in pins})
    edits = {override_path(stack): _override(files, [pin for pin in pins if pin.stack == stack]) for stack in stacks}
    _check_result(before, read(Overlay(files, edits)), pins)
    return edits


def _check(desired: DesiredState, pin: Pin) -> None:
    service = _find(desired, pin)
    if service is None:
        raise Conflict(f"there is no {pin.id} any more")
    if (allowed := limits(service)) and not allowed[0] <= pin.replicas <= allowed[1]:
        raise Conflict(f"x-autoscale of {pin.id} allows {allowed[0]} to {allowed[1]} replicas by now")


def _find(desired: DesiredState, pin: Pin) -> Service | None:
    services = (service for stack in desired.stacks for service in stack.services)
    return next((service for service in services if service.id == pin.id), None)


def _override(files: Files, pins: Iterable[Pin]) -> NewFile:
    document = _document(files, override_path(next(iter(pins)).stack))
    services: dict[str, Any] = document.setdefault("services", {})
    for pin in pins:
        deploy = services.setdefault(pin.service, {}).setdefault("deploy", {})
        deploy["replicas"] = pin.replicas
        deploy["x-reconciler-pin"] = {"by": pin.by, "until": pin.until, "reason": pin.reason}
    document["services"] = dict(sorted(services.items()))
    return NewFile((HEADER + "".join(f"{line}\n" for line in yaml_lines(document))).encode())


def _document(files: Files, path: str) -> dict[str, Any]:
    if files.kind(DIRECTORY) not in (None, FileKind.DIRECTORY):
        raise InvalidState([Problem("R106", f"{DIRECTORY} is no directory", hint="overrides are written there")])
    documents = parse(files.read(path), path) if files.kind(path) is not None else ()
    tagged = next((node for document in documents for node in _nodes(document) if node.tag), None)
    if len(documents) > 1 or tagged:
        message, hint = "this override holds more than values", "write one document without !reset and !override"
        raise InvalidState([Problem("R106", message, (tagged or documents[-1]).where, hint=hint)])
    found = plain(documents[0]) if documents else None
    return _filled(found) if isinstance(found, dict) else {}


def _nodes(node: Node) -> Iterable[Node]:
    yield node
    match node.value:
        case dict(entries):
            children: Iterable[Node] = entries.values()
        case list(items):
            children = items
        case _:
            children = ()
    for child in children:
        yield from _nodes(child)


def _filled(document: dict[str, Any]) -> dict[str, Any]:
    """An empty mapping may be written as nothing at all; to be written into it must be one."""
    services = {name: service or {} for name, service in (document.get("services") or {}).items()}
    for service in services.values():
        if "deploy" in service:
            service["deploy"] = service["deploy"] or {}
    return {**document, "services": services}


def _check_result(before: DesiredState, after: DesiredState, pins: Iterable[Pin]) -> None:
    wanted = {pin.id: pin.replicas for pin in pins}
    for old, new in zip(_services(before), _services(after), strict=True):
        expected = replace(old, replicas=wanted.get(old.id, old.replicas))
        if _said(new) != _said(expected):
            message = f"with this pin {old.id} would be another than the pin says"
            hint = "deploy.replicas of the service must be what decides; look at its other files"
            raise InvalidState([Problem("R106", message, old.mark("deploy.replicas"), hint=hint)])


def _services(desired: DesiredState) -> list[Service]:
    """The gateway comes with the first port that several replicas share, and goes with the last."""
    return [service for stack in desired.stacks if stack.name != GATEWAY_STACK for service in stack.services]


def _said(service: Service) -> Service:
    """Leave out where it says so, the pins, and who holds the ports, which follows from how many replicas share them."""
    extensions = {key: value for key, value in service.extensions.items() if key != "x-reconciler-pin"}
    host = {key: value for key, value in service.container.get("HostConfig", {}).items() if key != "PortBindings"}
    container = {**service.container, "HostConfig": host}
    return replace(service, sources={}, extensions=extensions, needs_api=(), entrusted=None, container=container)
