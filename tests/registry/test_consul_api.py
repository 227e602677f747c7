"""Does the registry answer as Consul does: documents, headers, blocking queries, registrations, refusals?"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from shelf import ADDRESS, NODE, TOKEN, Reply, ask, filled, publish, web

from reconciler.api.consul import MOST_REQUESTS, consul
from reconciler.api.http import MOST_BODY_BYTES, listen_address, serving
from reconciler.drivers.catalog import MemoryCatalog
from reconciler.drivers.clock import SystemClock
from reconciler.model.catalog import Listing, Standing

SICK = web(2, Standing.CRITICAL, tags=("green", "slow"))


@pytest.fixture(scope="module")
def catalog() -> MemoryCatalog:
    return filled(web(1), SICK, web(3, name="api", address="", port=9090, tags=()))


@pytest.fixture(scope="module")
def at(catalog: MemoryCatalog) -> Iterator[str]:
    """Where it is served; nobody changes it for good."""
    with serving("127.0.0.1:0", consul(catalog, TOKEN), most_requests=MOST_REQUESTS) as server:
        yield f"127.0.0.1:{server.server_address[1]}"


def ids(reply: Reply) -> list[str]:
    return [one["Service"]["ID"] for one in reply.document]


# --- documents -------------------------------------------------------------------------------------------------------


def test_every_answer_tells_how_new_it_is(at: str) -> None:
    for path in ("catalog/services", "health/service/web", "health/state/any", "agent/self", "status/leader"):
        reply = ask(at, f"/v1/{path}")
        assert reply.status == 200
        assert reply.index > 0
        assert reply.headers["X-Consul-KnownLeader"] == "true"
        assert 0 <= int(reply.headers["X-Consul-LastContact"]) < 60_000


def test_the_catalog_lists_names_with_all_their_tags(at: str) -> None:
    assert ask(at, "/v1/catalog/services").document == {"api": [], "web": ["blue", "green", "slow"]}
    assert ask(at, "/v1/catalog/datacenters").document == ["reconciler"]
    assert [node["Node"] for node in ask(at, "/v1/catalog/nodes").document] == [NODE]


def test_a_service_of_the_catalog_stands_with_its_node(at: str) -> None:
    (entry,) = ask(at, "/v1/catalog/service/api").document
    assert {key: entry[key] for key in ("Node", "Address", "ServiceID", "ServiceName", "ServiceAddress", "ServicePort")} == {
        "Node": NODE,
        "Address": ADDRESS,
        "ServiceID": "web-3",
        "ServiceName": "api",
        "ServiceAddress": ADDRESS,
        "ServicePort": 9090,
    }
    assert entry["ServiceMeta"]["reconciler-container"] == "shop-web-3"
    assert entry["CreateIndex"] == entry["ModifyIndex"] > 0


def test_health_tells_of_all_or_of_those_that_pass(at: str) -> None:
    assert ids(ask(at, "/v1/health/service/web")) == ["web-1", "web-2"]
    for passing in ("passing", "passing=1", "passing=true"):
        assert ids(ask(at, f"/v1/health/service/web?{passing}")) == ["web-1"]
    assert ids(ask(at, "/v1/health/service/web?passing=false")) == ["web-1", "web-2"]
    assert ask(at, "/v1/health/service/nobody").document == []


def test_tags_narrow_and_all_of_them_count(at: str) -> None:
    assert ids(ask(at, "/v1/health/service/web?tag=green")) == ["web-2"]
    assert ids(ask(at, "/v1/health/service/web?tag=green&tag=slow")) == ["web-2"]
    assert ids(ask(at, "/v1/health/service/web?tag=green&tag=blue")) == []


def test_checks_say_how_each_entry_is(at: str) -> None:
    checks = ask(at, "/v1/health/checks/web").document
    assert [(one["CheckID"], one["Status"], one["ServiceID"]) for one in checks] == [
        ("service:web-1", "passing", "web-1"),
        ("service:web-2", "critical", "web-2"),
    ]
    assert [one["ServiceID"] for one in ask(at, "/v1/health/state/critical").document] == ["web-2"]
    assert len(ask(at, "/v1/health/state/any").document) == len(ask(at, f"/v1/health/node/{NODE}").document) == 3
    assert ask(at, "/v1/health/node/another").document == []


def test_the_agent_and_its_node(at: str) -> None:
    assert ask(at, "/v1/agent/self").document["Config"]["Datacenter"] == "reconciler"
    assert sorted(ask(at, "/v1/agent/services").document) == ["web-1", "web-2", "web-3"]
    assert sorted(ask(at, f"/v1/catalog/node/{NODE}").document["Services"]) == ["web-1", "web-2", "web-3"]
    assert ask(at, "/v1/catalog/node/another").document is None
    assert ask(at, "/v1/status/leader").document == f"{ADDRESS}:8300"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/health/service/web?filter=Service.ID==x", 400),
        ("/v1/catalog/nodes?node-meta=a:b", 400),
        ("/v1/health/service/web?index=soon", 400),
        ("/v1/health/service/web?index=1&wait=soon", 400),
        ("/v1/health/state/good", 400),
        ("/v1/health/service/web?dc=elsewhere", 500),
        ("/v1/health/service/web?dc=reconciler&stale&cached", 200),
        ("/v1/kv/key", 404),
        ("/v1", 404),
        ("/", 404),
        ("/v1/agent/../../etc/passwd", 404),
    ],
)
def test_what_is_not_there_is_said_to_be_so(at: str, path: str, status: int) -> None:
    assert ask(at, path).status == status


def test_before_the_first_look_there_is_no_leader() -> None:
    with serving("127.0.0.1:0", consul(MemoryCatalog(SystemClock(), NODE))) as server:
        reply = ask(f"127.0.0.1:{server.server_address[1]}", "/v1/health/service/web")
    assert reply.status == 500
    assert reply.body.startswith(b"No cluster leader")


# --- blocking queries ------------------------------------------------------------------------------------------------


class Noticing(MemoryCatalog):
    """Notes each index that somebody begins to wait at."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), NODE, ADDRESS)
        self.waits: SimpleQueue[int] = SimpleQueue()

    def wait(self, index: int, seconds: float) -> Listing:
        self.waits.put(index)
        return super().wait(index, seconds)

    def awaited_at(self, index: int) -> None:
        """Return once somebody waits at this index."""
        while self.waits.get(timeout=30) != index:
            pass


