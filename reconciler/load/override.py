"""Does an override file hold only what the machine, or a person's pin, may say there?"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import InvalidState, Problem
from reconciler.load.node import Node
from reconciler.load.notes import Path, dotted
from reconciler.load.yaml import parse

DIRECTORY = "overrides"

_DEPLOY = ("replicas", "resources", "x-reconciler-pin")
_SERVICE = ("deploy", "image", "x-reconciler-pin")
_HINT = "only deploy.replicas, deploy.resources, image and x-reconciler-pin; the rest belongs into the stack's own file"


def override_path(stack: str) -> str:
    """Return where the override of a stack stands, relative to reconciler.yaml."""
    return f"{DIRECTORY}/{stack}.yaml"


def images(data: bytes, path: str) -> dict[str, Node]:
    """Check an override file, and return the images it sets, by service. Raises InvalidState with all mistakes."""
    found: dict[str, Node] = {}
    problems: list[Problem] = []
    for document in parse(data, path):
        problems.extend(_foreign(document, ("services",), ()))
        for name, service in _children(_children(document).get("services")).items():
            problems.extend(_foreign(service, _SERVICE, ("services", name)))
            problems.extend(_foreign(_children(service).get("deploy"), _DEPLOY, ("services", name, "deploy")))
            if image := _children(service).get("image"):
                found[name] = image
    if problems:
        raise InvalidState(problems)
    return found


def _foreign(node: Node | None, allowed: tuple[str, ...], path: Path) -> Iterator[Problem]:
    for key, child in _children(node).items():
        if key not in allowed:
            yield Problem("R106", f"{key} has no place in an override", child.where, dotted((*path, key)), _HINT, span=len(key))


def _children(node: Node | None) -> dict[str, Node]:
    return node.value if node and isinstance(node.value, dict) else {}
