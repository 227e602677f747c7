"""Ask the engine once, then whatever the plan needs beyond that: one snapshot with one timestamp."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.observed import ObservedState
from reconciler.plan.questions import ask_registry, questions
from reconciler.ports import Runtime

ROUNDS = 3
"""Questions lead to questions at most this often: images, then contents, then neighbours."""


def observe(
    runtime: Runtime,
    desired: DesiredState,
    history: History,
    previous: DesiredState | None = None,
    *,
    thorough: bool = False,
    ask_registries: bool = True,
) -> ObservedState:
    """Return a snapshot that answers everything a plan will ask. Raises Unreachable when the engine does not answer."""
    adopted = {project for stack in desired.stacks for project in stack.adopt}
    snapshot = runtime.observe(desired.environment.name, sorted(adopted), thorough=thorough)
    if ask_registries and (references := ask_registry(desired, history, snapshot.at)):
        snapshot = replace(snapshot, digests=runtime.digests(references))
    for _ in range(ROUNDS):
        asked = questions(desired, snapshot, history, previous)
        if not asked:
            break
        answers = runtime.answer(asked)
        snapshot = replace(
            snapshot,
            images={**snapshot.images, **answers.images},
            contents={**snapshot.contents, **answers.contents},
            neighbours=snapshot.neighbours if answers.neighbours is None else answers.neighbours,
        )
    return snapshot


def asked_registries(desired: DesiredState, history: History, snapshot: ObservedState) -> Iterable[str]:
    """Return the references whose registry answered in this snapshot."""
    return ask_registry(desired, history, snapshot.at) & snapshot.digests.keys()
