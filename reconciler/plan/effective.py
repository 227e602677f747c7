"""Which version of each stack and service counts now: Git's newest, or the last good one?

A stack whose newest version waits for `apply STACK` (sync: manual) and a service whose newest spec failed keep the last
good version, so that what runs goes on being healed. So does a service that waits for a job whose newest version failed:
a release does not go out past a migration that broke.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from reconciler.model.desired import Condition, DesiredState, FailureAction, Kind, Service, Stack, SyncMode
from reconciler.model.history import History
from reconciler.model.version import part_of, same
from reconciler.plan.view import asks, failure_of


def effective(desired: DesiredState, previous: DesiredState | None, history: History) -> DesiredState:
    """Return the desired state with what must not change yet taken from `previous`."""
    waiting = withheld(desired, previous, history)
    before = {stack.name: stack for stack in previous.stacks} if previous else {}
    chosen = (
        before.get(stack.name) if stack.name in waiting else _stack(stack, before.get(stack.name), desired, history)
        for stack in desired.stacks
    )
    return replace(desired, stacks=tuple(stack for stack in chosen if stack is not None))


def withheld(desired: DesiredState, previous: DesiredState | None, history: History) -> tuple[str, ...]:
    """Return the names of stacks whose new version waits for a person: a commit that does not change a stack does not."""
    manual = [stack for stack in desired.stacks if stack.sync is SyncMode.MANUAL]
    unreleased = (stack for stack in manual if history.manual.get(stack.name) != desired.revision.id)
    return tuple(one.name for one in unreleased if previous is None or not same(one, part_of(previous, one.name)))


def fallen_back(effective: DesiredState, newest: DesiredState, history: History) -> tuple[Service, ...]:
    """Return the newest version of each service that fell back to an older one."""
    if not history.quarantine:
        return ()
    counts = {service.id: service for stack in effective.stacks for service in stack.services}
    return tuple(
        service
        for stack in newest.stacks
        for service in stack.services
        if counts.get(service.id, service) is not service and failure_of(service, newest.revision.id, history)
    )


def kept_back(effective: DesiredState, newest: DesiredState, history: History) -> Iterator[tuple[Service, str]]:
    """Yield the newest version of each service that keeps its older one because of a job that failed, and the job's name."""
    jobs = fallen_back(effective, newest, history)
    older = older_versions(effective, newest, history) if jobs else frozenset()
    for job in jobs:
        for service in newest.stack(job.stack).services:
            if service.id in older and _follows(service, {job.name}):
                yield service, job.name


def older_versions(effective: DesiredState, newest: DesiredState, history: History) -> frozenset[str]:
    """Return the ids of the services that do not count as Git's newest revision asks for them."""
    asked = {stack.name: stack for stack in newest.stacks}
    return frozenset(
        one.id
        for stack in effective.stacks
        if stack.services is not asked.get(stack.name, stack).services
        for one, new in _paired(stack, asked[stack.name])
        if one is not new and asks(one, history.key) != asks(new, history.key)
    )


def _paired(stack: Stack, newest: Stack) -> Iterator[tuple[Service, Service]]:
    """Yield each service that both have, beside its newest version."""
    asked = {service.name: service for service in newest.services}
    return ((one, asked[one.name]) for one in stack.services if one.name in asked)


def _stack(stack: Stack, before: Stack | None, desired: DesiredState, history: History) -> Stack:
    if before is None or not history.quarantine:
        return stack
    chosen = tuple(_service(service, before, desired.revision.id, history) for service in stack.services)
    failed = {new.name for new, one in zip(stack.services, chosen, strict=True) if one is not new and new.kind is Kind.JOB}
    services = tuple(_older(one, before) if _follows(one, failed) else one for one in chosen)
    return with_resources(replace(stack, services=services), before)


def _service(service: Service, before: Stack, revision: str, history: History) -> Service:
    """Fall back to the last good version where the newest failed and Git asks for a rollback."""
    if not failure_of(service, revision, history) or service.update.failure_action is not FailureAction.ROLLBACK:
        return service
    return _older(service, before)


def _older(service: Service, before: Stack) -> Service:
    return next((old for old in before.services if old.name == service.name), service)


def _follows(service: Service, jobs: Collection[str]) -> bool:
    """It starts only after one of these jobs. That an older version of the job once ended well does not help it."""
    return any(one.condition is Condition.COMPLETED and one.on in jobs for one in service.depends_on)


def with_resources(stack: Stack, before: Stack) -> Stack:
    """Keep the networks and volumes that a service which fell back to an older version still needs."""
    networks = {attachment.network for service in stack.services for attachment in service.networks}
    volumes = {volume for service in stack.services for volume in service.volumes}
    known = {network.name for network in stack.networks}
    mounted = {volume.name for volume in stack.volumes}
    return replace(
        stack,
        networks=(*stack.networks, *(old for old in before.networks if old.name in networks - known)),
        volumes=(*stack.volumes, *(old for old in before.volumes if old.name in volumes - mounted)),
    )