def test_a_blocking_query_returns_when_what_it_asks_for_changes() -> None:
    catalog, replies = Noticing(), list[Reply]()
    publish(catalog, web(1), SICK)
    with serving("127.0.0.1:0", consul(catalog)) as server:
        at = f"127.0.0.1:{server.server_address[1]}"
        before = ask(at, "/v1/health/service/web?passing")
        path = f"/v1/health/service/web?passing&index={before.index}&wait=5m"
        waiting = threading.Thread(target=lambda: replies.append(ask(at, path)))
        waiting.start()
        catalog.awaited_at(before.index)
        publish(catalog, web(1), SICK, web(3, name="api"))
        catalog.awaited_at(catalog.listing().index)  # what is of no concern to it lets it wait on
        publish(catalog, SICK, web(3, name="api"))
        waiting.join(30)
    (reply,) = replies
    assert ids(reply) == []
    assert reply.index == catalog.listing().index


def test_a_blocking_query_ends_when_its_time_is_over(at: str) -> None:
    before = ask(at, "/v1/health/service/web")
    after = ask(at, f"/v1/health/service/web?index={before.index}&wait=50ms")
    assert (after.index, after.document) == (before.index, before.document)


def test_an_index_from_somebody_elses_future_is_answered_at_once(at: str) -> None:
    before = ask(at, "/v1/health/service/web")
    assert ask(at, f"/v1/health/service/web?index={before.index + 10**6}&wait=10m").index == before.index


def test_who_hangs_up_while_waiting_frees_the_place(catalog: MemoryCatalog) -> None:
    with serving("127.0.0.1:0", consul(catalog), most_requests=1) as server:
        at = f"127.0.0.1:{server.server_address[1]}"
        index = ask(at, "/v1/catalog/services").index
        with socket.create_connection(listen_address(at)) as gone:
            gone.sendall(f"GET /v1/catalog/services?index={index}&wait=10m HTTP/1.0\r\n\r\n".encode())
        clock = SystemClock()
        until = clock.monotonic() + 20
        while not _answers(at):
            assert clock.monotonic() < until, "the place is still taken"


def _answers(at: str) -> bool:
    try:
        return ask(at, "/v1/status/leader").status == 200
    except OSError:
        return False


# --- registering -----------------------------------------------------------------------------------------------------

