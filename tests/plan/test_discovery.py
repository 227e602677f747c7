"""Which containers can be found by name, where, and are they able to serve?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from printed import KEY, NEW, NOW, OLD, desired_state, situation

from reconciler.model.catalog import Entry
from reconciler.model.history import History
from reconciler.model.observed import Instance, ObservedState, Phase, Probe
from reconciler.model.traffic import Admission, Check, ObservedServer, server_name
from reconciler.plan import make_plan
from reconciler.plan.assume import assume
from reconciler.plan.discovery import leaving

WEB = """
services:
  web:
    image: web:1
    healthcheck: {{test: check}}
    expose: ["8080"]
    deploy: {{replicas: {replicas}}}
    x-discovery: {discovery}
"""


def web(discovery: str = "{}", replicas: int = 1) -> str:
    return WEB.format(discovery=discovery, replicas=replicas)


def running(text: str, *, network: str = "shop_default", **said: Any) -> ObservedState:
    """What runs as a text asks, every container with an address, but altered as said."""
    desired = desired_state(text, OLD)
    observed = assume(desired, NOW, History(KEY))
    placed = [_placed(one, network, number) for number, one in enumerate(observed.instances, 1)]
    return replace(observed, instances=tuple(replace(one, **said) for one in placed))


def _placed(instance: Instance, network: str, number: int) -> Instance:
    settings = instance.detail["NetworkSettings"]
    networks = {name: {**endpoint, "IPAddress": ""} for name, endpoint in settings["Networks"].items()}
    networks[network] = {"IPAddress": f"10.0.0.{number}"}
    bound = {port: [{"HostIp": one["HostIp"], "HostPort": one["HostPort"] or "32768"} for one in bindings]
             for port, bindings in instance.detail["HostConfig"].get("PortBindings", {}).items()}  # fmt: skip
    return replace(instance, detail={**instance.detail, "NetworkSettings": {"Networks": networks, "Ports": bound}})


def found(text: str, observed: ObservedState | None = None, before: str = "") -> list[Entry]:
    """What can be found of what runs when Git asks for a text."""
    previous = desired_state(before, OLD) if before else None
    plan = make_plan(desired_state(text, NEW), observed or running(text), History(KEY, applied=OLD), previous)
    assert plan.entries is not None
    return list(plan.entries)


def places(entries: list[Entry]) -> list[str]:
    return [f"{one.address}:{one.port}" for one in entries]


# --- name, port, address ---------------------------------------------------------------------------------------------


def test_a_replica_stands_under_its_service_with_its_address_on_the_first_network() -> None:
    (entry,) = found(web())
    assert (entry.name, entry.title, places([entry])) == ("web", "shop-web-1", ["10.0.0.1:8080"])
    assert entry.meta["reconciler-environment"] == "test"


def test_its_id_names_the_container_and_not_its_place() -> None:
    first, second = found(web(replicas=2))
    assert first.id != second.id
    assert first.id == f"web-{first.instance[:12]}"


def test_name_port_tags_and_facts_are_what_git_says() -> None:
    (entry,) = found(web("{name: Shop-Web, port: 9000, tags: [blue], meta: {team: a}}"))
    assert (entry.name, entry.port, entry.tags, entry.meta["team"]) == ("shop-web", 9000, ("blue",), "a")


def test_no_discovery_no_entry() -> None:
    assert found("services: {web: {image: 'web:1', expose: ['80']}}") == []


HOST = "services: {{web: {{image: 'web:1', ports: ['{ports}'], x-discovery: {discovery}}}}}"


@pytest.mark.parametrize(
    ("ports", "discovery", "place"),
    [
        ("8088:80", "{}", ":8088"),
        ("127.0.0.1:8088:80", "{}", "127.0.0.1:8088"),
        ("80", "{address: host}", ":32768"),
        ("8088:80", "{address: gateway}", ":8088"),
        ("8088:80", "{address: 'network:default'}", "10.0.0.1:80"),
        ("8088:80/udp", "{}", ":8088"),
        ("8088:80", "{}, x-traffic: gateway", ":8088"),
        ("127.0.0.1:8088:80", "{address: gateway}, x-traffic: gateway", "127.0.0.1:8088"),
        ("8088:80", "{address: 'network:default'}, x-traffic: gateway", "10.0.0.2:80"),
        ("8088:81", "{port: 80, address: gateway}, x-route: {host: web.example.org, port: 80}", ":80"),
    ],
)
def test_the_address_is_the_hosts_or_a_networks(ports: str, discovery: str, place: str) -> None:
    assert places(found(HOST.format(ports=ports, discovery=discovery))) == [place]


def test_on_the_hosts_network_the_port_is_the_containers() -> None:
    assert places(found("services: {web: {image: 'web:1', network_mode: host, x-discovery: {port: 80}}}")) == [":80"]


def test_what_has_no_address_yet_cannot_be_found() -> None:
    assert found(web(), running(web(), network="another")) == []


# --- able to serve ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ({}, "passing serves"),
        ({"probe": Probe.STARTING}, "critical is starting"),
        ({"probe": Probe.UNHEALTHY}, "critical is unhealthy"),
        ({"phase": Phase.PAUSED}, "critical is paused"),
        ({"phase": Phase.RESTARTING}, "critical is restarting"),
        ({"probe": Probe.NONE, "started": NOW}, "critical is starting"),
    ],
)
def test_only_what_is_ready_passes(state: dict[str, Any], standing: str) -> None:
    (entry,) = found(web(), running(web(), **state))
    assert f"{entry.standing} {entry.output}" == standing


@pytest.mark.parametrize("phase", [Phase.CREATED, Phase.EXITED, Phase.DEAD, Phase.REMOVING])
def test_what_does_not_run_is_not_there(phase: Phase) -> None:
    assert found(web(), running(web(), phase=phase)) == []


def test_a_job_is_never_there() -> None:
    job = "services: {{job: {{image: 'job:1', expose: ['80'], x-discovery: {{}}}}, web: {{image: 'web:1', {}}}}}"
    text = job.format("depends_on: {job: {condition: service_completed_successfully}}")
    assert found(text, running(text, phase=Phase.RUNNING)) == []


# --- versions --------------------------------------------------------------------------------------------------------


def test_an_old_container_stands_as_it_was_made() -> None:
    before = web("{tags: [old]}").replace('"8080"', '"7070"')
    (entry,) = found(web("{tags: [new]}"), running(before), before)
    assert (entry.port, entry.tags) == (7070, ("old",))


def test_new_facts_of_a_container_that_stays_count_at_once() -> None:
    before = web("{tags: [old]}")
    (entry,) = found(web("{tags: [new]}"), running(before), before)
    assert entry.tags == ("new",)


def test_what_left_git_serves_until_it_is_stopped() -> None:
    other = "  other: {image: 'web:1'}\n"
    before, after = web() + other, "services:\n" + other
    plan = make_plan(desired_state(after, NEW), running(before), History(KEY, applied=OLD), desired_state(before, OLD))
    assert [one.title for one in plan.entries or ()] == ["shop-web-1"]
    assert leaving(plan.actions) == {one.instance for one in plan.entries or ()}


def test_a_service_that_is_no_longer_to_be_found_leaves_while_its_container_stays() -> None:
    before = web()
    after = before.replace("x-discovery: {}", "")
    assert found(after, running(before), before) == []


# --- what a plan says of it ------------------------------------------------------------------------------------------


def announced(case: dict[str, Any]) -> Iterator[str]:
    desired, observed, history, previous = situation(case)
    plan = make_plan(desired, observed, history, previous)
    yield from (one.text for one in plan.announced)


def test_an_engine_that_did_not_answer_whole_leaves_everything_unsaid() -> None:
    observed = replace(running(web()), unknown=frozenset({"engine"}))
    assert make_plan(desired_state(web(), NEW), observed, History(KEY, applied=OLD)).entries is None


def test_what_stops_while_it_starts_again_is_both_deregistered_and_registered() -> None:
    observed = running(web(), probe=Probe.UNHEALTHY)
    plan = make_plan(desired_state(web(), OLD), observed, History(KEY, applied=OLD), desired_state(web(), OLD))
    assert [one.text for one in plan.announced] == ["register shop-web-1 once it is ready"]
    assert leaving(plan.actions) == {one.id for one in observed.instances}


# --- behind the gateway ----------------------------------------------------------------------------------------------


GATED = """
services:
  web:
    image: web:1
    healthcheck: {{test: check}}
    ports: ["8088:8080"]
    deploy: {{replicas: 2}}
    x-discovery: {{address: '{address}'}}
