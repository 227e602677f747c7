"""Which files take a stack or a service back to an older version, and nothing else?

A function of the files of a revision, so that it can be made anew on whatever somebody else has pushed meanwhile. Files
are put back whole: nothing is merged, and what no stack reads is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from reconciler.errors import Conflict, InvalidState, Refused
from reconciler.load.memory import Witness
from reconciler.load.overlay import Overlay
from reconciler.load.override import override_path
from reconciler.model.desired import DesiredState, Stack
from reconciler.model.version import at_version, exactly, part_of, same
from reconciler.ports import Edits, FileKind, Files, NewFile

Read = Callable[[Files], DesiredState]


@dataclass(frozen=True, slots=True)
class Restoration:
    """What is to go back where.

    target  "shop", or "shop/web"
    asked   what Git asked for when a person took it back
    old     the files of the revision to go back to
    """

    target: str
    asked: DesiredState
    old: Files


def restored(files: Files, wanted: Restoration, read: Read) -> Edits:
    """Return the files to put back; {} when Git asks for the older version already.

    Raises Conflict when a commit asks for a third version by now: that is somebody's last word. Raises Refused when no
    whole files lead there without changing something else, too.
    """
    now, before = Witness(files), Witness(wanted.old)
    head, version = read(now), read(before)
    goal = part_of(version, wanted.target)
    if same(part_of(head, wanted.target), goal):
        return {}
    if not same(part_of(head, wanted.target), part_of(wanted.asked, wanted.target)):
        raise Conflict(f"a commit asks for another version of {wanted.target} by now, and it counts")
    paths = sorted(now.answers.identities.keys() | before.answers.identities.keys())
    edits = dict(_differing(files, wanted.old, paths))
    for proposal in _proposals(edits, head, wanted.target):
        if _leads_there(head, _read_or_none(Overlay(files, proposal), read), version, wanted.target):
            return proposal
    message = f"the files of {wanted.target} cannot go back alone: putting them back would change something else, too"
    raise Refused(message, hint="edit them by hand, or push a fix; what runs stays rolled back until then")


def _differing(files: Files, old: Files, paths: Iterable[str]) -> Iterator[tuple[str, NewFile | None]]:
    for path in paths:
        kinds = files.kind(path), old.kind(path)
        if FileKind.FILE not in kinds or files.identity(path) == old.identity(path):
            continue
        yield path, NewFile(old.read(path), old.executable(path)) if kinds[1] is FileKind.FILE else None


def _proposals(edits: Edits, head: DesiredState, target: str) -> Iterator[Edits]:
    """The stack's own files first, then one of them alone, then all that anybody reads: it may share some with others."""
    stack = next(stack for stack in head.stacks if stack.name == target.partition("/")[0])
    below = f"{stack.path}/" if stack.path else ""
    own = {path: new for path, new in edits.items() if path.startswith(below) or path == override_path(stack.name)}
    yield own
    if len(own) > 1:
        yield from ({path: new} for path, new in own.items())
    if own != edits:
        yield edits


def _read_or_none(files: Files, read: Read) -> DesiredState | None:
    try:
        return read(files)
    except InvalidState:
        return None


def _leads_there(head: DesiredState, result: DesiredState | None, version: DesiredState, target: str) -> bool:
    """Say whether the result has the older version of the target, and of everything else exactly what the head has."""
    if result is None or result.environment != head.environment or len(result.stacks) != len(head.stacks):
        return False
    return all(exactly(part_of(result, stack.name), _goal(stack, version, target, result)) for stack in head.stacks)


def _goal(stack: Stack, version: DesiredState, target: str, result: DesiredState) -> Stack:
    """Networks and volumes may go back with a service that needs them so."""
    name, _, service = target.partition("/")
    old, new = part_of(version, target), part_of(result, stack.name)
    if stack.name != name or not isinstance(new, Stack):
        return stack
    if isinstance(old, Stack):
        return at_version(stack, old)
    services = tuple(old if one.name == service and old else one for one in stack.services)
    return replace(stack, services=services, networks=new.networks, volumes=new.volumes)
