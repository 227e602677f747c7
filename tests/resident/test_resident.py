"""Does a resident do what it must when others are at work, when neighbours are silent, and when it is told to end?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import pytest
from memory_place import ENVIRONMENT, MemoryPlace

from reconciler.drivers.memory import MemoryRuntime
from reconciler.errors import Unreachable
from reconciler.model.observed import ObservedState
from reconciler.model.source import Revision
from reconciler.model.status import Health, Operation, Report
from reconciler.ports import Depth, Event, Lease
from reconciler.resident import Resident
from reconciler.wake import Bell, listen

DEADLINE_SECONDS = 20.0
MOST_TURNS = 200


class Staff:
    """A resident, and what it told."""

    def __init__(self, place: MemoryPlace, holder: str = "us") -> None:
        self.told: list[Report] = []
        self.yielded: list[Lease] = []
        self.resident = Resident(place.reconciler(), self.told.append, holder, self.yielded.append)

    def turn(self, *woke: str) -> float:
        self.resident.reconciler.refresh()
        return self.resident.turn(woke)


@pytest.fixture
def staff(place: MemoryPlace) -> Staff:
    return Staff(place)


def _until(met: Callable[[], object], turn: Callable[[], float], place: MemoryPlace) -> float:
    """Take turns as they fall due until something holds; return how many seconds that took."""
    began = place.clock.monotonic()
    for _ in range(MOST_TURNS):
        if met():
            return place.clock.monotonic() - began
        place.pass_time(turn())
    pytest.fail(f"not met after {MOST_TURNS} turns")


def _settled(place: MemoryPlace, staff: Staff) -> None:
    """Turn until what Git asks for is applied."""
    wanted = place.repository.fetch().id
    _until(lambda: staff.told and staff.told[-1].applied == wanted, lambda: staff.turn("test"), place)


# --- turns -----------------------------------------------------------------------------------------------------------


def test_nothing_is_done_as_long_as_somebody_else_has_the_lease(place: MemoryPlace, staff: Staff) -> None:
    place.push("web:1")
    place.claim("other").take(ENVIRONMENT)
    for _ in range(3):
        staff.turn("test")
    assert (staff.told, place.running()) == ([], {})
    assert [lease.holder for lease in staff.yielded] == ["other"], "it is said once"
    assert staff.resident.pulse.waiting_for == staff.yielded[0]


def test_a_lease_that_nobody_renews_is_taken_over(place: MemoryPlace, staff: Staff) -> None:
    place.push("web:1")
    place.claim("other").take(ENVIRONMENT)
    assert _until(lambda: staff.told, staff.turn, place) <= 90
    assert staff.resident.pulse.waiting_for is None


def test_a_holder_keeps_its_lease_between_turns(place: MemoryPlace, staff: Staff) -> None:
    place.push_files({"reconciler.yaml": "api: v1\nname: shop\ninterval: 1h\nstacks: {web: {path: web}}\n"})
    place.push_files({"web/compose.yaml": "services: {web: {image: 'web:1'}}\n"})
    _settled(place, staff)
    for _ in range(20):
        place.pass_time(staff.resident.turn(()))
        assert place.claim("other").held_by_other(ENVIRONMENT) is not None


def test_who_gets_the_lease_back_looks_at_everything_soon(place: MemoryPlace, staff: Staff) -> None:
    place.push_files({"reconciler.yaml": "api: v1\nname: shop\ninterval: 1h\nstacks: {web: {path: web}}\n"})
    place.push_files({"web/compose.yaml": "services: {web: {image: 'web:1'}}\n"})
    _settled(place, staff)
    place.runtime.release_lease(ENVIRONMENT, "us")
    place.claim("other").take(ENVIRONMENT)
    place.pass_time(staff.resident.turn(()))
    before = len(staff.told)
    assert staff.resident.pulse.waiting_for is not None
    place.runtime.release_lease(ENVIRONMENT, "other")
    assert _until(lambda: len(staff.told) > before, lambda: staff.resident.turn(()), place) <= 60


def test_what_no_event_tells_is_seen_within_ten_minutes_however_seldom_git_is_asked(place: MemoryPlace, staff: Staff) -> None:
    place.push_files({"reconciler.yaml": "api: v1\nname: shop\ninterval: 24h\nstacks: {web: {path: web}}\n"})
    place.push_files({"web/compose.yaml": "services: {web: {image: 'web:1'}}\n"})
    _settled(place, staff)
    place.world.remove("web-web-1")
    assert _until(place.running, lambda: staff.resident.turn(()), place) <= 601


class DepthsRuntime(MemoryRuntime):
    """An engine that notes how much it was asked for."""

    def __init__(self, place: MemoryPlace) -> None:
        super().__init__(place.world)
        self.depths: list[Depth] = []

    def observe(self, environment: str, adopted: Iterable[str] = (), *, depth: Depth = Depth.LISTED) -> ObservedState:
        self.depths.append(depth)
        return super().observe(environment, adopted, depth=depth)


def test_between_two_lists_only_what_was_heard_is_asked_for_and_a_list_is_never_late(place: MemoryPlace) -> None:
    place.push_files({"reconciler.yaml": "api: v1\nname: shop\ninterval: 30s\nstacks: {web: {path: web}}\n"})
    place.push_files({"web/compose.yaml": "services: {web: {image: 'web:1'}}\n"})
    place.runtime = runtime = DepthsRuntime(place)
    staff = Staff(place)
    _settled(place, staff)
    runtime.depths.clear()
    listed = place.clock.monotonic()
    for number in range(30):
        place.pass_time(min(7.0, staff.resident.turn((f"die {number}",))))
        if runtime.depths[-1] is not Depth.HEARD:
            listed = place.clock.monotonic()
        assert place.clock.monotonic() - listed <= 30
    assert Depth.LISTED in runtime.depths
    assert runtime.depths.count(Depth.HEARD) > runtime.depths.count(Depth.LISTED)


def test_healing_goes_on_while_the_remote_is_down(place: MemoryPlace, staff: Staff) -> None:
    place.push("web:1")
    _settled(place, staff)
    place.repository.up = False
    place.world.kill("shop-web-1")
    staff.turn("test")
    _until(lambda: staff.told[-1].stacks[0].health is Health.HEALTHY, lambda: staff.turn("test"), place)
    assert place.running() == {"shop-web-1": "web:1"}
    assert staff.told[-1].error == "the Git remote does not answer"


def test_a_wrong_commit_is_said_while_the_good_one_goes_on(place: MemoryPlace, staff: Staff) -> None:
    place.push("web:1")
    _settled(place, staff)
    place.push_files({"compose.yaml": "services: {web: {imagee: 'web:2'}}\n"})
    staff.turn("test")
    assert 'unknown key "imagee"' in staff.told[-1].error
    assert staff.told[-1].operation is Operation.SUCCEEDED
    assert place.running() == {"shop-web-1": "web:1"}


def test_a_silent_engine_is_no_reason_to_end(place: MemoryPlace, staff: Staff) -> None:
    place.push("web:1")
    place.world.engine_down()
    staff.turn("test")
    assert (staff.told[-1].operation, staff.resident.pulse.ready) == (Operation.ERROR, False)
    place.world.engine_up()
    _settled(place, staff)
    assert staff.resident.pulse.ready


def test_one_turn_gives_the_lease_back(place: MemoryPlace, staff: Staff) -> None:
    place.push("web:1")
    report = staff.resident.once()
    assert report is not None
    assert [one.action for one in report.outcomes] == ["shop/network/default/create", "shop/web/1/create", "shop/web/1/start"]
    assert place.claim("other").held_by_other(ENVIRONMENT) is None


def test_one_turn_is_none_where_somebody_else_has_the_lease(place: MemoryPlace, staff: Staff) -> None:
    place.push("web:1")
    place.claim("other").take(ENVIRONMENT)
    assert staff.resident.once() is None


# --- what wakes it ---------------------------------------------------------------------------------------------------


def test_rings_that_come_close_together_are_one_wake_up_with_each_word_once() -> None:
    bell = Bell()
    for word in ("die web", "start web", "die web"):
        bell.ring(word)
    assert bell.wait(0) == ("die web", "start web")
    assert bell.wait(0) == ()


class BreakingRuntime(MemoryRuntime):
    """An engine whose stream of events breaks after the first."""

    def events(self, stop: threading.Event) -> Iterator[Event]:
        yield Event("container", "die", "1", "web", self.world.clock.now(), {})
        raise Unreachable("the stream ended")


def test_a_broken_stream_of_events_wakes_it_and_has_it_look_at_everything(place: MemoryPlace) -> None:
    bell, stop, missed = Bell(), threading.Event(), []

    def note() -> None:
        missed.append("missed")
        stop.set()

    listen(BreakingRuntime(place.world), bell, stop, note)
    assert missed == ["missed"]
    assert bell.wait(0) == ("die web", "event stream lost")


# --- a whole life ----------------------------------------------------------------------------------------------------


class Life:
    """A resident in a thread of its own; the test waits for what it tells."""

    def __init__(self, place: MemoryPlace) -> None:
        self.place = place
        self.staff = Staff(place)
        self.staff.resident.tell = self._note
        self.bug: Exception | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> Life:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.staff.resident.end()
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()

    def until(self, met: Callable[[], bool]) -> None:
        """Wait until something holds after a turn."""
        with self._news:
            assert self._news.wait_for(met, DEADLINE_SECONDS), self.staff.told

    def _note(self, report: Report) -> None:
        with self._news:
            self.staff.told.append(report)
            self.place.clock.advance(1)
            self._news.notify_all()

    def _live(self) -> None:
        try:
            self.staff.resident.run()
        except Exception as bug:  # noqa: BLE001 - the test looks at it
            self.bug = bug
            with self._news:
                self._news.notify_all()


def test_it_applies_heals_and_ends_when_told_to(place: MemoryPlace) -> None:
    place.push_files({"reconciler.yaml": "api: v1\nname: shop\ninterval: 1s\nstacks: {web: {path: web}}\n"})
    place.push_files({"web/compose.yaml": "services: {web: {image: 'web:1', restart: always}}\n"})
    with Life(place) as life:
        life.until(lambda: bool(life.staff.told and life.staff.told[-1].applied))
        place.world.remove("web-web-1")
        life.until(lambda: place.running() == {"web-web-1": "web:1"})
    assert place.claim("other").held_by_other(ENVIRONMENT) is None


def test_a_bug_beside_the_loop_ends_it_loudly_and_gives_the_lease_back(place: MemoryPlace) -> None:
    place.push("web:1")
    life = Life(place)
    reconciler = life.staff.resident.reconciler
    reconciler.refresh()

    class Mad:
        def __getattr__(self, name: str) -> object:
            raise ZeroDivisionError(name)

    reconciler.world = reconciler.world.__class__(
        Mad(),  # type: ignore[arg-type]  # a source with a bug in every method
        reconciler.world.load,
        reconciler.world.runtime,
        reconciler.world.store,
        reconciler.world.clock,
    )
    with life:
        life.until(lambda: life.bug is not None)
    assert isinstance(life.bug, ZeroDivisionError)
    assert place.claim("other").held_by_other(ENVIRONMENT) is None


def test_it_waits_for_the_first_fetch_without_a_turn(place: MemoryPlace, staff: Staff) -> None:
    assert staff.resident.turn(("start",)) > 0
    assert staff.told == []


def test_a_remote_that_never_answered_is_said_and_tried_again(place: MemoryPlace, staff: Staff) -> None:
    place.repository.up = False
    staff.turn("start")
    assert [report.error for report in staff.told] == ["the Git remote does not answer"]
    place.repository.up = True
    revision: Revision = place.push("web:1")
    _settled(place, staff)
    assert staff.told[-1].applied == revision.id
