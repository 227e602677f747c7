"""Does the gateway in memory keep the promises of gateways?"""

from __future__ import annotations

import pytest
from gateway_contract import GatewayContract
from gateway_worlds import GatewayWorld, MemoryGatewayWorld


@pytest.fixture
def world() -> GatewayWorld:
    return MemoryGatewayWorld("production")


class TestMemoryGateway(GatewayContract):
    """Every promise, in memory."""