REGISTER = "/v1/agent/service/register"
APP = {"ID": "app-1", "Name": "app", "Port": 9000, "Check": {"TTL": "30s"}}


def test_a_program_registers_itself_and_says_how_it_is(at: str) -> None:
    body = {"id": "app-1", "NAME": "app", "port": 9000, "Tags": ["x"], "Meta": {"Team": "a"}, "check": {"ttl": "30s"}}
    assert ask(at, REGISTER, "PUT", body, TOKEN).status == 200
    assert ids(ask(at, "/v1/health/service/app")) == ["app-1"]
    assert ids(ask(at, "/v1/health/service/app?passing")) == []
    assert ask(at, "/v1/agent/check/pass/service:app-1?note=well", "PUT", token=TOKEN).status == 200
    (entry,) = ask(at, "/v1/health/service/app?passing").document
    assert (entry["Service"]["Meta"], entry["Checks"][0]["Output"]) == ({"Team": "a"}, "well")
    assert ask(at, "/v1/agent/check/warn/service:app-1", "PUT", token=TOKEN).status == 200
    assert [one["Status"] for one in ask(at, "/v1/health/checks/app").document] == ["warning"]
    assert ask(at, "/v1/agent/check/update/service:app-1", "PUT", {"Status": "critical", "Output": "no"}, TOKEN).status == 200
    assert [one["Output"] for one in ask(at, "/v1/health/state/critical").document] == ["no", "serves"]
    assert ask(at, "/v1/agent/service/deregister/app-1", "PUT", token=TOKEN).status == 200
    assert ask(at, "/v1/health/service/app").document == []


@pytest.mark.parametrize(
    ("path", "body", "token", "status"),
    [
        (REGISTER, APP, "", 403),
        (REGISTER, APP, "another token", 403),
        (REGISTER, b"{", TOKEN, 400),
        (REGISTER, b"[" * 20000, TOKEN, 400),
        (REGISTER, [APP], TOKEN, 400),
        (REGISTER, {**APP, "Name": "a b"}, TOKEN, 400),
        (REGISTER, {**APP, "Name": None}, TOKEN, 400),
        (REGISTER, {**APP, "Port": 0}, TOKEN, 400),
        (REGISTER, {**APP, "Port": "80"}, TOKEN, 400),
        (REGISTER, {**APP, "Tags": "x"}, TOKEN, 400),
        (REGISTER, {**APP, "Tags": ["x"] * 100}, TOKEN, 400),
        (REGISTER, {**APP, "Meta": {"a": 1}}, TOKEN, 400),
        (REGISTER, {**APP, "Check": None}, TOKEN, 400),
        (REGISTER, {**APP, "Check": {"TTL": "soon"}}, TOKEN, 400),
        (REGISTER, {**APP, "Check": {"HTTP": "http://x", "TTL": "1s"}}, TOKEN, 400),
        (REGISTER, {**APP, "Check": {"TTL": "1s", "Status": "good"}}, TOKEN, 400),
        (REGISTER, {**APP, "Checks": [{"TTL": "1s"}]}, TOKEN, 400),
        (REGISTER, {**APP, "Connect": {"Native": True}}, TOKEN, 400),
        (REGISTER, b"{" + b" " * MOST_BODY_BYTES, TOKEN, 413),
        (REGISTER, {**APP, "ID": "web-1"}, TOKEN, 404),
        ("/v1/agent/service/deregister/web-1", None, TOKEN, 404),
        ("/v1/agent/check/pass/service:web-2", None, TOKEN, 404),
        ("/v1/agent/check/update/service:web-2", {"Status": "good"}, TOKEN, 400),
        ("/v1/kv/key", {"a": 1}, TOKEN, 404),
    ],
)
def test_a_registration_that_is_wrong_is_refused_and_changes_nothing(
    at: str, path: str, body: Any, token: str, status: int
) -> None:
    before = ask(at, "/v1/health/state/any")
    assert ask(at, path, "PUT", body, token).status == status
    assert ask(at, "/v1/health/state/any").document == before.document


def test_without_a_token_nobody_registers(catalog: MemoryCatalog) -> None:
    with serving("127.0.0.1:0", consul(catalog)) as server:
        reply = ask(f"127.0.0.1:{server.server_address[1]}", REGISTER, "PUT", APP)
    assert (reply.status, b"no token is set" in reply.body) == (403, True)
