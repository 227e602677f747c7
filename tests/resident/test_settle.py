"""When does a one-time apply end, and what does it say then?"""

from __future__ import annotations

import pytest
from memory_place import MemoryPlace

from reconciler.errors import InvalidState, Refused, Unreachable
from reconciler.model.status import Report
from reconciler.settle import NO_PROGRESS_SECONDS, is_settled, settle, verdict


def _apply(place: MemoryPlace, timeout_seconds: float = float("inf")) -> tuple[Report, float]:
    """Apply what is in Git as a process of its own; return the last turn and how many seconds it took."""
    reconciler, claim, began = place.reconciler(), place.claim("ada"), place.clock.monotonic()
    reconciler.refresh()
    try:
        report = settle(reconciler, claim, lambda report: None, place.pass_time, timeout_seconds)
    finally:
        claim.release()
    return report, place.clock.monotonic() - began


def test_it_ends_when_everything_is_as_git_asks_and_well(place: MemoryPlace) -> None:
    revision = place.push("web:1")
    report, seconds = _apply(place)
    assert (is_settled(report), verdict(report)) == (True, ())
    assert report.applied == revision.id
    assert place.running() == {"shop-web-1": "web:1"}
    assert 3 <= seconds <= 6, "the image needs three seconds to be healthy"


def test_applying_again_changes_nothing_and_ends_at_once(place: MemoryPlace) -> None:
    place.push("web:1")
    _apply(place)
    events = len(place.world.events)
    report, seconds = _apply(place)
    assert verdict(report) == ()
    assert seconds == 0
    assert [event for event in place.world.events[events:] if event.kind == "container"] == []


def test_a_version_that_never_gets_healthy_ends_it_with_the_old_one_back(place: MemoryPlace) -> None:
    place.push("web:1")
    _apply(place)
    place.push("web:sick")
    report, seconds = _apply(place)
    assert verdict(report) == ("[R130] shop/web: this spec failed: shop-web-1.next is unhealthy",)
    assert place.running() == {"shop-web-1": "web:1"}
    assert seconds < 60


def test_an_image_that_is_nowhere_ends_it_after_a_few_tries(place: MemoryPlace) -> None:
    place.push("web:missing")
    report, seconds = _apply(place)
    assert any("web:missing" in line for line in verdict(report))
    assert seconds < NO_PROGRESS_SECONDS / 5


def test_what_only_a_person_can_move_ends_it_soon(place: MemoryPlace) -> None:
    place.world.image("migrate:1", exits=3, after=1)
    place.push_files(
        {
            "compose.yaml": "services:\n"
            "  migrate: {image: 'migrate:1', restart: 'no'}\n"
            "  web: {image: 'web:1', depends_on: {migrate: {condition: service_completed_successfully}}}\n"
        }
    )
    report, seconds = _apply(place)
    assert "[R130] shop/migrate: this job failed: shop-migrate-1 exited with code 3" in verdict(report)
    assert seconds < 60


def test_what_moves_no_more_ends_it_after_a_quarter_of_an_hour(place: MemoryPlace) -> None:
    place.world.image("db:1", never_healthy=True)
    place.push_files(
        {
            "compose.yaml": "services:\n"
            "  db: {image: 'db:1', healthcheck: {test: [CMD, check], interval: 1h, start_period: 2h}}\n"
            "  web: {image: 'web:1', depends_on: {db: {condition: service_healthy}}}\n"
        }
    )
    report, seconds = _apply(place)
    assert NO_PROGRESS_SECONDS <= seconds < NO_PROGRESS_SECONDS + 60
    assert "shop/web has still to start shop-web-1, once db is healthy" in verdict(report)


def test_a_timeout_ends_it_earlier(place: MemoryPlace) -> None:
    place.push("web:1")
    report, seconds = _apply(place, timeout_seconds=2)
    assert verdict(report) != ()
    assert 2 <= seconds < 4.5


def test_an_engine_that_restarts_meanwhile_is_waited_for(place: MemoryPlace) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        {1: place.world.engine_down, 4: place.world.engine_up}.get(len(waits), lambda: None)()
        place.pass_time(seconds)

    told: list[Report] = []
    report = settle(reconciler, place.claim("ada"), told.append, wait)
    assert verdict(report) == ()
    assert any("the engine" in one.error for one in told)


def test_an_engine_that_is_away_from_the_start_is_said_at_once(place: MemoryPlace) -> None:
    place.push("web:1")
    place.world.engine_down()
    with pytest.raises(Unreachable):
        _apply(place)
    assert place.clock.monotonic() == 0


def test_an_engine_that_stays_away_ends_it(place: MemoryPlace) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()

    def wait(seconds: float) -> None:
        place.world.engine_down()
        place.pass_time(seconds)

    report = settle(reconciler, place.claim("ada"), lambda report: None, wait)
    assert verdict(report) == (report.error,)
    assert report.plan is None
    assert place.clock.monotonic() < 60


def test_somebody_elses_lease_is_refused_with_the_holders_name(place: MemoryPlace) -> None:
    place.push("web:1")
    place.claim("host-7:4711:resident").take("shop")
    with pytest.raises(Refused, match=r"^host-7:4711:resident holds the lease of shop until 00:01:00 UTC$"):
        _apply(place)
    assert place.running() == {}


def test_the_lease_is_free_again_afterwards(place: MemoryPlace) -> None:
    place.push("web:1")
    _apply(place)
    assert place.claim("bob").held_by_other("shop") is None


def test_a_lease_that_is_lost_in_between_stops_it(place: MemoryPlace) -> None:
    place.push("web:1")
    reconciler = place.reconciler()
    reconciler.refresh()

    def wait(seconds: float) -> None:
        place.clock.advance(120)  # Longer than the lease lasts, as on a machine that slept.
        place.claim("bob").take("shop")

    with pytest.raises(Refused, match=r"^bob holds the lease"):
        settle(reconciler, place.claim("ada"), lambda report: None, wait)


def test_a_repository_that_was_never_valid_is_said(place: MemoryPlace) -> None:
    place.push_files({"compose.yaml": "services: {web: {imagee: x}}\n"})
    with pytest.raises(InvalidState):
        _apply(place)
