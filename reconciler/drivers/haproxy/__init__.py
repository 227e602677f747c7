"""HAProxy, 2.6 and newer, as the gateway."""

from __future__ import annotations

from reconciler.drivers.haproxy.gateway import HaproxyGateway

__all__ = ["HaproxyGateway"]
