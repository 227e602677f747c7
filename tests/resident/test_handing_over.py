"""Does the reconciler replace the container it works in without ever being away, whoever is killed at whichever call?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from crew import Crew
from memory_place import MemoryPlace

from reconciler.drivers.memory import Rule

LONGEST = 30
"""No update of the two services takes more changes."""


def _updating(crew: Crew) -> Crew:
    crew.found()
    crew.push(2)
    return crew


def _audited(crew: Crew) -> None:
    """Nothing forbidden happened, but for the one state directory of the two, which the lease keeps apart."""
    found = [one for one in crew.place.world.audit() if not (one.rule is Rule.DATA and "shop_state" in one.text)]
    assert found == []


def test_a_new_version_takes_over_when_everything_else_is_done(place: MemoryPlace) -> None:
    crew = _updating(Crew(place))
    crew.until(lambda: crew.is_done(2))
    _audited(crew)
    done = [outcome.action for report in crew.told for outcome in report.outcomes if outcome.done]
    assert done[-6:] == [f"shop/self/1/{step}" for step in ("create", "start", "hand-over", "stop", "remove", "rename")]
    assert {"shop/web/1/create", "shop/web/1/start", "shop/web/1/remove"} <= set(done[:-6])


def test_two_updates_follow_one_another(place: MemoryPlace) -> None:
    crew = _updating(Crew(place))
    crew.until(lambda: crew.is_done(2))
    crew.push(3)
    crew.until(lambda: crew.is_done(3))
    crew.rest()
    assert crew.is_done(3)


def test_once_it_is_done_nothing_more_is_done(place: MemoryPlace) -> None:
    crew = _updating(Crew(place))
    crew.until(lambda: crew.is_done(2))
    crew.rest(60)
    before = place.world.mutations
    crew.rest(600)
    assert place.world.mutations == before


FAULTS: dict[str, Callable[[MemoryPlace, int], None]] = {
    "killed before": lambda place, nth: place.world.crash(nth, "before"),
    "killed after": lambda place, nth: place.world.crash(nth, "after"),
    "lost after": lambda place, nth: place.world.fail(nth, "after"),
    "refused": lambda place, nth: place.world.fail(nth, "refuse"),
    "engine restarts": lambda place, nth: place.world.fail(nth, "restart"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_of_them_remains_and_ends_the_update_whichever_change_goes_wrong(fault: str) -> None:
    changes = 1
    for nth in range(1, LONGEST):
        place = MemoryPlace()
        crew = _updating(Crew(place))
        before = place.world.mutations
        FAULTS[fault](place, nth)
        crew.until(lambda crew=crew: crew.is_done(2))  # type: ignore[misc]
        _audited(crew)
        changes = place.world.mutations - before
        if changes < nth:
            break
    assert 8 < changes < LONGEST


@pytest.mark.parametrize("victim", ["shop-self-1", "shop-self-1.next"])
@pytest.mark.parametrize("how", ["dies", "kill", "remove"])
def test_either_may_be_lost_at_any_time(how: str, victim: str) -> None:
    for moment in range(1, 30, 4):
        place = MemoryPlace()
        crew = _updating(Crew(place))
        crew.rest(moment)
        # A person who stops the only reconciler there is has stopped it.
        if victim in place.world.names() and (how == "dies" or len(crew.selves()) == 2):
            getattr(place.world, how)(victim)
        crew.until(lambda crew=crew: crew.is_done(2))  # type: ignore[misc]
        _audited(crew)


def test_a_version_that_ends_at_once_is_remembered_and_the_old_one_goes_on(place: MemoryPlace) -> None:
    _goes_on_as_it_was(Crew(place), lambda: place.world.image("self:2", exits=1))


def test_a_version_that_never_becomes_healthy_is_remembered_and_the_old_one_goes_on(place: MemoryPlace) -> None:
    _goes_on_as_it_was(Crew(place), lambda: place.world.image("self:2", never_healthy=True))


def test_a_version_that_cannot_be_started_is_remembered_and_the_old_one_goes_on(place: MemoryPlace) -> None:
    _goes_on_as_it_was(Crew(place), lambda: place.world.image("self:2", bad_command=True))


def test_a_version_that_seems_well_and_does_nothing_is_remembered_and_the_old_one_goes_on(place: MemoryPlace) -> None:
    _goes_on_as_it_was(Crew(place, idle="self:2"), lambda: None)


def test_a_version_that_ends_when_it_is_to_work_is_remembered_and_the_old_one_goes_on(place: MemoryPlace) -> None:
    _goes_on_as_it_was(Crew(place, doomed="self:2"), lambda: None)


def _goes_on_as_it_was(crew: Crew, break_it: Callable[[], object]) -> None:
    crew.found()
    break_it()
    crew.push(2)
    crew.until(lambda: "shop/self" in crew.place.store.history().quarantine)
    crew.until(lambda: crew.is_done(1, web=2))
    crew.rest(600)
    assert crew.is_done(1, web=2), "the version is not tried again"
    crew.push(3)
    crew.until(lambda: crew.is_done(3))
    _audited(crew)


def test_git_may_go_back_at_any_time(place: MemoryPlace) -> None:
    for moment in range(1, 30, 4):
        place = MemoryPlace()
        crew = _updating(Crew(place))
        crew.rest(moment)
        crew.push(1)
        crew.until(lambda crew=crew: crew.is_done(1))  # type: ignore[misc]
        _audited(crew)
