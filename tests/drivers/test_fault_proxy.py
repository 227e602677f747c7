"""Does the proxy carry everything that an engine and its clients say, and spoil exactly what it is told to?"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import APIError
from fault_proxy import Answer, Delay, Drop, FaultProxy, asks, fault_proxy, nth, template

NAME = "fault-proxy-test"
CONTAINER = {"command": ["sleep", "100000"], "name": NAME, "host_config": {"NetworkMode": "none"}}
BUSYBOX = "busybox:1.36"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/_ping", "/_ping"),
        ("/v1.41/containers/json?all=1", "/containers/json"),
        ("/v1.41/containers/create?name=web", "/containers/create"),
        ("/containers/3f2a/json", "/containers/{id}/json"),
        ("/v1.51/containers/3f2a?v=true", "/containers/{id}"),
        ("/v1.41/containers/json/start", "/containers/{id}/start"),
        ("/v1.41/networks/create", "/networks/create"),
        ("/v1.41/networks/shop_default/connect", "/networks/{id}/connect"),
        ("/v1.41/networks", "/networks"),
        ("/v1.41/volumes/data", "/volumes/{name}"),
        ("/v1.41/images/create?fromImage=busybox", "/images/create"),
        ("/v1.41/images/registry.example:5000/a/b:1/json", "/images/{name}/json"),
        ("/v1.41/images/a/b@sha256:00?force=1", "/images/{name}"),
        ("/v1.41/distribution/a/b/json", "/distribution/{name}/json"),
        ("/v1.41/exec/77/start", "/exec/{id}/start"),
    ],
)
def test_a_request_is_known_by_what_kind_of_thing_it_is_about(target: str, kind: str) -> None:
    assert template(target) == kind


@pytest.fixture
def proxy(engine: docker.APIClient, tmp_path: Path) -> Iterator[FaultProxy]:
    _remove(engine)
    with fault_proxy(tmp_path / "engine.sock") as proxy:
        yield proxy
    assert [thread.name for thread in threading.enumerate() if "process_request_thread" in thread.name] == []
    _remove(engine)


@pytest.fixture
def client(proxy: FaultProxy, tmp_path: Path) -> Iterator[docker.APIClient]:
    client = docker.APIClient(f"unix://{tmp_path}/engine.sock", version="auto", timeout=20)
    yield client
    client.close()


def _remove(engine: docker.APIClient) -> None:
    for left in engine.containers(all=True, filters={"name": f"^/{NAME}$"}):
        engine.remove_container(left["Id"], force=True)


def _is_there(engine: docker.APIClient) -> bool:
    return bool(engine.containers(all=True, filters={"name": f"^/{NAME}$"}))


def test_whatever_a_client_and_an_engine_say_goes_through(proxy: FaultProxy, client: docker.APIClient) -> None:
    client.create_container(BUSYBOX, **CONTAINER)
    client.put_archive(NAME, "/", _archive())
    events = client.events(decode=True, filters={"container": NAME})
    client.start(NAME)
    assert next(events)["Action"] == "start"
    said = client.exec_start(client.exec_create(NAME, ["cat", "/a"])["Id"])
    logs = client.logs(NAME, stream=True, follow=True)
    client.kill(NAME)
    assert (said, list(logs)) == (b"content", [])
    assert client.wait(NAME)["StatusCode"] == 137
    client.remove_container(NAME)
    assert [(call.method, call.path) for call in proxy.changes] == [
        ("POST", "/containers/create"),
        ("PUT", "/containers/{id}/archive"),
        ("POST", "/containers/{id}/start"),
        ("POST", "/containers/{id}/exec"),
        ("POST", "/exec/{id}/start"),
        ("POST", "/containers/{id}/kill"),
        ("DELETE", "/containers/{id}"),
    ]
    assert {("GET", "/events"), ("POST", "/containers/{id}/wait"), ("GET", "/containers/{id}/logs")} <= set(proxy.endpoints)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("a")
        member.size = len(b"content")
        tar.addfile(member, io.BytesIO(b"content"))
    return buffer.getvalue()


def test_a_terminal_is_carried_both_ways(engine: docker.APIClient, proxy: FaultProxy, tmp_path: Path) -> None:
    engine.create_container(BUSYBOX, **CONTAINER)
    engine.start(NAME)
    command = ("docker", "--host", f"unix://{tmp_path}/engine.sock", "exec", "--interactive", NAME, "tr", "a-z", "A-Z")
    done = subprocess.run(command, input=b"there and back", capture_output=True, timeout=20, env={"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout) == (0, b"THERE AND BACK")


def test_what_is_dropped_before_never_happens_and_what_is_dropped_after_does(
    engine: docker.APIClient, proxy: FaultProxy, client: docker.APIClient
) -> None:
    told: list[str] = []
    proxy.rules.append((nth(1), Drop("before", lambda: told.append("before"))))
    proxy.rules.append((nth(2), Drop("after", lambda: told.append("after"))))
    for there in (False, True):
        with pytest.raises(requests.ConnectionError):
            client.create_container(BUSYBOX, **CONTAINER)
        assert _is_there(engine) is there
    assert told == ["before", "after"]
    assert [call.change for call in proxy.spoilt] == [1, 2]
    assert client.inspect_container(NAME)["State"]["Status"] == "created"


def test_it_answers_in_place_of_the_engine(engine: docker.APIClient, proxy: FaultProxy, client: docker.APIClient) -> None:
    proxy.rules.append((asks("POST", "/containers/create"), Answer(409, "removal in progress")))
    with pytest.raises(APIError, match="removal in progress") as refusal:
        client.create_container(BUSYBOX, **CONTAINER)
    assert refusal.value.status_code == 409
    assert not _is_there(engine)
    proxy.begin_anew()
    client.create_container(BUSYBOX, **CONTAINER)
    assert [call.change for call in proxy.changes] == [1]


def test_a_delay_is_longer_than_a_client_waits(engine: docker.APIClient, proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.rules.append((nth(1), Delay(60)))
    hasty = docker.APIClient(f"unix://{tmp_path}/engine.sock", version="auto", timeout=1)
    with pytest.raises(requests.Timeout):
        hasty.create_container(BUSYBOX, **CONTAINER)
    hasty.close()
    assert not _is_there(engine)


def test_a_stream_is_cut_or_falls_silent(engine: docker.APIClient, proxy: FaultProxy, client: docker.APIClient) -> None:
    events = _events(client)
    engine.create_container(BUSYBOX, **CONTAINER)
    assert b'"create"' in next(events)
    assert proxy.cut() == 1
    with pytest.raises((requests.RequestException, StopIteration)):
        next(events)
    proxy.silence()
    unheard = _events(client)
    engine.start(NAME)
    with pytest.raises(requests.ConnectionError, match="timed out"):
        next(unheard)


def _events(client: docker.APIClient) -> Iterator[bytes]:
    """Listen, but for no longer than a second in silence, which the SDK's own method has no word for."""
    asked = {"filters": f'{{"container": ["{NAME}"]}}'}
    return client.get(f"{client.base_url}/v{client.api_version}/events", params=asked, stream=True, timeout=1).iter_lines(1)
