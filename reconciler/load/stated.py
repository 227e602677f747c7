"""What does Git state of a service, setting by setting, as far as a person may see it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.errors import Mark, Problem
from reconciler.load.excerpt import SECRET_NAME, USER_INFO, with_excerpts
from reconciler.load.text import printable
from reconciler.model.desired import Service
from reconciler.ports import Files

_KEY = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'{}\[\],:]+)\s*:(?:\s+|$)""")
_COMMENT = re.compile(r"\s#.*$")


@dataclass(frozen=True, slots=True)
class Stated:
    """One setting. `value` is the resolved one where it may be shown, else what is written, secrets hidden; "" for neither."""

    attribute: str
    value: str
    source: Mark


def stated(service: Service, files: Files) -> tuple[Stated, ...]:
    """Return what Git sets, in the order of files and lines; `files` are those of the service's revision."""
    chosen = sorted(_chosen(service.sources), key=lambda pair: (pair[1].path, pair[1].line, pair[1].column))
    asked = (Problem("", "", mark, at=f"services.{service.name}.{attribute}") for attribute, mark in chosen)
    resolved = _resolved(service)
    shown = zip(chosen, with_excerpts(asked, files), strict=True)
    return tuple(
        Stated(attribute, resolved.get(attribute) or _written(problem.excerpt, mark.column), mark)
        for (attribute, mark), problem in shown
    )


def _chosen(sources: Mapping[str, Mark]) -> Iterator[tuple[str, Mark]]:
    """What stands at a place of its own: the leaves of mappings, and lists as one, or by item where each has a line."""
    split = {
        parent
        for attribute, mark in sources.items()
        if (parent := attribute.rpartition(".")[0]) in sources and _stands_apart(attribute, mark, sources[parent])
    }
    for attribute, mark in sources.items():
        parents = ("", *_parents(attribute))
        # What has the place of something around it is a default that nobody wrote.
        implicit = any(mark == sources.get(parent) for parent in parents)
        if attribute and attribute not in split and not implicit and all(parent in split for parent in parents[1:]):
            yield attribute, mark


def _stands_apart(attribute: str, mark: Mark, parent: Mark) -> bool:
    if attribute.rpartition(".")[2].isdecimal():
        return (mark.path, mark.line) != (parent.path, parent.line)
    return mark != parent


def _parents(attribute: str) -> Iterator[str]:
    parts = attribute.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _resolved(service: Service) -> dict[str, str]:
    """The values whose place in Git and whose text we both know: the image, and variables that are no secret."""
    variables = (entry.partition("=") for entry in service.container.get("Env") or ())
    shown = {f"environment.{name}": value for name, _, value in variables if _may_be_shown(name, value, service)}
    return {name: printable(value) for name, value in {**shown, "image": service.image}.items()}


def _may_be_shown(name: str, value: str, service: Service) -> bool:
    hidden = "environment" in service.hidden or f"environment.{name}" in service.hidden
    return not (hidden or SECRET_NAME.search(name) or USER_INFO.search(value))


def _written(line: str, column: int) -> str:
    """Return the value that stands in a line, at the column or after the key there."""
    before, rest = line[: max(column - 1, 0)], line[max(column - 1, 0) :]
    key = _KEY.match(rest)
    value = rest[key.end() :] if key else rest
    inside = sum(before.count(sign) for sign in "[{") > sum(before.count(sign) for sign in "]}")
    return _up_to_its_end(value) if inside else _COMMENT.sub("", value).strip()


def _up_to_its_end(value: str) -> str:
    """Cut off what follows a value in a flow mapping or list."""
    depth = 0
    for position, sign in enumerate(value):
        if depth == 0 and sign in ",}]":
            return value[:position].strip()
        depth += (sign in "[{") - (sign in "]}")
    return value.strip()
