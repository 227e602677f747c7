"""Do ordinary clients, as other people wrote them, find what can serve, and only that?"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import consul as py_consul
import pytest
from shelf import TOKEN, ask, filled, publish, web
from waiting import free_port, until

from reconciler.api.faces import shown
from reconciler.api.http import Answer, serving
from reconciler.drivers.catalog import MemoryCatalog
from reconciler.model.catalog import Entry, Standing
from reconciler.settings import RegistryFaces

SECONDS = 60.0
TAGS = ("traefik.http.routers.web.rule=PathPrefix(`/`)",)


@dataclass(frozen=True)
class Scene:
    """Two replicas that really answer, each with its own name, and a registry in which they stand."""

    catalog: MemoryCatalog
    ports: tuple[int, int]
    http: str
    sd: str
    dns: str
    directory: Path

    def entries(self, *critical: int) -> list[Entry]:
        """Both replicas, some of them critical."""
        standings = (Standing.CRITICAL if number in critical else Standing.PASSING for number in (1, 2))
        places = enumerate(zip(standings, self.ports, strict=True), 1)
        return [web(number, standing, address="127.0.0.1", port=port, tags=TAGS) for number, (standing, port) in places]

    def lose(self, *numbers: int) -> None:
        publish(self.catalog, *self.entries(*numbers))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("registry")
    with ExitStack() as served:
        ports = tuple(served.enter_context(serving("127.0.0.1:0", _named(name))).server_address[1] for name in ("1", "2"))
        at = [f"127.0.0.1:{free_port()}" for _ in range(3)]
        catalog = filled()
        served.enter_context(shown(RegistryFaces(*at), catalog, TOKEN))
        yield Scene(catalog, (ports[0], ports[1]), *at, directory)


@pytest.fixture
def scene(stage: Scene, tmp_path: Path) -> Scene:
    """The stage with both replicas there, and a directory of the test's own."""
    stage.lose()
    return replace(stage, directory=tmp_path)


def _named(name: str) -> Any:
    return lambda request: Answer(HTTPStatus.OK, name.encode())


@contextmanager
def running(scene: Scene, program: str, *words: str) -> Iterator[None]:
    """Have a program run meanwhile; say what it wrote when the test fails."""
    path = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if path is None:
        pytest.skip(f"{program} is not installed; `make test` installs it where it would not start by itself")
    said = scene.directory / f"{program}.log"
    with said.open("w") as log, subprocess.Popen((path, *words), stdout=log, stderr=log, cwd=scene.directory) as process:
        try:
            yield
        except BaseException:
            sys.stderr.write(said.read_text()[-4000:])
            raise
        finally:
            process.kill()


def answers(address: str) -> set[str]:
    """Who answers behind an address: the names of a few answers, "" for none."""
    return {_answer(address) for _ in range(8)}


def _answer(address: str) -> str:
    try:
        reply = ask(address, "/")
    except OSError:
        return ""
    return reply.body.decode() if reply.status == 200 else ""


# --- Consul's API ----------------------------------------------------------------------------------------------------


def test_py_consul_finds_waits_and_registers(scene: Scene) -> None:
    client = py_consul.Consul(*scene.http.split(":"), token=TOKEN)
    assert client.catalog.services()[1] == {"web": list(TAGS)}
    index, nodes = client.health.service("web", passing=True)
    assert [one["Service"]["Port"] for one in nodes] == list(scene.ports)
    heard: list[Any] = []
    waiting = threading.Thread(target=lambda: heard.extend(client.health.service("web", index=index, wait="5m", passing=True)))
    waiting.start()
    scene.lose(2)
    waiting.join(SECONDS)
    assert (int(heard[0]) > int(index), [one["Service"]["ID"] for one in heard[1]]) == (True, ["web-1"])

    check = py_consul.Check.ttl("30s")
    assert client.agent.service.register("app", service_id="app-1", address="127.0.0.1", port=9000, tags=["x"], check=check)
    assert client.health.service("app", passing=True)[1] == []
    assert client.agent.check.ttl_pass("service:app-1", notes="well")
    (node,) = client.health.service("app", passing=True)[1]
    assert (node["Service"]["Tags"], node["Checks"][0]["Output"]) == (["x"], "well")
    assert client.agent.service.deregister("app-1")
    assert "app" not in client.catalog.services()[1]


def test_victoria_metrics_finds_every_target(scene: Scene) -> None:
    at = f"127.0.0.1:{free_port()}"
    config = f"scrape_configs: [{{job_name: web, consul_sd_configs: [{{server: '{scene.http}', services: [web]}}]}}]\n"
    (scene.directory / "scrape.yml").write_text(config)
    options = {
        "promscrape.config": "scrape.yml",
        "promscrape.consulSDCheckInterval": "1s",
        "promscrape.consul.waitTime": "5s",
        "httpListenAddr": at,
        "storageDataPath": "data",
    }
    with running(scene, "victoria-metrics", *(f"-{name}={value}" for name, value in options.items())):
        wanted = {f"127.0.0.1:{port}" for port in scene.ports}
        until(lambda: _targets(at) == wanted, "both replicas are targets", SECONDS)
        publish(scene.catalog, scene.entries()[0])
        until(lambda: _targets(at) == {f"127.0.0.1:{scene.ports[0]}"}, "one replica is a target", SECONDS)


