"""Is the resident there again when the engine was killed, restarted, hung, slow or silent?"""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_proxy import Delay, Drop, FaultProxy, nth
from private_engine import PrivateEngine
from residence import Reside, Residence, service, write

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("private engine")]


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """The directory that the resident follows: it asks for one service."""
    write(tmp_path / "git", service("web"))
    return tmp_path / "git"


def running(engine: PrivateEngine) -> dict[str, tuple[str, str]]:
    """Return id and image of each container that runs, by name."""
    with engine.client() as client:
        return {one["Names"][0][1:]: (one["Id"], one["Image"]) for one in client.containers()}


def everything(engine: PrivateEngine) -> dict[str, str]:
    """Return the image of each container, whether it runs or not, by name."""
    with engine.client() as client:
        return {one["Names"][0][1:]: one["Image"] for one in client.containers(all=True)}


@pytest.mark.parametrize("change", [*(pytest.param(number, marks=pytest.mark.long) for number in (1, 3, 4, 5)), 2])
def test_f08_an_engine_killed_in_the_middle_of_an_update(
    change: int, own_engine: PrivateEngine, proxy: FaultProxy, reside: Reside, git: Path
) -> None:
    resident = reside()
    resident.settled()
    proxy.begin_anew()
    proxy.rules = [(nth(change), Drop("after", own_engine.kill))]
    write(git, service("web", "web:2"))
    resident.until(lambda report: report.error, "the engine is away")
    own_engine.start()
    resident.settled()
    assert everything(own_engine) == {"shop-web-1": "web:2"}
    assert len(proxy.spoilt) == 1


def test_f09_an_engine_restarted(own_engine: PrivateEngine, reside: Reside, git: Path) -> None:
    resident = reside()
    resident.settled()
    before = running(own_engine)
    own_engine.stop()
    resident.until(lambda report: report.error, "the engine is away")
    assert resident.page("/healthz")[0] == 200
    status, page = resident.page("/readyz")
    assert (status, str(own_engine.socket) in str(page["reason"])) == (503, True), page
    own_engine.start()
    resident.settled()
    assert running(own_engine) == before, "the engine starts its containers itself; none was made anew"
    assert resident.page("/readyz")[0] == 200


def test_f10_a_hung_engine(own_engine: PrivateEngine, reside: Reside, git: Path) -> None:
    resident = reside(seconds=1.0)
    resident.settled()
    before = running(own_engine)
    own_engine.freeze()
    resident.until(lambda report: "did not answer" in report.error, "the deadline")
    assert resident.page("/healthz")[0] == 200
    status, page = resident.page("/readyz")
    assert (status, "did not answer" in str(page["reason"])) == (503, True), page
    own_engine.thaw()
    resident.settled()
    assert running(own_engine) == before


def test_f11_a_slow_engine(own_engine: PrivateEngine, proxy: FaultProxy, reside: Reside, git: Path) -> None:
    proxy.rules = [(lambda call: call.path != "/events", Delay(0.1))]
    resident = reside()
    resident.settled()
    write(git, service("web", "web:2"))
    resident.settled()
    assert everything(own_engine) == {"shop-web-1": "web:2"}


def test_f13_an_event_stream_that_is_cut(own_engine: PrivateEngine, proxy: FaultProxy, reside: Reside, git: Path) -> None:
    resident = reside()
    resident.settled()
    assert proxy.cut("/events") == 1
    resident.until(lambda report: "event stream lost" in report.woke, "the cut is noticed")
    _heals(resident, own_engine)


@pytest.mark.long
def test_f13_an_event_stream_that_says_nothing_more(
    own_engine: PrivateEngine, proxy: FaultProxy, reside: Reside, git: Path
) -> None:
    resident = reside()
    resident.settled()
    proxy.silence("/events")
    _heals(resident, own_engine)


def _heals(resident: Residence, engine: PrivateEngine) -> None:
    before = running(engine)
    with engine.client() as client:
        client.remove_container("shop-web-1", force=True)
    resident.until(lambda report: report.outcomes, "it comes back")
    resident.settled()
    assert running(engine).keys() == before.keys()
    assert running(engine) != before
