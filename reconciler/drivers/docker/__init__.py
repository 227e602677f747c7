"""A Docker engine (API 1.41 and newer) as the runtime."""

from __future__ import annotations

from reconciler.drivers.docker.runtime import DockerRuntime, connect

__all__ = ["DockerRuntime", "connect"]