def test_traefik_sends_requests_to_those_that_pass(scene: Scene) -> None:
    at = f"127.0.0.1:{free_port()}"
    options = {
        "providers.consulcatalog.endpoint.address": scene.http,
        "providers.consulcatalog.watch": "true",
        "providers.consulcatalog.refreshinterval": "1s",
        "entrypoints.web.address": at,
        "global.checknewversion": "false",
    }
    with running(scene, "traefik", *(f"--{name}={value}" for name, value in options.items())):
        until(lambda: answers(at) == {"1", "2"}, "both replicas answer", SECONDS)
        scene.lose(2)
        until(lambda: answers(at) == {"1"}, "only the first answers", SECONDS)


# --- Prometheus ------------------------------------------------------------------------------------------------------


def test_prometheus_finds_every_target_and_its_labels(scene: Scene) -> None:
    at = f"127.0.0.1:{free_port()}"
    relabel = "relabel_configs: [{source_labels: [__meta_reconciler_container], target_label: container}]"
    sd = f"http_sd_configs: [{{url: 'http://{scene.sd}/?service=web', refresh_interval: 1s}}]"
    (scene.directory / "prometheus.yml").write_text(f"scrape_configs: [{{job_name: web, {sd}, {relabel}}}]\n")
    words = ("--config.file=prometheus.yml", f"--web.listen-address={at}", "--storage.tsdb.path=data")
    with running(scene, "prometheus", *words):
        until(lambda: len(_targets(at)) == 2, "both replicas are targets", SECONDS)
        labels = {one["labels"]["container"] for one in ask(at, "/api/v1/targets").document["data"]["activeTargets"]}
        assert labels == {"shop-web-1", "shop-web-2"}
        publish(scene.catalog, scene.entries()[0])
        until(lambda: _targets(at) == {f"127.0.0.1:{scene.ports[0]}"}, "one replica is a target", SECONDS)


def _targets(address: str) -> set[str]:
    """The targets that a Prometheus, or who speaks like one, has now."""
    try:
        found = ask(address, "/api/v1/targets?state=active").document["data"]["activeTargets"]
    except (OSError, ValueError, KeyError):
        return set()
    return {one["discoveredLabels"]["__address__"] for one in found}


# --- DNS -------------------------------------------------------------------------------------------------------------

HAPROXY = """
global
    log stderr local0
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
resolvers registry
    nameserver ours {dns}
    resolve_retries 2
    timeout resolve 200ms
    timeout retry 200ms
    hold valid 200ms
    hold obsolete 0s
    accepted_payload_size 8192
frontend web
    bind {at}
    default_backend web
backend web
    balance roundrobin
    server-template web 4 _web._tcp.service.reconciler resolvers registry init-addr none
"""


def test_haproxy_follows_srv_records(scene: Scene) -> None:
    at = f"127.0.0.1:{free_port()}"
    (scene.directory / "haproxy.cfg").write_text(HAPROXY.format(dns=scene.dns, at=at))
    with running(scene, "haproxy", "-db", "-f", "haproxy.cfg"):
        until(lambda: answers(at) == {"1", "2"}, "both replicas answer", SECONDS)
        scene.lose(1)
        until(lambda: answers(at) == {"2"}, "only the second answers", SECONDS)


def test_dig_reads_every_kind_of_answer(scene: Scene) -> None:
    host, port = scene.dns.split(":")

    def dig(*words: str) -> str:
        asked = ("dig", f"@{host}", "-p", port, "+time=5", "+tries=2", *words)
        return subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS).stdout

    if shutil.which("dig") is None:
        pytest.skip("dig is not installed; `make test` installs it where it would not start by itself")
    assert dig("+short", "web.service.reconciler").split() == ["127.0.0.1"]
    places = {f"1 1 {port} 7f000001.addr.reconciler.reconciler." for port in scene.ports}
    assert set(dig("+short", "+tcp", "_web._tcp.service.reconciler", "SRV").splitlines()) == places
    assert dig("+short", "7f000001.addr.reconciler.reconciler").split() == ["127.0.0.1"]
    assert "status: NXDOMAIN" in dig("nobody.service.consul")
    assert "status: REFUSED" in dig("example.org")
    assert "status: NOERROR, " in dig("+dnssec", "web.service.consul", "AAAA")
    scene.lose(1, 2)
    assert dig("+short", "web.service.reconciler") == ""
