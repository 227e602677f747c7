"""What does every gateway promise? The same tests run on real HAProxies and on the gateway in memory.

A test class inherits `GatewayContract` and provides a fixture `world` (see gateway_worlds.py).
"""

from __future__ import annotations

import pytest
from answering import ECHO, HTTP
from gateway_worlds import GatewayWorld, Replica, look

from reconciler.errors import Conflict, Refused, Unreachable
from reconciler.model.plan import AddServer, DrainServer, LoadGateway, RemoveServer, StageGateway, Target, WeighServer
from reconciler.model.traffic import Admission, Backend, Check, Layer, Listener, ObservedServer, TrafficConfig

WEB = Backend("shop.web.80", "shop/web", HTTP, Layer.L7, "/")
TALK = Backend("shop.talk.81", "shop/talk", ECHO)


def serving(world: GatewayWorld, *backends: Backend) -> dict[str, int]:
    """Have the gateway listen for the backends; return the port of each."""
    ports = {one.name: world.port() for one in backends}
    world.gateway.do(LoadGateway(world.gateways[-1], config(backends, ports)))
    return ports


def config(backends: tuple[Backend, ...], ports: dict[str, int]) -> TrafficConfig:
    return TrafficConfig(tuple(Listener("", ports[one.name], one.layer, one.name) for one in backends), backends)


def add(world: GatewayWorld, backend: Backend, replica: Replica) -> None:
    world.gateway.do(AddServer(world.gateways[-1], backend, replica.server, replica.address))


def weigh(world: GatewayWorld, backend: Backend, replica: Replica, weight: int = 100) -> None:
    world.gateway.do(WeighServer(world.gateways[-1], backend.name, replica.server, weight))


def drain(world: GatewayWorld, backend: Backend, replica: Replica) -> None:
    world.gateway.do(DrainServer(world.gateways[-1], backend.name, replica.server))


def remove(world: GatewayWorld, backend: Backend, replica: Replica) -> None:
    world.gateway.do(RemoveServer(world.gateways[-1], backend.name, replica.server))


def seen(world: GatewayWorld, backend: Backend, replica: Replica) -> ObservedServer:
    found = look(world).server(backend.name, replica.server)
    assert found is not None
    return found


def up(world: GatewayWorld, backend: Backend, *replicas: Replica) -> None:
    """Add replicas and let them take part as soon as they pass their checks."""
    for one in replicas:
        add(world, backend, one)
    for one in replicas:
        world.until(lambda one=one: seen(world, backend, one).check is Check.UP, f"{one.name} is not up")  # type: ignore[misc]
        weigh(world, backend, one)


