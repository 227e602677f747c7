"""In which order is a plan carried out, by many hands at once?"""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.apply import Applier
from reconciler.drivers.clock import SystemClock
from reconciler.errors import Conflict
from reconciler.model.plan import Action, Change, Plan, StopInstance, Target
from reconciler.ports import Runtime

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, frozenset[str]]:
    """Return a plan whose actions need earlier ones, and the names of those that the engine refuses."""
    actions = []
    for number in range(draw(st.integers(1, 40))):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        change = StopInstance(Target(str(number)))
        actions.append(Action(str(number), change, f"group {number % 5}", (), tuple(map(str, sorted(needs)))))
    refused = draw(st.sets(st.sampled_from([action.id for action in actions]), max_size=3))
    return Plan("test", "revision", "subject", NOON, actions=tuple(actions)), frozenset(refused)


@settings(deadline=None)
@given(plans())
def test_every_action_follows_what_it_needs_and_is_skipped_where_that_failed(case: tuple[Plan, frozenset[str]]) -> None:
    plan, refused = case
    made: list[str] = []

    def do(change: Change) -> None:
        assert isinstance(change, StopInstance)
        if change.target.name in refused:
            raise Conflict("it moved")
        made.append(change.target.name)

    applier = Applier(cast(Runtime, SimpleNamespace(do=do)), SystemClock())
    outcomes = {action.id: outcome for action, outcome in applier.apply(plan)}
    applier.stop(0)
    assert not applier.busy
    for action in plan.actions:
        unmet = [need for need in action.needs if not outcomes[need].done]
        assert outcomes[action.id].skipped == bool(unmet)
        assert outcomes[action.id].done == (not unmet and action.id not in refused)
        if outcomes[action.id].done:
            assert all(made.index(need) < made.index(action.id) for need in action.needs)