"""


def gated(address: str, *servers: ObservedServer | None) -> list[str]:
    """How the replicas stand whom the gateway knows as these servers; None: not at all."""
    text = GATED.format(address=address)
    observed = running(text)
    assert observed.gateway
    webs = sorted((one for one in observed.instances if one.name.startswith("shop-web")), key=lambda one: one.name)
    known = tuple(
        replace(server, name=server_name(one.id)) for one, server in zip(webs, servers, strict=True) if server is not None
    )
    entries = found(text, replace(observed, gateway=replace(observed.gateway, servers=known)))
    return [f"{entry.standing} {entry.output}" for entry in entries]


SERVING = ObservedServer("shop.web.8080", "", "10.0.0.1", 8080, 100, check=Check.UP)
FRESH = replace(SERVING, weight=0, check=Check.PENDING)


@pytest.mark.parametrize("address", ["gateway", "network:default"])
@pytest.mark.parametrize(
    ("server", "said"),
    [
        (SERVING, "passing serves"),
        (replace(SERVING, weight=1), "passing serves"),
        (replace(SERVING, weight=0), "critical stands by"),
        (replace(SERVING, admission=Admission.DRAIN), "critical drains"),
        (replace(SERVING, admission=Admission.MAINT), "critical is out of use"),
        (replace(SERVING, check=Check.DOWN, said="refused"), "critical is down: refused"),
        (FRESH, "critical is being checked"),
        (None, "critical is not known to the gateway yet"),
    ],
)
def test_what_the_gateway_sends_to_passes(address: str, server: ObservedServer | None, said: str) -> None:
    assert gated(address, SERVING, server) == ["passing serves", said]


def test_a_gateway_that_sends_to_nobody_takes_nobody_from_those_who_go_to_containers_themselves() -> None:
    assert gated("network:default", FRESH, None) == ["passing serves", "passing serves"]
    assert gated("gateway", FRESH, None) == ["critical is being checked", "critical is not known to the gateway yet"]
