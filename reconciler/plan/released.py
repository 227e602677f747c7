"""Which version of a stack counts while its newest waits for `apply STACK` (sync: manual)?

The one that was released last, or, where none was, the one that counted when a revision was last applied whole. The rest
of the environment goes on meanwhile: its revisions count as applied though a stack waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.model.desired import DesiredState, Stack, SyncMode
from reconciler.model.history import History
from reconciler.model.version import part_of


def with_released(
    previous: DesiredState, desired: DesiredState, history: History, versions: Mapping[str, DesiredState]
) -> DesiredState:
    """Return the last good revision, each stack in the version that counts before the newest revision, `desired`.

    A stack is left out where it never counted, or where its version is not among `versions`: nothing can fall back to it.
    """
    if not (history.manual or history.behind):
        return previous
    known = {**versions, previous.revision.id: previous}
    return replace(previous, stacks=tuple(_stacks(previous, desired, history, known)))


def _stacks(
    previous: DesiredState, desired: DesiredState, history: History, versions: Mapping[str, DesiredState]
) -> Iterator[Stack]:
    manual = {stack.name for stack in desired.stacks if stack.sync is SyncMode.MANUAL}
    for stack in previous.stacks:
        released = history.manual.get(stack.name) if stack.name in manual else None
        if released in (None, desired.revision.id):
            # What is released just now has not come in yet: the version before it is the one to fall back to.
            released = history.behind.get(stack.name, previous.revision.id)
        version = versions.get(released)
        found = part_of(version, stack.name) if version else None
        if isinstance(found, Stack):
            yield found
