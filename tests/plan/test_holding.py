"""Whatever a commit changes and however much of it is there: what may a window or a suspension let through?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from hypothesis import assume as given_that
from hypothesis import given
from hypothesis import strategies as st
from printed import KEY, NEW, NOW, OLD, desired_state

from reconciler.model.desired import DesiredState
from reconciler.model.history import EVERYTHING, History, Suspension
from reconciler.model.observed import Engine, Instance, ObservedState, Phase
from reconciler.model.plan import CreateInstance, Plan, RemoveInstance, RenameInstance, StopInstance
from reconciler.plan import make_plan
from reconciler.plan.assume import assume
from reconciler.plan.windows import without_windows

OPEN = 'office: {kind: deny, schedule: "0 8 * * *", duration: 10h}'
SETTINGS = f"api: v1\nname: test\nwindows: {{{OPEN}}}\nstacks: {{shop: {{path: shop}}, data: {{path: data}}}}\n"

Version = Mapping[str, tuple[int, int, str]]
"""Service -> version of its image, replicas, memory limit."""

versions = st.dictionaries(
    st.sampled_from(("web", "api", "db")),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from(("", "64m", "96m"))),
    min_size=1,
)


def state(shop: Version, data: Version, revision: str) -> DesiredState:
    files = {"reconciler.yaml": SETTINGS, "shop/compose.yaml": _compose(shop), "data/compose.yaml": _compose(data)}
    return desired_state("", revision, files)


def _compose(version: Version) -> str:
    lines = []
    for name, (image, replicas, memory) in version.items():
        limit = f", mem_limit: {memory}" if memory else ""
        lines.append(f'  {name}: {{image: "{name}:{image}", scale: {replicas}{limit}}}')
    return "\n".join(("services:", *lines)) + "\n"


def seen(*states: DesiredState) -> ObservedState:
    """Return an engine on which the first of the states runs, and that has the images of all."""
    images = {service.image for one in states for stack in one.stacks for service in stack.services}
    observed = assume(states[0], NOW, History(KEY), images)
    return replace(observed, engine=Engine(api="1.41", version="20.10"))


def changes(plan: Plan) -> list[str]:
    """Return what a plan would replace or take away."""
    kinds = (StopInstance, RemoveInstance, RenameInstance)
    made = [one.id for one in plan.actions if isinstance(one.change, CreateInstance) and one.change.name.endswith(".next")]
    return [*made, *(one.id for one in plan.actions if isinstance(one.change, kinds))]


@given(versions, versions, versions, versions)
def test_a_deny_window_lets_no_change_begin(old: Version, new: Version, data: Version, other: Version) -> None:
    before, after = state(old, data, OLD), state(new, other, NEW)
    plan = make_plan(after, seen(before, after), History(KEY, applied=OLD), before)
    assert not changes(plan)
    created = {one.change.service for one in plan.actions if isinstance(one.change, CreateInstance)}
    asked = {service.id: service for stack in before.stacks for service in stack.services}
    more = {
        service.id
        for stack in after.stacks
        for service in stack.services
        if _is_scaled_up(asked.get(service.id), service.replicas)
    }
    assert created == more
    free = make_plan(without_windows(after), seen(before, after), History(KEY, applied=OLD), before)
    assert bool(plan.held) == bool({one.key for one in free.groups} - more or changes(free) or _beyond(free, more))


def _is_scaled_up(before: object, replicas: int) -> bool:
    return before is not None and replicas > before.replicas  # type: ignore[attr-defined]  # a Service


def _beyond(plan: Plan, scaled: set[str]) -> list[str]:
    """Return what a plan does beyond making more replicas of what runs."""
    return [one.id for one in plan.actions if not (one.group in scaled and one.id.rpartition("/")[2] in ("create", "start"))]


@given(versions, versions, st.data())
def test_what_has_begun_goes_on_as_if_there_were_no_window(old: Version, new: Version, data: st.DataObject) -> None:
    """One container of the new version that the old one did not ask for is enough."""
    before, after = state(old, {"db": (1, 1, "")}, OLD), state(new, {"db": (1, 1, "")}, NEW)
    then, now = seen(before, after), seen(after, before)
    known = {one.name: one for one in then.instances}
    fresh = [one for one in now.instances if one.name in known and _image(one) != _image(known[one.name])]
    given_that(fresh)
    begun = data.draw(st.sampled_from(fresh))
    beside = replace(begun, id="n" * 64, name=f"{begun.name}.next", created=NOW - timedelta(minutes=1))
    observed = replace(then, instances=(*then.instances, beside))
    history = History(KEY, applied=OLD)
    plan = make_plan(after, observed, history, before)
    assert not plan.held
    assert plan.actions == make_plan(without_windows(after), observed, history, before).actions


def _image(instance: Instance) -> str:
    return str(instance.detail["Config"]["Image"])


@given(versions, versions, st.sampled_from((EVERYTHING, "shop")), st.sampled_from(tuple(Phase)))
def test_nothing_is_done_to_what_is_suspended(old: Version, new: Version, target: str, phase: Phase) -> None:
    before, after = state(old, old, OLD), without_windows(state(new, new, NEW))
    observed = seen(before, after)
    observed = replace(observed, instances=tuple(replace(one, phase=phase) for one in observed.instances))
    history = History(KEY, applied=OLD, suspended={target: Suspension("", NOW)})
    plan = make_plan(after, observed, history, before)
    touched = {one.group.partition("/")[0] for one in plan.actions}
    assert touched <= (set() if target == EVERYTHING else {"data"})
    over = replace(history, suspended={target: Suspension("", NOW, NOW)})
    assert make_plan(after, observed, over, before) == make_plan(after, observed, History(KEY, applied=OLD), before)
