"""Is the gateway told anything a second time while it is at work on it?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from printed import situation

from reconciler.model.plan import TrafficChange
from reconciler.model.traffic import ObservedGateway
from reconciler.plan import make_plan

WEB = "services: {web: {image: 'web:1', ports: ['8080:80'], deploy: {replicas: 2}}}\n"
SOMEWHERE = {"Networks": {"shop_default": {"IPAddress": "10.0.0.2"}}}


@pytest.mark.parametrize(
    ("busy", "told"),
    [
        ("", {"load", "add"}),
        ("reconciler-gateway/listeners", set()),
        ("shop/web/traffic", {"load"}),
        ("shop/other/traffic", {"load", "add"}),
    ],
)
def test_what_is_in_flight_at_the_gateway_is_not_planned_again(busy: str, told: set[str]) -> None:
    desired, observed, history, previous = situation({"given": WEB})
    (gateway,) = (one.id for one in observed.instances if one.name.startswith("reconciler-gateway"))
    reachable = tuple(replace(one, detail={**one.detail, "NetworkSettings": SOMEWHERE}) for one in observed.instances)
    observed = replace(observed, instances=reachable, gateway=ObservedGateway(gateway, running="", written=""))
    plan = make_plan(desired, observed, history, previous, frozenset({busy}))
    assert {action.id.rpartition("/")[2] for action in plan.actions if isinstance(action.change, TrafficChange)} == told
