"""What does the catalogue know, when does its index grow, and whom does it wake?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from shelf import filled, publish, web

from reconciler.drivers.catalog import MOST_REGISTRATIONS, MemoryCatalog
from reconciler.drivers.clock import VirtualClock
from reconciler.errors import Refused, Unreachable
from reconciler.model.catalog import Entry, Standing

APP = Entry("app", "app-1", "10.0.0.9", 9000)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def catalog(clock: VirtualClock) -> MemoryCatalog:
    catalog = MemoryCatalog(clock, "host-1", "192.0.2.10")
    catalog.publish((web(1), web(2)), 0.0)
    return catalog


def standings(catalog: MemoryCatalog) -> dict[str, str]:
    return {entry.id: entry.standing.value for entry in catalog.listing().entries}


def test_before_the_first_look_it_knows_nothing_and_says_so(clock: VirtualClock) -> None:
    catalog = MemoryCatalog(clock, "host-1")
    with pytest.raises(Unreachable, match="not been looked at"):
        catalog.listing()
    catalog.publish((), 0.0)
    assert catalog.listing().entries == ()


def test_the_index_begins_at_the_time_in_milliseconds(catalog: MemoryCatalog, clock: VirtualClock) -> None:
    assert catalog.listing().index == int(clock.now().timestamp() * 1000)


def test_the_index_grows_with_every_change_and_only_then(catalog: MemoryCatalog) -> None:
    first = catalog.listing().index
    catalog.publish((web(1), web(2)), 1.0)
    assert catalog.listing().index == first
    catalog.publish((web(1),), 2.0)
    assert catalog.listing().index == first + 1


def test_the_index_never_goes_backwards_though_the_clock_does(catalog: MemoryCatalog, clock: VirtualClock) -> None:
    first = catalog.listing().index
    clock.jump(-86400)
    catalog.publish((), 1.0)
    assert catalog.listing().index > first


def test_an_entry_remembers_when_it_came_and_changed(catalog: MemoryCatalog) -> None:
    first = catalog.listing().index
    catalog.publish((web(1, Standing.CRITICAL), web(2)), 1.0)
    listing = catalog.listing()
    assert {entry.id: listing.changed_at(entry) for entry in listing.entries} == {
        "web-1": (first, listing.index),
        "web-2": (first, first),
    }


def test_an_entry_without_an_address_gets_that_of_the_machine(catalog: MemoryCatalog) -> None:
    catalog.publish((web(1, address=""),), 1.0)
    assert [entry.address for entry in catalog.listing().entries] == ["192.0.2.10"]


def test_its_age_is_that_of_the_last_look(catalog: MemoryCatalog, clock: VirtualClock) -> None:
    clock.advance(7)
    assert catalog.listing().age_seconds == 7
    catalog.publish((), clock.monotonic())
    assert catalog.listing().age_seconds == 0


def test_a_container_that_leaves_is_critical_until_a_later_look(catalog: MemoryCatalog, clock: VirtualClock) -> None:
    clock.advance(5)
    catalog.leave(web(1).instance)
    assert standings(catalog) == {"web-1": "critical", "web-2": "passing"}
    catalog.publish((web(1), web(2)), looked_at=4.0)  # this look began before the container died
    assert standings(catalog)["web-1"] == "critical"
    catalog.publish((web(1), web(2)), looked_at=6.0)
    assert standings(catalog)["web-1"] == "passing"


def test_a_container_that_died_before_anybody_was_told_of_it_is_never_passing(
    catalog: MemoryCatalog, clock: VirtualClock
) -> None:
    clock.advance(5)
    catalog.leave(web(3).instance)
    catalog.publish((web(1), web(3)), looked_at=4.0)
    assert standings(catalog) == {"web-1": "passing", "web-3": "critical"}


def test_somebody_elses_container_changes_nothing(catalog: MemoryCatalog) -> None:
    first = catalog.listing().index
    catalog.leave("f" * 64)
    assert catalog.listing().index == first


# --- programs that register themselves -------------------------------------------------------------------------------


def test_a_registration_is_critical_once_it_is_overdue_and_gone_later(catalog: MemoryCatalog, clock: VirtualClock) -> None:
    catalog.register(replace(APP, standing=Standing.CRITICAL), ttl_seconds=10, forget_seconds=60)
    catalog.tell("app-1", Standing.PASSING, "well")
    clock.advance(9)
    assert standings(catalog)["app-1"] == "passing"
    before = catalog.listing().index
    clock.advance(1)
    assert standings(catalog)["app-1"] == "critical"
    assert catalog.listing().index > before
    clock.advance(60)
    assert "app-1" not in standings(catalog)


def test_whoever_speaks_in_time_stays(catalog: MemoryCatalog, clock: VirtualClock) -> None:
    catalog.register(APP, ttl_seconds=10)
    for _ in range(5):
        clock.advance(9)
        catalog.tell("app-1", Standing.PASSING)
    assert standings(catalog)["app-1"] == "passing"


def test_a_look_at_what_runs_leaves_registrations_alone(catalog: MemoryCatalog) -> None:
    catalog.register(APP, ttl_seconds=10)
    catalog.publish((), 1.0)
    assert list(standings(catalog)) == ["app-1"]


@pytest.mark.parametrize(
    "refused",
    [
        lambda catalog: catalog.register(web(1), 10),
        lambda catalog: catalog.tell("web-1", Standing.PASSING),
        lambda catalog: catalog.deregister("web-1"),
        lambda catalog: catalog.deregister("nobody"),
    ],
)
def test_entries_of_ours_and_unknown_ones_are_not_to_be_touched(
    catalog: MemoryCatalog, refused: Callable[[MemoryCatalog], None]
) -> None:
    before = catalog.listing()
    with pytest.raises(Refused):
        refused(catalog)
    assert catalog.listing() == before


def test_registrations_are_bounded(catalog: MemoryCatalog) -> None:
    for number in range(MOST_REGISTRATIONS):
        catalog.register(replace(APP, id=f"app-{number}"), 10)
    with pytest.raises(Refused, match="1000 registrations already"):
        catalog.register(replace(APP, id="one-more"), 10)
    catalog.register(replace(APP, id="app-0", port=9001), 10)


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_who_waits_hears_of_a_change_at_once() -> None:
    catalog = filled(web(1))
    index, heard = catalog.listing().index, list[int]()
    waiting = threading.Thread(target=lambda: heard.append(catalog.wait(index, 30).index))
    waiting.start()
    publish(catalog, web(1), web(2))
    waiting.join(10)
    assert heard == [catalog.listing().index]
    assert heard[0] > index


def test_who_waits_hears_that_a_registration_is_overdue() -> None:
    catalog = filled()
    catalog.register(APP, ttl_seconds=0.05)
    assert [entry.standing for entry in catalog.wait(catalog.listing().index, 30).entries] == [Standing.CRITICAL]


def test_waiting_ends_when_its_time_is_over() -> None:
    catalog = filled(web(1))
    before = catalog.listing()
    assert catalog.wait(before.index, 0.01).index == before.index
