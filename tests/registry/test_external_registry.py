"""Does the loop keep an external registry as what runs: registered, drained, deregistered, healed, left alone?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_place import ENVIRONMENT, MemoryPlace

from reconciler.apply import Applier
from reconciler.drivers.memory.discovery import MemoryRegistry
from reconciler.errors import Refused
from reconciler.loop import Reconciler
from reconciler.model import catalog as facts
from reconciler.model.catalog import Entry, Standing
from reconciler.model.observed import Probe
from reconciler.model.plan import Deregister, DrainServer, Register, StartInstance, StopInstance, WeighServer
from reconciler.model.status import Report
from reconciler.plan.healing import only_healing
from reconciler.ports import Registry

URL = "http://consul.example.org:8500"
WEB = """\
name: shop
services:
  web:
    image: web:1
    healthcheck: {{test: [CMD, check], interval: 2s}}
    expose: ["8080"]
    deploy: {{replicas: {replicas}}}
    x-discovery: {{tags: [blue]}}
"""
GATED = WEB + '    ports: ["8080:8080"]\n    x-traffic: gateway\n'
FOREIGN = Entry("billing", "billing-1", "10.9.9.9", 9000)


class Shop:
    """A loop in memory beside a registry in memory; `allowed` is what the operator says of that."""

    def __init__(self) -> None:
        self.place, self.registry, self.allowed = MemoryPlace(), MemoryRegistry("192.0.2.10"), True
        self.registry.known[FOREIGN.id] = FOREIGN
        fresh = self.place.reconciler()
        gateway = self.place.gateway
        applier = Applier(self.place.runtime, self.place.clock, gateway=gateway, threads=False, registries=self._open)
        self.reconciler = Reconciler(replace(fresh.world, registries=self._open), applier)

    def _open(self, url: str) -> Registry:
        if not self.allowed:
            raise Refused(f"the operator does not allow the registry {url}", hint="list it")
        assert url == URL
        return self.registry

    def push(self, replicas: int, web: str = WEB) -> None:
        settings = f"api: v1\nname: {ENVIRONMENT}\nstacks: {{shop: {{path: .}}}}\nregistry: {{type: consul, url: '{URL}'}}\n"
        self.place.push_files({"reconciler.yaml": settings, "compose.yaml": web.format(replicas=replicas)})

    def turn(self) -> Report:
        self.reconciler.refresh()
        report = self.reconciler.turn()
        self.place.pass_time(1.0)
        return report

    def settle(self) -> list[Report]:
        """Turn until nothing is left to do."""
        reports = [self.turn() for _ in range(30)]
        assert reports[-1].plan is not None
        assert not reports[-1].plan.actions
        return reports

    def told(self) -> dict[str, str]:
        """How each of our containers stands there."""
        ours = (one for one in self.registry.known.values() if facts.CONTAINER in one.meta)
        return {one.meta[facts.CONTAINER]: one.standing.value for one in ours}


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.push(2)
    shop.settle()
    return shop


def test_every_replica_is_registered_and_nobody_else_touched(shop: Shop) -> None:
    assert shop.told() == {"shop-web-1": "passing", "shop-web-2": "passing"}
    assert {one.port for one in shop.registry.known.values() if one != FOREIGN} == {8080}
    assert shop.registry.known[FOREIGN.id] == FOREIGN


def test_behind_the_gateway_a_replica_is_told_of_before_it_gets_nothing_new_and_once_it_gets_something() -> None:
    shop = Shop()
    shop.push(2, GATED)
    first = [action for report in shop.settle() if report.plan for action in report.plan.actions]
    weighed = next(number for number, action in enumerate(first) if isinstance(action.change, WeighServer))
    early = [action.change for action in first[:weighed] if isinstance(action.change, Register)]
    assert {one.entry.standing for one in early} == {Standing.CRITICAL}
    assert shop.told() == {"shop-web-1": "passing", "shop-web-2": "passing"}
    shop.push(1, GATED)
    then = [action for report in shop.settle() if report.plan for action in report.plan.actions]
    drain = next(action for action in then if isinstance(action.change, DrainServer))
    told = next(action for action in then if isinstance(action.change, Register))
    assert isinstance(told.change, Register)
    assert (told.change.entry.standing, told.id in drain.needs) == (Standing.CRITICAL, True)
    assert shop.told() == {"shop-web-1": "passing"}


def test_a_replica_that_goes_is_told_of_before_it_stops_and_taken_out_after(shop: Shop) -> None:
    shop.push(1)
    actions = [action for report in shop.settle() if report.plan for action in report.plan.actions]
    changes = [action.change for action in actions]
    stop = next(action for action in actions if isinstance(action.change, StopInstance))
    (drained,) = (one for one in actions if isinstance(one.change, Register))
    assert isinstance(drained.change, Register)
    assert drained.change.entry.standing is Standing.CRITICAL
    assert drained.id in stop.needs
    assert [type(change) for change in changes].index(Deregister) > actions.index(stop)
    assert shop.told() == {"shop-web-1": "passing"}


def test_what_somebody_changed_or_left_behind_is_drift(shop: Shop) -> None:
    known = shop.registry.known
    known |= {id: replace(one, standing=Standing.CRITICAL, port=1) for id, one in known.items() if one != FOREIGN}
    stale = next(one for one in known.values() if one != FOREIGN)
    known["web-old"] = replace(stale, id="web-old", meta={**stale.meta, facts.CONTAINER: "shop-web-9"})
    report = shop.turn()
    assert report.plan is not None
    (group,) = report.plan.groups
    assert (group.key, group.name) == ("shop/registry/web", "registry web")
    assert [(reason.text, reason.old, reason.new) for reason in group.reasons] == [
        ("shop-web-1 port", "1", "8080"),
        ("shop-web-1 standing", "critical", "passing"),
        ("shop-web-2 port", "1", "8080"),
        ("shop-web-2 standing", "critical", "passing"),
        ("shop-web-9 is not there", "", ""),
    ]
    assert shop.told() == {"shop-web-1": "passing", "shop-web-2": "passing"}
    assert shop.registry.known[FOREIGN.id] == FOREIGN


def test_a_replica_that_dies_is_taken_out(shop: Shop) -> None:
    shop.place.world.dies("shop-web-1", 1)
    shop.turn()
    assert shop.told() == {"shop-web-2": "passing"}
    shop.settle()
    assert shop.told() == {"shop-web-1": "passing", "shop-web-2": "passing"}


def test_a_registry_that_is_silent_keeps_nothing_from_being_done(shop: Shop) -> None:
    shop.registry.up = False
    shop.push(3)
    report = shop.settle()[-1]
    assert report.plan is not None
    assert report.plan.notes == ("the registry in memory does not answer; what it says of us is left as it is",)
    assert sorted(shop.place.running()) == ["shop-web-1", "shop-web-2", "shop-web-3"]
    shop.registry.up = True
    shop.settle()
    assert shop.told() == dict.fromkeys(("shop-web-1", "shop-web-2", "shop-web-3"), "passing")


def test_a_registry_that_the_operator_does_not_allow_blocks_nothing_else(shop: Shop) -> None:
    shop.allowed = False
    shop.push(1)
    report = shop.settle()[-1]
    assert report.plan is not None
    assert [(one.code, one.message) for one in report.plan.blocked] == [
        ("R146", f"the operator does not allow the registry {URL}")
    ]
    assert list(shop.place.running()) == ["shop-web-1"]


def test_healing_alone_still_tells_before_it_stops(shop: Shop) -> None:
    shop.place.world.container("shop-web-1").probe = Probe.UNHEALTHY
    plan = shop.reconciler.look().plan
    changes = [type(action.change) for action in only_healing(plan).actions]
    assert changes == [Register, StopInstance, StartInstance]
