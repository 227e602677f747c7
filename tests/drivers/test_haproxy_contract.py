"""Do real HAProxies keep the promises of gateways: the oldest that is supported, and a new one?"""

from __future__ import annotations

import os
from collections.abc import Iterator

import docker
import pytest
from gateway_contract import GatewayContract
from gateway_worlds import GatewayWorld, HaproxyWorld


@pytest.fixture(scope="module", params=["2.6", "3"])
def real(request: pytest.FixtureRequest, engine: docker.APIClient) -> Iterator[HaproxyWorld]:
    world = HaproxyWorld(f"gateway{request.param[0]}-{os.getpid()}", f"local/haproxy:{request.param}")
    try:
        yield world
    finally:
        world.close()


@pytest.fixture
def world(real: HaproxyWorld) -> Iterator[GatewayWorld]:
    yield real
    real.reset()


class TestHaproxy(GatewayContract):
    """Every promise, on this machine's engine."""
