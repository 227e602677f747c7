"""Is a container ready, starting, or has it failed?"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from reconciler.model.desired import HealthTiming, Kind, Service
from reconciler.model.observed import Instance, Phase, Probe

_STUCK = re.compile(r"\btask \w+: already exists|container with (given )?id (already )?exists", re.IGNORECASE)

CRASHES = 2
"""As many restarts by the engine make a starting container a failed one."""

LATE = timedelta(minutes=1)
"""How long after its deadline a start is still judged."""


def is_ready(instance: Instance, service: Service, now: datetime) -> bool:
    """Say whether it serves: healthy, or without a healthcheck running for the update's `monitor` time."""
    return instance.running and (
        instance.probe is Probe.HEALTHY or (instance.probe is Probe.NONE and now >= settles_at(instance, service))
    )


def settles_at(instance: Instance, service: Service) -> datetime:
    """When a container without a healthcheck counts as ready, if it goes on running."""
    return (instance.started or _birth(instance)) + timedelta(seconds=service.update.monitor_seconds)


def fails_at(instance: Instance, service: Service) -> datetime:
    """When a starting container has taken too long."""
    timing = service.health or HealthTiming()
    return (instance.started or _birth(instance)) + timedelta(seconds=timing.deadline_seconds)


def is_on_trial(instance: Instance, service: Service, now: datetime) -> bool:
    """Say whether it is (or was, when it ended) so young that its failure is its version's: not somebody's hands, not wear."""
    timing = service.health or HealthTiming()
    judged_until = _birth(instance) + timedelta(seconds=timing.deadline_seconds) + LATE
    return (instance.finished if instance.ended and instance.finished else now) <= judged_until


def why_failed(instance: Instance, service: Service, now: datetime) -> str:
    """Say how a container that was to become ready has failed; "" when it has not (yet)."""
    if start_error(instance):
        return f"could not be started: {start_error(instance)}"
    if is_complete(instance, service):
        return ""  # Of what has ended the engine says that it is unhealthy.
    if instance.ended:
        killed = " (out of memory)" if instance.oom_killed else ""
        return f"exited with code {instance.exit_code}{killed}"
    if instance.phase is Phase.RESTARTING or instance.restarts >= CRASHES:
        return f"keeps crashing (restarted {instance.restarts} times, last exit code {instance.exit_code})"
    if instance.probe is Probe.UNHEALTHY:
        return "is unhealthy"
    if instance.running and not is_ready(instance, service, now) and now >= fails_at(instance, service):
        return "did not become healthy in time"
    return ""


def was_stopped(instance: Instance) -> bool:
    """Say whether somebody stopped or killed it: had it ended by itself, the engine would have started it again."""
    if instance.phase is not Phase.EXITED or instance.detail.get("State", {}).get("Error"):
        return False
    policy = instance.detail.get("HostConfig", {}).get("RestartPolicy") or {}
    match policy.get("Name"):
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            return instance.exit_code != 0 and not policy.get("MaximumRetryCount")
        case _:
            return False


def start_error(instance: Instance) -> str:
    """What the engine said when it could not start a created container, in one line."""
    return _said(instance) if instance.phase is Phase.CREATED else ""


def why_stuck(instance: Instance) -> str:
    """Say why no start will ever succeed of a container that has run before; "" when one may.

    An engine that ended while it started a container may leave its task with containerd, and then takes every further
    start for a second one.
    """
    said = _said(instance) if instance.phase is Phase.EXITED else ""
    return said if _STUCK.search(said) else ""


def _said(instance: Instance) -> str:
    return " ".join(str(instance.detail.get("State", {}).get("Error") or "").split())


def is_complete(instance: Instance, service: Service) -> bool:
    """Say whether it ended well and is meant to stay so: a job, or a `restart: no` service that serves nobody."""
    if not instance.ended or instance.exit_code != 0:
        return False
    return service.kind is Kind.JOB or (not _restarts(service) and not _serves(service))


def _restarts(service: Service) -> bool:
    policy = service.container.get("HostConfig", {}).get("RestartPolicy") or {}
    return policy.get("Name", "no") not in ("", "no", "on-failure")


def _serves(service: Service) -> bool:
    """A healthcheck or a published port says that the service is meant to stay up, whatever its exit code."""
    return service.health is not None or bool(service.container.get("HostConfig", {}).get("PortBindings"))


def _birth(instance: Instance) -> datetime:
    """When it was made; the engine always says."""
    if instance.created is None:
        raise ValueError(f"container {instance.name} has no creation time")
    return instance.created
