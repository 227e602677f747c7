"""How does every test run: how many random examples, which of them need an engine, and what if there is none?"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.utils
import pytest
from docker.errors import DockerException
from hypothesis import settings
from own_image import build

# Who asks for more examples than usual looks for new ones; otherwise the same commit always tries the same ones.
EXPLORES = {"RECONCILER_FUZZ_EXAMPLES", "RECONCILER_HISTORIES"} & os.environ.keys()

APART = {
    "drivers",
    "images",
    "test_crash_points_on_engine",
    "test_histories_on_engine",
    "test_no_secret_leaks",
    "test_socket_proxy",
    "test_taking_over",
    "test_updating_itself",
}
"""Directories and modules whose names and ports on the engine are their own, so that they need not wait for the others."""

TOOLS = Path(__file__).parent / "tools"

# A slow machine is no bug, so there is no deadline.
settings.register_profile(
    "reconciler",
    max_examples=int(os.environ.get("RECONCILER_FUZZ_EXAMPLES", "100")),
    derandomize=not EXPLORES,
    deadline=None,
)
settings.load_profile("reconciler")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark what asks for an engine, and keep it on two workers: tests share the engine's names, ports and patience."""
    for item in items:
        if "engine" in item.fixturenames:
            item.add_marker("engine")
        if item.get_closest_marker("engine") and not item.get_closest_marker("xdist_group"):
            apart = item.path.parent.name in APART or item.path.stem in APART
            item.add_marker(pytest.mark.xdist_group("engine, apart" if apart else "engine"))


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.APIClient]:
    """The engine that DOCKER_HOST names, else the local one. Fails where none answers: a skipped test proves nothing."""
    client = _connect()
    if isinstance(client, str):
        pytest.fail(f"no Docker engine answers: {client}\nhint: `make test` installs and starts one", pytrace=False)
    yield client
    client.close()


@pytest.fixture(scope="session")
def compose() -> tuple[str, ...]:
    """The command of docker compose v2: the one that is installed, else one that is downloaded once."""
    if shutil.which("docker") and subprocess.run(("docker", "compose", "version"), capture_output=True).returncode == 0:
        return "docker", "compose"
    done = subprocess.run(TOOLS / "get-docker-compose", capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.fail(f"docker compose is not to be had\n{done.stderr}", pytrace=False)
    return (done.stdout.strip(),)


@pytest.fixture(scope="session")
def own_image(engine: docker.APIClient) -> Iterator[str]:
    """The project's own image, built once."""
    image = build(engine)
    yield image
    engine.remove_image(image, force=True)


def _connect() -> docker.APIClient | str:
    try:
        return docker.APIClient(**docker.utils.kwargs_from_env(), version="auto", timeout=60)
    except DockerException as silence:
        said = str(silence)
    # The library forgets to close a socket that the engine refused, and the warning would hide the hint.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return said