class GatewayContract:
    """The promises of `ports.Gateway`, one sentence each."""

    def test_a_config_that_was_loaded_runs_and_is_what_it_starts_with(self, world: GatewayWorld) -> None:
        port = world.port()
        wanted = TrafficConfig((Listener("127.0.0.1", port, Layer.L7),))
        world.gateway.do(LoadGateway(world.gateways[-1], wanted))
        now = look(world)
        assert (now.running, now.written, now.listeners) == (wanted.digest, wanted.digest, (f"127.0.0.1:{port}",))
        assert now.container == world.gateways[-1].id
        assert now.version

    def test_a_gateway_is_also_known_by_its_name(self, world: GatewayWorld) -> None:
        wanted = TrafficConfig((Listener("", world.port()),))
        world.gateway.do(LoadGateway(Target(world.gateways[-1].name), wanted))
        assert look(world).running == wanted.digest

    def test_a_server_begins_with_nothing_and_serves_once_it_is_up_and_weighed(self, world: GatewayWorld) -> None:
        port = serving(world, WEB)[WEB.name]
        web = world.replica("web-1")
        assert world.ask(port) == ""
        add(world, WEB, web)
        now = seen(world, WEB, web)
        assert (now.weight, now.admission, now.in_flight) == (0, Admission.READY, 0)
        assert (now.address, now.port) == (web.address, HTTP)
        world.until(lambda: seen(world, WEB, web).check is Check.UP, "it is not up")
        assert world.ask(port) == ""
        weigh(world, WEB, web)
        assert world.ask(port) == "web-1"

    def test_a_server_is_not_up_before_a_check_has_passed(self, world: GatewayWorld) -> None:
        port = serving(world, WEB)[WEB.name]
        silent = world.replica("silent", serves=False)
        add(world, WEB, silent)
        weigh(world, WEB, silent)
        checks: set[Check] = set()

        def is_down() -> bool:
            checks.add(seen(world, WEB, silent).check)
            return Check.DOWN in checks

        world.until(is_down, "it is not down")
        assert checks <= {Check.PENDING, Check.DOWN}
        assert world.ask(port) == ""

    def test_adding_a_known_server_changes_nothing(self, world: GatewayWorld) -> None:
        serving(world, WEB)
        web = world.replica("web-1")
        up(world, WEB, web)
        add(world, WEB, web)
        now = seen(world, WEB, web)
        assert (now.weight, now.check) == (100, Check.UP)

    def test_a_server_does_not_move_to_another_address(self, world: GatewayWorld) -> None:
        serving(world, WEB)
        web, other = world.replica("web-1"), world.replica("web-2")
        add(world, WEB, web)
        with pytest.raises(Conflict):
            world.gateway.do(AddServer(world.gateways[-1], WEB, web.server, other.address))
        assert seen(world, WEB, web).address == web.address

    def test_what_the_gateway_does_not_know_is_a_conflict(self, world: GatewayWorld) -> None:
        serving(world, WEB)
        web = world.replica("web-1")
        for change in (
            AddServer(world.gateways[-1], TALK, web.server, web.address),
            WeighServer(world.gateways[-1], WEB.name, web.server, 1),
            DrainServer(world.gateways[-1], WEB.name, web.server),
        ):
            with pytest.raises(Conflict):
                world.gateway.do(change)

    def test_what_is_no_name_is_refused_before_it_is_sent(self, world: GatewayWorld) -> None:
        serving(world, WEB)
        for name in ("a b", "x;shutdown sessions server y", "", "a\nb", "a/b"):
            with pytest.raises(Refused):
                world.gateway.do(DrainServer(world.gateways[-1], WEB.name, name))

    @pytest.mark.parametrize("weight", [-1, 257])
    def test_a_weight_out_of_range_is_refused(self, world: GatewayWorld, weight: int) -> None:
        serving(world, WEB)
        web = world.replica("web-1")
        add(world, WEB, web)
        with pytest.raises(Refused, match="0 to 256"):
            weigh(world, WEB, web, weight)

    def test_a_server_that_drains_gets_nothing_new_and_keeps_what_it_has(self, world: GatewayWorld) -> None:
        port = serving(world, TALK)[TALK.name]
        talk = world.replica("web-1")
        up(world, TALK, talk)
        release = world.hold(port)
        world.until(lambda: seen(world, TALK, talk).in_flight == 1, "nothing is in flight")
        drain(world, TALK, talk)
        drain(world, TALK, talk)
        now = seen(world, TALK, talk)
        assert (now.admission, now.in_flight, now.weight) == (Admission.DRAIN, 1, 100)
        release()
        world.until(lambda: seen(world, TALK, talk).in_flight == 0, "something is in flight still")

    def test_a_server_that_drained_takes_part_again(self, world: GatewayWorld) -> None:
        port = serving(world, WEB)[WEB.name]
        web = world.replica("web-1")
        up(world, WEB, web)
        drain(world, WEB, web)
        assert world.ask(port) == ""
        weigh(world, WEB, web, 7)
        now = seen(world, WEB, web)
        assert (now.admission, now.weight, world.ask(port)) == (Admission.READY, 7, "web-1")

    def test_a_removed_server_is_forgotten_whatever_it_has_in_flight(self, world: GatewayWorld) -> None:
        port = serving(world, TALK)[TALK.name]
        talk = world.replica("web-1")
        up(world, TALK, talk)
        world.hold(port)
        world.until(lambda: seen(world, TALK, talk).in_flight == 1, "nothing is in flight")
        remove(world, TALK, talk)
        remove(world, TALK, talk)
        world.until(lambda: look(world).servers == (), "it is known still")

    def test_a_reload_keeps_servers_and_what_they_have_in_flight(self, world: GatewayWorld) -> None:
        ports = serving(world, TALK)
        talk, other = world.replica("web-1"), world.replica("web-2")
        up(world, TALK, talk)
        release = world.hold(ports[TALK.name])
        up(world, TALK, other)
        drain(world, TALK, other)
        ports[WEB.name] = world.port()
        world.gateway.do(LoadGateway(world.gateways[-1], config((TALK, WEB), ports)))
        now = look(world)
        assert (now.running, len(now.listeners)) == (config((TALK, WEB), ports).digest, 2)
        first, second = seen(world, TALK, talk), seen(world, TALK, other)
        assert (first.weight, first.admission, first.check, first.in_flight) == (100, Admission.READY, Check.UP, 1)
        assert (second.weight, second.admission, second.in_flight) == (100, Admission.DRAIN, 0)
        release()
        world.until(lambda: seen(world, TALK, talk).in_flight == 0, "something is in flight still")
        remove(world, TALK, talk)
        assert look(world).server(TALK.name, talk.server) is None

    def test_a_server_of_a_backend_that_is_gone_is_seen_until_nothing_is_in_flight(self, world: GatewayWorld) -> None:
        port = serving(world, TALK)[TALK.name]
        talk = world.replica("web-1")
        up(world, TALK, talk)
        release = world.hold(port)
        world.until(lambda: seen(world, TALK, talk).in_flight == 1, "nothing is in flight")
        world.gateway.do(LoadGateway(world.gateways[-1], TrafficConfig()))
        now = seen(world, TALK, talk)
        assert (now.admission, now.in_flight) == (Admission.DRAIN, 1)
        drain(world, TALK, talk)
        release()
        world.until(lambda: look(world).servers == (), "it is known still")

    def test_a_port_that_somebody_else_holds_is_refused_and_all_stays_as_it_is(self, world: GatewayWorld) -> None:
        port = serving(world, WEB)[WEB.name]
        web = world.replica("web-1")
        up(world, WEB, web)
        before = look(world)
        taken = world.occupied()
        wanted = TrafficConfig((Listener("", port, Layer.L7, WEB.name), Listener("", taken)), (WEB,))
        with pytest.raises(Refused, match=f"(?i)any:{taken}.*in use"):
            world.gateway.do(LoadGateway(world.gateways[-1], wanted))
        now = look(world)
        assert (now.running, now.written, now.listeners) == (before.running, before.written, before.listeners)
        assert world.ask(port) == "web-1"

    def test_a_gateway_that_starts_serves_nobody_until_it_is_told_who_is_where(self, world: GatewayWorld) -> None:
        port = serving(world, WEB)[WEB.name]
        web = world.replica("web-1")
        up(world, WEB, web)
        before = look(world)
        world.restart()
        add(world, WEB, web)
        now = look(world)
        assert (now.running, now.written, now.listeners) == (before.running, before.written, before.listeners)
        assert [(one.weight, one.admission) for one in now.servers] == [(0, Admission.READY)]
        assert world.ask(port) == ""

    def test_a_successor_takes_over_listeners_and_servers(self, world: GatewayWorld) -> None:
        ports = serving(world, WEB, TALK)
        web = world.replica("web-1")
        up(world, WEB, web)
        up(world, TALK, web)
        release = world.hold(ports[TALK.name])
        before = look(world)
        world.gateway.do(StageGateway(world.gateways[-1], config((WEB, TALK), ports)))
        assert look(world).written == before.written
        world.succeed()
        now = look(world)
        assert (now.container, now.running, now.written) == (world.gateways[-1].id, before.running, before.written)
        assert seen(world, WEB, web).weight == 100
        world.until(lambda: seen(world, TALK, web).in_flight == 1, "what the one before has in flight is not counted")
        world.retire()
        assert world.ask(ports[WEB.name]) == "web-1"
        release()
        world.until(lambda: seen(world, TALK, web).in_flight == 0, "something is in flight still")

    def test_what_was_staged_is_worth_nothing_once_its_gateway_is_gone(self, world: GatewayWorld) -> None:
        port = serving(world, WEB)[WEB.name]
        web = world.replica("web-1")
        up(world, WEB, web)
        world.gateway.do(StageGateway(world.gateways[-1], config((WEB,), {WEB.name: port})))
        world.restart()
        world.until(lambda: answers(world), "the gateway does not answer")
        assert look(world).servers == ()
        assert world.ask(port) == ""

    def test_a_gateway_that_does_not_run_does_not_answer(self, world: GatewayWorld) -> None:
        web = world.replica("web-1")
        with pytest.raises(Unreachable):
            world.gateway.observe(web.id)


def answers(world: GatewayWorld) -> bool:
    try:
        look(world)
    except Unreachable:
        return False
    return True
