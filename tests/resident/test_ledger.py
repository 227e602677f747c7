"""Does the audit log tell of everything that turns do: before it is done, and what came of it?"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from memory_place import MemoryPlace

from reconciler.apply import Applier
from reconciler.audit import lines, verify
from reconciler.drivers.memory import Killed, MemoryRuntime, MemoryStore, World
from reconciler.errors import Unreachable
from reconciler.model.audit import Entry, Kind, Result
from reconciler.model.plan import Change


def entries(place: MemoryPlace) -> list[Entry]:
    assert verify(place.store.trail()).findings == ()
    return [line.entry for line in lines(place.store.trail())]


def outcomes(place: MemoryPlace) -> dict[str, str]:
    return {one.what: one.outcome for one in entries(place) if one.kind is Kind.ACTION}


def test_a_turn_names_what_it_begins_and_says_what_came_of_each(place: MemoryPlace) -> None:
    revision = place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()
    reconciler.turn("new revision")
    begun, *ended = entries(place)
    assert begun.kind is Kind.BEGUN
    assert begun.actions == ("shop/network/default/create", "shop/web/1/create", "shop/web/1/start")
    assert tuple(one.what for one in ended) == begun.actions
    assert {(one.kind, one.outcome) for one in ended} == {(Kind.ACTION, Result.DONE)}
    assert {(one.by, one.revision, one.woke) for one in (begun, *ended)} == {(revision.author, revision.id, "new revision")}
    assert (ended[1].target, ended[1].text, ended[1].reasons) == ("shop/web", "create instance", ("shop-web-1 does not exist",))


def test_a_turn_that_does_nothing_writes_nothing(place: MemoryPlace) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()
    for _ in range(10):
        reconciler.turn()
        place.pass_time(5)
    before = len(entries(place))
    reconciler.turn()
    assert len(entries(place)) == before


def test_what_fails_and_what_is_skipped_because_of_it_is_said(place: MemoryPlace) -> None:
    place.push("web:missing")
    reconciler = place.reconciler()
    reconciler.refresh()
    reconciler.turn()
    told = outcomes(place)
    assert told.pop("shop/network/default/create") == "done"
    assert set(told.values()) <= {"failed", "skipped"}
    assert "failed" in told.values()
    assert all(one.error for one in entries(place) if one.outcome is Result.FAILED)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_process_that_is_killed_has_said_what_it_was_about_to_do(place: MemoryPlace, call: int) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()
    place.world.crash(call)
    with pytest.raises(Killed):
        reconciler.turn()
    (begun,) = entries(place)
    assert begun.actions == ("shop/network/default/create", "shop/web/1/create", "shop/web/1/start")


class SlowRuntime(MemoryRuntime):
    """An engine that begins nothing before it is told to go on."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.go_on = threading.Event()

    def do(self, change: Change) -> None:
        self.go_on.wait(30)
        super().do(change)


class FullStore(MemoryStore):
    """A state directory whose disk has room for the state alone, until somebody makes some."""

    full = True

    def audit(self, entries: Iterable[Entry]) -> None:
        if self.full:
            raise Unreachable("audit log: No space left on device")
        super().audit(entries)


def test_a_log_that_cannot_be_written_is_said_and_keeps_nothing_from_being_done(place: MemoryPlace) -> None:
    place.store = store = FullStore()
    place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()
    report = reconciler.turn()
    assert (report.error, place.running()) == ("audit log: No space left on device", {"shop-web-1": "web:1"})
    place.pass_time(5)
    store.full = False
    assert reconciler.turn().error == ""


def test_what_ends_while_the_process_stops_is_said_too(place: MemoryPlace) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    runtime = SlowRuntime(place.world)
    reconciler.applier = Applier(runtime, place.clock)
    reconciler.refresh()
    reconciler.turn(patience_seconds=0.0)
    assert outcomes(place) == {}
    runtime.go_on.set()
    reconciler.end(10.0)
    assert outcomes(place) == {"shop/network/default/create": "done"}
