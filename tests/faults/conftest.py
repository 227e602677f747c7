"""What do tests of faults share: an engine of their own that they may break, and a resident beside it?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fault_proxy import FaultProxy, fault_proxy
from private_engine import NoPrivateEngine, PrivateEngine, private_engine
from residence import ENGINE_SECONDS, HEALTHY, RUNS, Reside, Residence


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long unless RECONCILER_FAULTS=all asks for it: `make test-faults` does."""
    if os.environ.get("RECONCILER_FAULTS") != "all":
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session")
def an_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    try:
        with private_engine(tmp_path_factory.mktemp("engine")) as engine:
            for version in ("1", "2"):
                engine.import_image(f"web:{version}", RUNS, HEALTHY, f"LABEL version={version}")
            yield engine
    except NoPrivateEngine as reason:
        pytest.fail(f"no engine of our own can be had: {reason}\nhint: run the tests as root, with dockerd", pytrace=False)


@pytest.fixture
def own_engine(an_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """An engine that nobody else uses, with the images web:1 and web:2 and nothing else, whatever a test does to it."""
    yield an_engine
    an_engine.thaw()
    if not an_engine.answers():
        an_engine.kill()
        an_engine.start()
    an_engine.remove_everything()


@pytest.fixture
def proxy(own_engine: PrivateEngine, tmp_path: Path) -> Iterator[FaultProxy]:
    """What stands between the resident and the engine."""
    with fault_proxy(tmp_path / "proxy.sock", own_engine.socket) as proxy:
        yield proxy


@pytest.fixture
def reside(own_engine: PrivateEngine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Reside]:
    """Start residents: behind the proxy where the test has one."""
    behind = tmp_path / "proxy.sock" if "proxy" in request.fixturenames else own_engine.socket
    with ExitStack() as residences:

        def start(state: str = "state", *, git: str = "git", holder: str = "us", seconds: float = ENGINE_SECONDS) -> Residence:
            place = Residence(f"unix://{behind}", tmp_path / git, tmp_path / state, holder=holder, seconds=seconds)
            return residences.enter_context(place)

        yield start
