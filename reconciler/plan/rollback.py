"""Which stacks and services run an older version than Git asks for, because a person took the newer one back?

A rollback stands as long as Git asks for the version that was taken back. A commit that asks for another one ends it.
The commit that reverts it makes it land: from then on it only says which version was the last good one, until that is
applied. For the older version counts as the last good one all the while, so that neither a window, nor `sync: manual`,
nor a failure brings the newer one in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.model.desired import DesiredState, Stack
from reconciler.model.history import History, Rollback
from reconciler.model.plan import Held
from reconciler.model.version import at_version, part_of, same
from reconciler.plan.effective import with_resources
from reconciler.plan.released import with_released

News = tuple[Rollback, Rollback | None]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What counts once the rollbacks are obeyed.

    history  with the rollbacks that stand
    news     target -> the rollback as it was known, and what Git made of it: None when it is over
    unread   ids of services whose older version has not been read: nothing can be done to them yet
    """

    desired: DesiredState
    previous: DesiredState | None
    history: History
    news: Mapping[str, News] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()


def take_back(
    desired: DesiredState, previous: DesiredState | None, history: History, versions: Mapping[str, DesiredState]
) -> TakenBack:
    """Obey the rollbacks and the releases of the history. `versions` are the revisions that it names, as far as they could be
    read, by id. `previous` is the last revision applied whole.
    """
    previous = with_released(previous, desired, history, versions) if previous else None
    if not history.rollbacks:
        return TakenBack(desired, previous, history)
    became = {
        target: (one, _becomes(one, target, desired, previous, versions)) for target, one in sorted(history.rollbacks.items())
    }
    kept = {target: one for target, (_, one) in became.items() if one is not None}
    known = {target: versions[one.to] for target, one in kept.items() if one.to in versions}
    unread = (id for target in kept.keys() - known.keys() for id in _services(desired, target))
    return TakenBack(
        desired=_with(desired, known),
        previous=_with(previous, known) if previous else None,
        history=replace(history, rollbacks={target: one for target, one in kept.items() if not one.landed}),
        news={target: news for target, news in became.items() if news[0] != news[1]},
        unread=frozenset(unread),
    )


def note(history: History, news: Mapping[str, News]) -> History:
    """Return the history with what Git made of rollbacks, where nobody has said anything else since."""
    rollbacks = {
        target: news[target][1] if target in news and news[target][0] == one else one
        for target, one in history.rollbacks.items()
    }
    return replace(history, rollbacks={target: one for target, one in rollbacks.items() if one is not None})


def held(history: History) -> tuple[Held, ...]:
    """Say what the rollbacks keep from being done."""
    return tuple(_held(target, one) for target, one in sorted(history.rollbacks.items()))


def why(rollback: Rollback) -> str:
    """Return what a rollback goes back to, the reason that was given, and what became of its commit."""
    reason = f": {rollback.reason}" if rollback.reason else ""
    written = f"; {rollback.written}" if rollback.written else ""
    return f"rolled back to {rollback.to[:7]}{reason}{written}"


def _held(target: str, rollback: Rollback) -> Held:
    names = ", ".join(id.partition("/")[2] for id in rollback.services)
    what = f"version {rollback.origin[:7]} of {names or 'its networks or volumes'}"
    ends = f"until a commit asks for another version, or `reconciler retry {target}`"
    return Held(target, why(rollback), what, services=frozenset(rollback.services), ends=ends)


def _becomes(
    one: Rollback, target: str, desired: DesiredState, previous: DesiredState | None, versions: Mapping[str, DesiredState]
) -> Rollback | None:
    """Return the rollback after what Git asks for now: as it was, landed, or None when it is over.

    What cannot be compared stands: nothing rolls forward because somebody could not be asked.
    """
    asked, older = part_of(desired, target), versions.get(one.to)
    if asked is None:
        return None
    if older is not None and same(asked, part_of(older, target)):
        applied = previous is not None and same(asked, part_of(previous, target))
        return None if applied else replace(one, origin="")
    newer = versions.get(one.origin)
    if one.landed or (newer is not None and not same(asked, part_of(newer, target))):
        return None
    return one


def _services(desired: DesiredState, target: str) -> Iterable[str]:
    ids = (service.id for stack in desired.stacks for service in stack.services)
    return (id for id in ids if target in (id, id.partition("/")[0]))


def _with(desired: DesiredState, versions: Mapping[str, DesiredState]) -> DesiredState:
    """Put the older versions in; a service of a stack that went back as a whole goes where it is said to go."""
    stacks = {stack.name: stack for stack in desired.stacks}
    for target, version in versions.items():
        name, _, service = target.partition("/")
        old = next((stack for stack in version.stacks if stack.name == name), None)
        if old is not None and name in stacks:
            stacks[name] = _service_of(stacks[name], old, service) if service else at_version(stacks[name], old)
    return replace(desired, stacks=tuple(stacks.values()))


def _service_of(stack: Stack, old: Stack, name: str) -> Stack:
    versions = {service.name: service for service in old.services if service.name == name}
    services = tuple(versions.get(service.name, service) for service in stack.services)
    return with_resources(replace(stack, services=services), old)
