"""What does a turn do while nothing can be kept of it, because the disk of the state directory is full?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from memory_place import MemoryPlace

from reconciler.drivers.memory import MemoryStore
from reconciler.errors import Unreachable
from reconciler.loop import Reconciler
from reconciler.model.audit import Entry
from reconciler.model.history import History
from reconciler.model.status import Operation, Report, Turn
from reconciler.resident import Pulse

FULL = "state database: disk is full"


class SmallStore(MemoryStore):
    """A state directory whose disk may be full; `readable` says whether what stands there can be read then."""

    full = readable = False

    def history(self) -> History:
        self._require_room(reading=True)
        return super().history()

    def change(self, edit: Callable[[History], History]) -> History:
        self._require_room()
        return super().change(edit)

    def record(self, turn: Turn) -> None:
        self._require_room()
        super().record(turn)

    def audit(self, entries: Iterable[Entry]) -> None:
        self._require_room()
        super().audit(entries)

    def _require_room(self, *, reading: bool = False) -> None:
        if self.full and not (reading and self.readable):
            raise Unreachable(FULL)


@pytest.fixture
def disk(place: MemoryPlace) -> SmallStore:
    place.store = store = SmallStore()
    return store


@pytest.fixture
def reconciler(place: MemoryPlace, disk: SmallStore) -> Reconciler:
    """A reconciler that has brought web:1."""
    place.push("web:1")
    reconciler = place.reconciler()
    turns(place, reconciler, 10)
    assert place.running() == {"shop-web-1": "web:1"}
    return reconciler


def turns(place: MemoryPlace, reconciler: Reconciler, count: int) -> list[Report]:
    reports = []
    for _ in range(count):
        reconciler.refresh()
        reports.append(reconciler.turn())
        place.pass_time(1)
    return reports


@pytest.mark.parametrize("readable", [False, True])
def test_what_drifted_is_healed_and_it_is_said_that_nothing_can_be_kept(
    place: MemoryPlace, disk: SmallStore, reconciler: Reconciler, readable: bool
) -> None:
    disk.full, disk.readable = True, readable
    place.world.remove("shop-web-1")
    for report in turns(place, reconciler, 5):
        assert (report.error, report.operation) == (FULL, Operation.ERROR)
    assert place.running() == {"shop-web-1": "web:1"}
    assert not Pulse(report=report).ready


def test_a_new_version_waits_until_there_is_room(place: MemoryPlace, disk: SmallStore, reconciler: Reconciler) -> None:
    disk.full = True
    turns(place, reconciler, 1)
    revision = place.push("web:2")
    assert turns(place, reconciler, 10)[-1].applied != revision.id
    assert place.running() == {"shop-web-1": "web:1"}
    disk.full = False
    last = turns(place, reconciler, 15)[-1]
    assert (last.applied, last.error, place.running()) == (revision.id, "", {"shop-web-1": "web:2"})


def test_healing_is_repeated_ever_more_slowly_without_a_disk_too(
    place: MemoryPlace, disk: SmallStore, reconciler: Reconciler
) -> None:
    disk.full = True
    made = 0
    for _ in range(100):
        if "shop-web-1" in place.running():
            place.world.remove("shop-web-1")
        made += sum(one.done for report in turns(place, reconciler, 1) for one in report.outcomes)
    assert 2 <= made <= 12, "two actions each, at 0, 2, 8, 26 and 80 seconds"


def test_who_knows_nothing_does_nothing(place: MemoryPlace, disk: SmallStore, reconciler: Reconciler) -> None:
    disk.full = True
    place.world.remove("shop-web-1")
    for report in turns(place, place.reconciler(), 5):
        assert (report.plan, FULL in report.error) == (None, True)
    assert place.running() == {}


@pytest.mark.parametrize(
    ("more", "heals"), [("", True), ("post_start: [{command: [warm-up]}]", False), ("pre_stop: [{command: [drain]}]", True)]
)
def test_what_runs_a_hook_is_not_healed_without_a_note_of_it(
    place: MemoryPlace, disk: SmallStore, more: str, heals: bool
) -> None:
    place.push_files({"compose.yaml": f"services: {{web: {{image: 'web:1', {more}}}}}\n"})
    reconciler = place.reconciler()
    turns(place, reconciler, 10)
    disk.full = True
    place.world.remove("shop-web-1")
    turns(place, reconciler, 3)
    assert ("shop-web-1" in place.running()) == heals
    disk.full = False
    turns(place, reconciler, 3)
    assert "shop-web-1" in place.running()
