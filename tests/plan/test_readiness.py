"""From when on does a container serve, has it taken too long, and is its failure its version's?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from printed import NOW, situation

from reconciler.model.desired import Service
from reconciler.model.observed import Instance, Phase, Probe
from reconciler.plan.readiness import fails_at, is_complete, is_on_trial, is_ready, was_stopped, why_failed

SECOND = timedelta(seconds=1)
PLAIN = "services: {web: {image: web:1}}"
CHECKED = (
    "services: {web: {image: web:1, healthcheck: {test: [CMD, ok], start_period: 20s, interval: 10s, timeout: 5s, retries: 2}}}"
)


def seen(text: str = PLAIN, **changes: Any) -> tuple[Instance, Service]:
    desired, observed, *_ = situation({"given": text})
    born = {"created": NOW - timedelta(hours=1), "started": NOW}
    return replace(observed.instances[0], **{**born, **changes}), desired.stacks[0].services[0]


def test_without_a_healthcheck_it_serves_once_it_has_run_for_the_time_of_monitor() -> None:
    instance, service = seen("services: {web: {image: web:1, deploy: {update_config: {monitor: 7s}}}}")
    assert not is_ready(instance, service, NOW + 6 * SECOND)
    assert is_ready(instance, service, NOW + 7 * SECOND)
    never_said = replace(instance, started=None)
    assert is_ready(never_said, service, NOW)


def test_with_a_healthcheck_it_serves_once_it_is_healthy() -> None:
    instance, service = seen(CHECKED, probe=Probe.HEALTHY)
    assert is_ready(instance, service, NOW)
    assert not is_ready(replace(instance, probe=Probe.STARTING), service, NOW + timedelta(days=1))
    assert not is_ready(replace(instance, phase=Phase.PAUSED), service, NOW)


def test_it_has_taken_too_long_once_its_health_timing_is_over() -> None:
    instance, service = seen(CHECKED, probe=Probe.STARTING)
    limit = fails_at(instance, service)
    assert limit > NOW + 20 * SECOND
    assert why_failed(instance, service, limit - SECOND) == ""
    assert why_failed(instance, service, limit) == "did not become healthy in time"
    assert fails_at(replace(instance, started=None), service) == limit - timedelta(hours=1)


def test_a_failure_is_its_versions_until_a_minute_after_the_time_a_start_may_take() -> None:
    instance, service = seen(CHECKED, created=NOW, probe=Probe.STARTING)
    judged_until = fails_at(instance, service) + timedelta(minutes=1)
    assert is_on_trial(instance, service, judged_until)
    assert not is_on_trial(instance, service, judged_until + SECOND)
    ended = replace(instance, phase=Phase.EXITED, finished=judged_until)
    assert is_on_trial(ended, service, judged_until + SECOND)
    assert not is_on_trial(replace(ended, finished=judged_until + SECOND), service, NOW)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"probe": Probe.UNHEALTHY}, "is unhealthy"),
        ({"phase": Phase.EXITED, "exit_code": 3}, "exited with code 3"),
        ({"phase": Phase.EXITED, "exit_code": 137, "oom_killed": True}, "exited with code 137 (out of memory)"),
        ({"phase": Phase.EXITED, "exit_code": 0}, ""),
        ({"phase": Phase.RESTARTING, "exit_code": 1}, "keeps crashing (restarted 0 times, last exit code 1)"),
        ({"restarts": 1}, ""),
        ({"restarts": 2}, "keeps crashing (restarted 2 times, last exit code 0)"),
        ({"phase": Phase.CREATED, "detail": {"State": {"Error": "no such\n device"}}}, "could not be started: no such device"),
        ({"phase": Phase.EXITED, "exit_code": 1, "detail": {"State": {"Error": "old"}}}, "exited with code 1"),
    ],
)
def test_how_it_failed_is_said(changes: dict[str, Any], why: str) -> None:
    instance, service = seen(**changes)
    assert why_failed(instance, service, NOW) == why


@pytest.mark.parametrize(
    ("text", "exit_code", "complete"),
    [
        (PLAIN, 0, True),
        (PLAIN, 1, False),
        (CHECKED, 0, False),
        ("services: {web: {image: web:1, ports: ['80:80']}}", 0, False),
        ("services: {web: {image: web:1, restart: always}}", 0, False),
        ("services: {web: {image: web:1, restart: on-failure}}", 0, True),
        ("services: {web: {image: web:1, ports: ['80:80'], deploy: {mode: replicated-job}}}", 0, True),
    ],
)
def test_what_ended_well_and_serves_nobody_is_complete(text: str, exit_code: int, complete: bool) -> None:
    instance, service = seen(text, phase=Phase.EXITED, exit_code=exit_code)
    assert is_complete(instance, service) is complete
    assert not is_complete(replace(instance, phase=Phase.RUNNING), service)


@pytest.mark.parametrize(
    ("policy", "exit_code", "stopped"),
    [
        ({"Name": "always"}, 0, True),
        ({"Name": "unless-stopped"}, 0, True),
        ({"Name": "on-failure"}, 1, True),
        ({"Name": "on-failure"}, 0, False),
        ({"Name": "on-failure", "MaximumRetryCount": 3}, 1, False),
        ({"Name": "no"}, 1, False),
        (None, 1, False),
    ],
)
def test_what_the_engine_would_have_started_again_was_stopped(policy: Any, exit_code: int, stopped: bool) -> None:
    detail = {"HostConfig": {"RestartPolicy": policy}}
    instance, _ = seen(phase=Phase.EXITED, exit_code=exit_code, detail=detail)
    assert was_stopped(instance) is stopped
    assert not was_stopped(replace(instance, phase=Phase.DEAD))
    assert not was_stopped(replace(instance, detail={**detail, "State": {"Error": "no such device"}}))
