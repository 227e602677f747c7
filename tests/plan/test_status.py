"""How is each service said to be: as Git wants it, well, and how much of it is there?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from printed import planned, situation

from reconciler.plan.status import stacks_status

WINDOW = """
given files:
  reconciler.yaml: &settings |
    api: v1
    name: test
    windows: {office: {kind: deny, schedule: "0 8 * * *", duration: 10h}}
    stacks: {shop: {path: shop}}
  shop/compose.yaml: "services: {web: {image: web:1}}"
wanted files:
  reconciler.yaml: *settings
  shop/compose.yaml: "services: {web: {image: web:3}}"
"""
ONE = 'given: "services: {web: {image: web:1, healthcheck: {test: [CMD, ok]}}}"\n'
JOB = 'given: "services: {web: {image: web:1, deploy: {mode: replicated-job}}}"\n'
TWO = 'given: "services: {web: {image: web:1, deploy: {replicas: 2}}}"\n'
NEXT = 'wanted: "services: {web: {image: web:2, healthcheck: {test: [CMD, ok]}}}"\n'

# The case; then sync, health, how many are wanted, run and serve, the image that runs, and what is said of it.
CASES = {
    "serves": (
        ONE,
        "Synced Healthy 1/1/1 web:1",
    ),
    "starts": (
        ONE + "but: {shop-web-1: {probe: starting, age: 5}}",
        "Synced Progressing 1/1/0 web:1 waits until shop-web-1 is healthy",
    ),
    "failed": (
        ONE + "but: {shop-web-1: {probe: unhealthy}}",
        "OutOfSync Degraded 1/1/0 web:1 shop-web-1 is unhealthy",
    ),
    "is gone": (
        ONE + "but: {shop-web-1: gone}",
        "OutOfSync Missing 1/0/0",
    ),
    "is replaced": (
        ONE + NEXT,
        "OutOfSync Progressing 1/1/1 web:1 waits until shop-web-1.next is ready",
    ),
    "failed before": (
        ONE + NEXT + "history: {applied: '', failed: {shop/web: it crashed}}",
        "OutOfSync Degraded 1/1/1 web:1 it crashed",
    ),
    "is too large": (
        ONE + "engine: {api: '1.24', cpus: 1}\nwanted: 'services: {web: {image: web:1, cpus: 9}}'",
        "OutOfSync Degraded 1/1/1 web:1 shop/web may use 9 CPUs; the host has 1",
    ),
    "is suspended": (
        ONE + "history: {suspended: {shop/web: {reason: moving}}}",
        "Synced Suspended 1/1/1 web:1 suspended: moving (until `reconciler resume`)",
    ),
    "lacks one of two": (
        TWO + "but: {shop-web-2: {phase: exited, exit: 1}}",
        "OutOfSync Degraded 2/1/1 web:1 shop-web-2 exited with code 1",
    ),
    "is scaled to zero": (
        'given: "services: {web: {image: web:1, scale: 0}}"',
        "Synced Suspended 0/0/0 scaled to zero",
    ),
    "is a job that is done": (
        JOB,
        "Synced Healthy 1/0/0 web:1 completed",
    ),
    "is a job whose container is gone": (
        JOB + "but: {shop-web-1: gone}",
        "Synced Healthy 1/0/0 completed",
    ),
    "is a job that runs": (
        JOB + "but: {shop-web-1: {phase: running}}\nno job marks: true",
        "OutOfSync Healthy 1/1/1 web:1",
    ),
    "ended well and is meant to": (
        'given: "services: {web: {image: web:1}}"\nbut: {shop-web-1: {phase: exited, exit: 0}}',
        "Synced Healthy 1/0/0 web:1 completed",
    ),
    "is kept alive by a window": (
        WINDOW + "but: {shop-web-1: {image: web:2}}",
        "OutOfSync Healthy 1/1/1 web:2",
    ),
    "is kept by a window and does not serve": (
        WINDOW + "but: {shop-web-1: {image: web:2, phase: paused}}",
        "OutOfSync Degraded 1/0/0 web:2 neither the new version nor the last good one",
    ),
    "is not changed by a window": (
        WINDOW,
        "OutOfSync Healthy 1/1/1 web:1",
    ),
}


@pytest.mark.parametrize(("text", "said"), CASES.values(), ids=CASES)
def test_a_service_that(text: str, said: str) -> None:
    case: dict[str, Any] = yaml.safe_load(text)
    desired, observed, history, previous = situation(case)
    (stack,) = stacks_status(planned(case), desired, observed, history, previous)
    (web,) = stack.services
    counts = f"{web.wanted}/{web.running}/{web.ready}"
    assert " ".join(filter(None, (web.sync, web.health, counts, web.image, web.message))) == said
    assert (stack.sync, stack.health) == (web.sync, web.health)
