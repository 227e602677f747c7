"""Who gets the lease of somebody that is gone, and who must wait for it?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from memory_place import ENVIRONMENT, MemoryPlace

from reconciler.audit import lines
from reconciler.claim import LEASE_SECONDS, has_ended, holder_name
from reconciler.errors import Refused
from reconciler.model.audit import Kind

STARTS = (("aa", 5, "c"), ("bb", 7, "c"), ("cc", 9, "d"))
"""As which process of which container somebody works: one of them was started again."""

SAYS_ITS_NAME_AND_WAITS = "from reconciler.claim import holder_name; print(holder_name(), flush=True); input()"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another process on this machine, which would hold a lease under the name that it prints."""
    command = (sys.executable, "-c", SAYS_ITS_NAME_AND_WAITS)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def _name_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_lease_is_not_waited_for_when_its_holder_was_killed(place: MemoryPlace, other: subprocess.Popen[str]) -> None:
    name = _name_of(other)
    assert place.claim(name).held_by_other(ENVIRONMENT) is None
    with pytest.raises(Refused, match=f"{name} holds the lease"):
        place.claim(holder_name()).take(ENVIRONMENT)
    other.kill()
    other.wait()
    place.claim(holder_name()).take(ENVIRONMENT)


def test_who_is_killed_and_not_yet_buried_holds_nothing(other: subprocess.Popen[str]) -> None:
    name = _name_of(other)
    assert not has_ended(name, holder_name())
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(name, holder_name())


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("", id="whose process nobody named"),
        pytest.param(" process=000000000000.1.2", id="whom one cannot see from here"),
    ],
)
def test_a_lease_is_waited_for_when_its_holder_may_live(place: MemoryPlace, part: str) -> None:
    assert place.claim(f"elsewhere:1:ab{part}").held_by_other(ENVIRONMENT) is None
    assert place.claim(holder_name()).held_by_other(ENVIRONMENT) is not None
    place.clock.advance(LEASE_SECONDS + 1)
    assert place.claim(holder_name()).held_by_other(ENVIRONMENT) is None


def test_a_number_that_was_given_to_another_process_is_no_sign_of_life() -> None:
    mine = holder_name()
    assert not has_ended(mine, mine)
    assert has_ended(f"{mine.rpartition('.')[0]}.1", mine)


def test_a_container_that_was_started_again_does_not_wait_for_itself() -> None:
    first, again, other = (f"shop:1:ab process={view}.1.{began} container={id * 12}" for view, began, id in STARTS)
    assert has_ended(first, again)
    assert not has_ended(first, other)


def test_a_container_that_was_started_again_does_not_wait_for_its_own_lease() -> None:
    mine, before = "c" * 64, "host:1:ab process=000000000000.1.2"
    assert has_ended(f"{before} container={mine}", holder_name(mine))
    assert not has_ended(f"{before} container={'d' * 64}", holder_name(mine))
    assert not has_ended(before, holder_name()), "who works in no container knows nothing of it"


def told(place: MemoryPlace) -> list[tuple[str, str, str]]:
    """Return what the audit log says of the lease: what became of it, whose it is about, and in words."""
    entries = [line.entry for line in lines(place.store.trail())]
    return [(one.what, one.by, one.text) for one in entries if one.kind is Kind.LEASE]


def test_a_lease_that_is_taken_renewed_and_given_back_is_not_written_down(place: MemoryPlace) -> None:
    for name in ("one", "two"):
        claim = place.claim(name)
        for _ in range(5):
            assert claim.held_by_other(ENVIRONMENT) is None
            place.clock.advance(LEASE_SECONDS / 2)
        claim.release()
    assert told(place) == []


def test_who_took_over_a_lease_and_who_lost_it_say_so_once(place: MemoryPlace) -> None:
    late, fast = place.claim("late"), place.claim("fast")
    assert late.held_by_other(ENVIRONMENT) is None
    place.clock.advance(LEASE_SECONDS + 1)
    assert fast.held_by_other(ENVIRONMENT) is None
    assert told(place) == [("taken over", "fast", "from late")]
    until = f"{place.clock.now() + timedelta(seconds=LEASE_SECONDS):%Y-%m-%d %H:%M:%S} UTC"
    assert [late.held_by_other(ENVIRONMENT) for _ in range(3)].count(None) == 0
    assert fast.held_by_other(ENVIRONMENT) is None
    assert told(place)[1:] == [("lost", "late", f"to fast, until {until}")]


def test_the_lease_of_a_process_that_was_killed_is_said_to_be_taken_over(
    place: MemoryPlace, other: subprocess.Popen[str]
) -> None:
    name, mine = _name_of(other), holder_name()
    assert place.claim(name).held_by_other(ENVIRONMENT) is None
    other.kill()
    other.wait()
    place.claim(mine).take(ENVIRONMENT)
    assert told(place) == [("taken over", mine, f"from {name}")]
