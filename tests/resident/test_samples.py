"""Is what the gateway counts kept for later, as often as it may be, and is nothing lost when it cannot be?"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from memory_place import MemoryPlace

from reconciler.loop import SAMPLE_SECONDS, Reconciler

GATED = """\
name: shop
services:
  web:
    image: web:1
    healthcheck: {test: [CMD, check], interval: 1s}
    ports: ["8080:80"]
    deploy: {replicas: 2}
"""


def turned(place: MemoryPlace, reconciler: Reconciler, times: int, seconds: float) -> None:
    for _ in range(times):
        reconciler.refresh()
        reconciler.turn()
        place.pass_time(seconds)


def test_each_server_is_sampled_no_more_often_than_it_may_be() -> None:
    place = MemoryPlace()
    reconciler = place.reconciler()
    place.push_files({"compose.yaml": GATED})
    turned(place, reconciler, 60, 1.0)
    found = place.store.samples()
    assert {one.name.split("/")[0] for one in found} == {"shop.web.80"}
    times = sorted({one.at for one in found})
    assert Counter(one.name for one in found if one.at == times[-1]) == Counter({one.name for one in found})
    assert len(times) > 1
    assert all((later - earlier).total_seconds() >= SAMPLE_SECONDS for earlier, later in pairwise(times))


def test_without_a_gateway_nothing_is_sampled() -> None:
    place = MemoryPlace()
    place.push("web:1")
    turned(place, place.reconciler(), 30, 1.0)
    assert place.store.samples() == ()
