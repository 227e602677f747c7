"""Do containers get a DNS server to ask and URLs that never change, where a service asks for them?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.errors import InvalidState, Problem, Severity
from reconciler.load.loading import LoadSettings, load
from reconciler.load.names import NameServers
from reconciler.model.desired import DesiredState, Service
from reconciler.model.source import Revision
from reconciler.settings import RegistryFaces

API = "{image: 'api:1', expose: ['8080'], x-discovery: {name: shop-api}}"
SERVED = NameServers("172.17.0.1", ("192.0.2.53",))


def loaded(web: str, servers: NameServers = SERVED, api: str = API, store: str = API) -> DesiredState:
    """The state in which `web` is one service of the stack shop beside `api`, and `store` one of the stack data."""
    files = {
        "reconciler.yaml": "api: v1\nname: test\nstacks: {shop: {path: shop}, data: {path: data}}\n",
        "shop/compose.yaml": f"services:\n  api: {api}\n  web: {web}\n",
        "data/compose.yaml": f"services:\n  store: {store.replace('shop-api', 'store')}\n",
    }
    revision = Revision("0" * 40, "main", datetime(2026, 1, 1, tzinfo=UTC))
    return load(MemoryFiles({path: text.encode() for path, text in files.items()}), revision, LoadSettings(servers=servers))


def web(says: str, more: str = "") -> str:
    return f"{{image: 'web:1', expose: ['80'], x-discovery: {says}{more}}}"


def service(desired: DesiredState) -> Service:
    return desired.stack("shop").service("web")


def test_a_service_that_resolves_asks_the_registry_first() -> None:
    assert service(loaded(web("{resolve: true}"))).container["HostConfig"]["Dns"] == ["172.17.0.1", "192.0.2.53"]
    own = service(loaded(web("{resolve: true}", ", dns: [9.9.9.9]")))
    assert own.container["HostConfig"]["Dns"] == ["172.17.0.1", "9.9.9.9"]


def test_who_does_not_ask_for_it_is_as_it_was() -> None:
    plain = service(loaded(web("{}", ", dns: [9.9.9.9]")))
    assert plain.container["HostConfig"]["Dns"] == ["9.9.9.9"]
    assert "Env" not in plain.container


def test_uses_puts_stable_urls_into_the_environment() -> None:
    made = service(loaded(web("{resolve: true, uses: {STORE_URL: data/store, API_URL: api}}", ", environment: {A: b}")))
    urls = ["API_URL=http://shop-api.service.reconciler:8080", "STORE_URL=http://store.service.reconciler:8080"]
    assert made.container["Env"] == ["A=b", *urls]
    assert str(made.mark("environment.API_URL")).startswith("shop/compose.yaml:3:")


@pytest.mark.parametrize(
    ("api", "url"),
    [
        ("{image: 'api:1', ports: ['8088:80'], x-discovery: {name: shop-api}}", "http://shop-api.service.reconciler:8088"),
        (
            "{image: 'api:1', network_mode: host, x-discovery: {name: shop-api, port: 90}}",
            "http://shop-api.service.reconciler:90",
        ),
    ],
)
def test_the_port_is_the_one_that_entries_carry(api: str, url: str) -> None:
    made = service(loaded(web("{resolve: true, uses: {API_URL: api}}"), api=api))
    assert made.container["Env"] == [f"API_URL={url}"]


@pytest.mark.parametrize(
    ("servers", "why"),
    [
        (NameServers(), "the operator serves no DNS that containers reach"),
        (NameServers("172.17.0.1"), "nobody says which servers know all other names"),
    ],
)
def test_where_it_cannot_work_it_has_no_effect_and_a_warning(servers: NameServers, why: str) -> None:
    desired = loaded(web("{resolve: true}"), servers)
    assert "Dns" not in service(desired).container.get("HostConfig", {})
    (warning,) = desired.warnings
    assert (warning.code, warning.message) == ("R178", f"resolve has no effect: {why}")


def mistakes(text: str, api: str = API) -> list[Problem]:
    with pytest.raises(InvalidState) as raised:
        loaded(text, api=api)
    return [problem for problem in raised.value.problems if problem.severity is Severity.ERROR]


NONE = "R199 there is no {} to be found at a port that is known before it runs"


@pytest.mark.parametrize(
    ("says", "more", "api", "message"),
    [
        ("{uses: {API_URL: api}}", "", API, "R199 web uses names that its containers cannot resolve"),
        ("{resolve: true, uses: {A: none}}", "", API, NONE.format("none")),
        ("{resolve: true, uses: {A: shop/web, B: data/api}}", "", API, NONE.format("data/api")),
        ("{resolve: true, uses: {A: api}}", "", "{image: 'api:1', ports: ['80'], x-discovery: {}}", NONE.format("api")),
        ("{resolve: true, uses: {A: api}}", "", "{image: 'api:1'}", NONE.format("api")),
        ("{resolve: true, uses: {A: api}}", ", environment: {A: b}", API, "R063 A stands under environment too"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(says: str, more: str, api: str, message: str) -> None:
    (problem,) = mistakes(web(says, more), api)
    assert f"{problem.code} {problem.message}" == message
    assert problem.mark is not None
    assert str(problem.mark).startswith("shop/compose.yaml:3:")
    assert problem.at.startswith("services.web.x-discovery.uses")


@pytest.mark.parametrize(
    ("dns", "address", "asked"),
    [
        ("172.17.0.1:53", "127.0.0.1", "172.17.0.1"),
        ("0.0.0.0:53", "192.0.2.10", "192.0.2.10"),
        (":53", "192.0.2.10", "192.0.2.10"),
        ("0.0.0.0:53", "127.0.0.1", ""),
        ("127.0.0.1:53", "192.0.2.10", ""),
        ("172.17.0.1:8600", "192.0.2.10", ""),
        ("[2001:db8::1]:53", "127.0.0.1", "2001:db8::1"),
        ("", "192.0.2.10", ""),
    ],
)
def test_containers_ask_port_53_of_an_address_that_is_not_their_own(dns: str, address: str, asked: str) -> None:
    assert RegistryFaces(dns=dns, address=address).dns_for_containers == asked
