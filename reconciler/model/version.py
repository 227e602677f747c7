"""Do two revisions ask for the same of a stack or of a service, wherever it is written?

A version of a stack is what runs: its services, networks and volumes. How it is to be handled (whom it waits for, when it
may change, what is healed) is a setting, which no version brings back.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.desired import DesiredState, Service, Stack


def part_of(desired: DesiredState, target: str) -> Stack | Service | None:
    """Return the stack ("shop") or service ("shop/web") of that name, None when there is none."""
    name, _, service = target.partition("/")
    stack = next((stack for stack in desired.stacks if stack.name == name), None)
    if stack is None or not service:
        return stack
    return next((one for one in stack.services if one.name == service), None)


def same(one: Stack | Service | None, other: Stack | Service | None) -> bool:
    """Say whether both are the same version."""
    if isinstance(one, Stack) and isinstance(other, Stack):
        one = at_version(other, one)
    return exactly(one, other)


def exactly(one: Stack | Service | None, other: Stack | Service | None) -> bool:
    """Say whether both say the same in every respect; only the places where it is written may differ."""
    return _bare(one) == _bare(other)


def at_version(stack: Stack, version: Stack) -> Stack:
    """Return the stack with its own settings, and the services, networks and volumes of another version of it."""
    return replace(
        stack,
        project=version.project,
        path=version.path,
        services=version.services,
        networks=version.networks,
        volumes=version.volumes,
    )


def changed_services(old: DesiredState, new: DesiredState, target: str) -> tuple[str, ...]:
    """Return the ids of the services of a stack or service that the revisions ask for differently, sorted."""
    stack, _, service = target.partition("/")
    found = {one.id for state in (old, new) for each in state.stacks if each.name == stack for one in each.services}
    ids = found & {target} if service else found
    return tuple(sorted(id for id in ids if not same(part_of(old, id), part_of(new, id))))


def _bare(part: Stack | Service | None) -> Stack | Service | None:
    match part:
        case Service():
            return replace(part, sources={}, needs_api=())
        case Stack():
            return replace(
                part,
                services=tuple(replace(service, sources={}, needs_api=()) for service in part.services),
                networks=tuple(replace(network, source=None, needs_api=()) for network in part.networks),
                volumes=tuple(replace(volume, source=None) for volume in part.volumes),
                source=None,
            )
        case None:
            return None
