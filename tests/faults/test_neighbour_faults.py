"""Does the resident live with registries that fail, with full disks, with other people's hands and with its own kind?"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from fault_proxy import Answer, FaultProxy, asks
from image_registry import ImageRegistry, image_registry
from private_engine import PrivateEngine, filled
from residence import Reside, service, write
from worlds import small_root

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("private engine")]

RUNS = {"Entrypoint": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]}


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """The directory that the resident follows: it asks for one service."""
    write(tmp_path / "git", service("web"))
    return tmp_path / "git"


@pytest.fixture
def client(own_engine: PrivateEngine) -> Iterator[docker.APIClient]:
    """The hands of people."""
    with own_engine.client() as client:
        yield client


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ImageRegistry]:
    # The user's own credentials have no business in a test.
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with image_registry() as registry:
        yield registry


def images(client: docker.APIClient) -> dict[str, str]:
    """Return the image of each container that runs, by name."""
    return {one["Names"][0][1:]: one["Image"] for one in client.containers()}


def foreign(client: docker.APIClient, name: str, *binds: str) -> str:
    """Run somebody's container; return its id."""
    id = client.create_container("web:1", name=name, host_config=client.create_host_config(binds=list(binds)))["Id"]
    client.start(id)
    return str(id)


# --- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_f15_pulls_that_are_refused(client: docker.APIClient, registry: ImageRegistry, reside: Reside, git: Path) -> None:
    troubles = {"missing": "manifest unknown", "private": "unauthorized", "limited": "pull rate limit"}
    troubles["broken"] = "500 Internal Server Error"
    for name in troubles:
        registry.push(f"{name}/web:2", small_root(), RUNS)
    write(git, "".join(service(name) for name in (*troubles, "good")))
    resident = reside()
    resident.settled()
    pulled = {name: registry.reference(f"{name}/web:2") for name in troubles}
    write(git, "".join(service(name, image) for name, image in {**pulled, "good": "web:2"}.items()))
    for message in troubles.values():
        resident.says(message)
    resident.until(lambda report: images(client).get("shop-good-1") == "web:2", "others go on")
    assert images(client) == {**{f"shop-{name}-1": "web:1" for name in troubles}, "shop-good-1": "web:2"}


@pytest.mark.long
def test_f16_a_registry_that_hangs_in_a_layer(
    client: docker.APIClient, registry: ImageRegistry, reside: Reside, git: Path
) -> None:
    registry.push("hanging/web:2", small_root(), RUNS)
    write(git, service("api") + service("web"))
    resident = reside(seconds=60.0)
    resident.settled()
    write(git, service("api", registry.reference("hanging/web:2")) + service("web", "web:2"))
    resident.until(lambda report: images(client).get("shop-web-1") == "web:2", "others go on while it hangs")
    client.remove_container("shop-api-1", force=True)
    write(git, service("api") + service("web", "web:2"))
    registry.closing.set()
    resident.settled()
    assert images(client) == {"shop-api-1": "web:1", "shop-web-1": "web:2"}


# --- what others hold, and what they do --------------------------------------------------------------------------------


def test_f22_a_host_port_that_another_process_holds(client: docker.APIClient, reside: Reside, git: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        write(git, service("web", ports=f"['127.0.0.1:{port}:80']") + service("api"))
        resident = reside()
        resident.says("address already in use")
        assert images(client) == {"shop-api-1": "web:1"}
    resident.settled()
    assert images(client) == {"shop-api-1": "web:1", "shop-web-1": "web:1"}


@pytest.mark.long
def test_f24_a_name_that_a_foreign_container_holds(client: docker.APIClient, reside: Reside, git: Path) -> None:
    stranger = foreign(client, "shop-web-1")
    resident = reside()
    resident.says("container name shop-web-1 belongs to nobody we know")
    assert client.inspect_container("shop-web-1")["Id"] == stranger
    client.remove_container(stranger, force=True)
    resident.settled()


def test_f25_what_hands_can_do_to_a_container(client: docker.APIClient, reside: Reside, git: Path) -> None:
    hands: dict[str, Callable[[str], object]] = {
        "killed": client.kill,
        "removed": lambda name: client.remove_container(name, force=True),
        "renamed": lambda name: client.rename(name, "lost"),
        "stopped": client.stop,
        "squeezed": lambda name: client.update_container(name, mem_limit=64 << 20, memswap_limit=128 << 20),
    }
    write(git, "".join(service(name, mem_limit="128m") for name in hands))
    resident = reside()
    resident.settled()
    before = images(client)
    for name, hand in hands.items():
        hand(f"shop-{name}-1")
    resident.settled()
    assert images(client) == before
    assert client.inspect_container("shop-squeezed-1")["HostConfig"]["Memory"] == 128 << 20


@pytest.mark.long
def test_f25_a_container_made_again_under_other_labels(client: docker.APIClient, reside: Reside, git: Path) -> None:
    first = reside()
    first.settled()
    first.leave()
    client.remove_container("shop-web-1", force=True)
    stranger = foreign(client, "shop-web-1")
    reside().says("container name shop-web-1 belongs to nobody we know")
    assert client.inspect_container("shop-web-1")["Id"] == stranger


def test_f26_a_foreign_network_and_volume_of_the_wanted_names(client: docker.APIClient, reside: Reside, git: Path) -> None:
    network = client.create_network("shop_default")["Id"]
    client.create_volume("shop_data", labels={"owner": "ada"})
    write(git, service("web", volumes="['data:/data']"), more="volumes: {data: {}}\n")
    resident = reside()
    resident.says("shop_default")
    assert images(client) == {}
    assert client.inspect_network("shop_default")["Id"] == network
    assert client.inspect_volume("shop_data")["Labels"] == {"owner": "ada"}
    client.remove_network(network)
    client.remove_volume("shop_data")
    resident.settled()


# --- disks, and an engine that is busy ---------------------------------------------------------------------------------


def test_f27_an_engine_whose_disk_is_full(
    client: docker.APIClient, own_engine: PrivateEngine, reside: Reside, git: Path
) -> None:
    resident = reside()
    resident.settled()
    with filled(own_engine.disk):
        write(git, service("web", "web:2"))
        resident.says("no space left on device")
        assert images(client) == {"shop-web-1": "web:1"}
    resident.settled()
    assert images(client) == {"shop-web-1": "web:2"}


def test_f28_a_state_directory_without_space(client: docker.APIClient, reside: Reside, git: Path, tmp_path: Path) -> None:
    with _small_disk(tmp_path / "state") as disk:
        resident = reside()
        resident.settled()
        with filled(disk):
            client.remove_container("shop-web-1", force=True)
            said = resident.until(lambda report: report.error, "it says so").error
            assert "state.db" in said
            assert resident.page("/healthz")[0] == 200
            status, page = resident.page("/readyz")
            assert (status, "state.db" in str(page["reason"])) == (503, True), page
            resident.until(lambda report: images(client) == {"shop-web-1": "web:1"}, "what is gone comes back")
        resident.settled()
        assert images(client) == {"shop-web-1": "web:1"}
        resident.leave()


@contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1m", "small", str(place)), check=True)
    try:
        yield place
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


def test_f29_a_removal_that_is_already_in_progress(
    client: docker.APIClient, proxy: FaultProxy, reside: Reside, git: Path
) -> None:
    resident = reside()
    resident.settled()
    message = "removal of container shop-web-1 is already in progress"
    proxy.rules = [(asks("DELETE", "/containers/{id}"), Answer(409, message))]
    write(git, service("web", "web:2"))
    resident.says(message)
    proxy.rules = []
    resident.settled()
    assert [one["Image"] for one in client.containers(all=True)] == ["web:2"]


def test_f30_a_volume_in_use(client: docker.APIClient, reside: Reside, git: Path) -> None:
    mounts = service("web", volumes="['data:/data']")
    write(git, mounts, more="volumes: {data: {}}\n", stack=", prune_volumes: true")
    resident = reside()
    resident.settled()
    user = foreign(client, "user", "shop_data:/data")
    write(git, service("web"), stack=", prune_volumes: true")
    resident.says("volume is in use")
    assert images(client)["user"] == "web:1"
    client.remove_container(user, force=True)
    resident.settled()
    assert "shop_data" not in [one["Name"] for one in client.volumes()["Volumes"]]


# --- several writers ---------------------------------------------------------------------------------------------------


def test_f42_two_reconcilers_of_one_environment(client: docker.APIClient, reside: Reside, git: Path) -> None:
    first = reside("one", holder="first")
    first.settled()
    second = reside("two", holder="second")
    second.waits()
    write(git, service("web", "web:2"))
    first.settled()
    assert [lease.holder for lease in second.yielded] == ["first"]
    assert not any(report.plan for report in second.told), "it makes no turn"
    assert second.page("/readyz")[1]["reason"] == "first holds the lease"
    assert [one["Image"] for one in client.containers(all=True)] == ["web:2"]


@pytest.mark.long
def test_f42_the_other_takes_over(client: docker.APIClient, reside: Reside, git: Path) -> None:
    first = reside("one", holder="first")
    first.settled()
    second = reside("two", holder="second")
    first.resident.end()
    write(git, service("web", "web:2"))
    second.settled()
    assert [one["Image"] for one in client.containers(all=True)] == ["web:2"]


def test_f43_another_owner_of_the_same_project(client: docker.APIClient, reside: Reside, git: Path, tmp_path: Path) -> None:
    reside("one", holder="first").settled()
    before = client.inspect_container("shop-web-1")
    write(tmp_path / "other", service("web", "web:2"), name="others")
    second = reside("two", holder="second", git="other")
    refused = second.says("network shop_default exists and is not ours")
    assert refused.plan is not None
    assert refused.plan.blocked[0].hint == "it belongs to environment 'faults' of another reconciler"
    after = client.inspect_container("shop-web-1")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


@pytest.mark.long
def test_f44_a_person_who_runs_docker_compose_up(
    client: docker.APIClient, own_engine: PrivateEngine, reside: Reside, git: Path, compose: tuple[str, ...]
) -> None:
    resident = reside()
    resident.settled()
    ours = client.inspect_container("shop-web-1")["Id"]
    _compose(compose, own_engine, git, "up", "--detach", "--force-recreate")
    resident.says("belongs to Compose project 'shop', which this environment does not own")
    theirs = client.inspect_container("shop-web-1")["Id"]
    assert theirs != ours
    for _ in range(3):
        resident.until(lambda report: True, "another turn")
    assert client.inspect_container("shop-web-1")["Id"] == theirs, "nobody fights"
    client.remove_container(theirs, force=True)
    resident.settled()


def _compose(command: tuple[str, ...], engine: PrivateEngine, git: Path, *words: str) -> None:
    # It has no bound of its own on what a file may expand to.
    bounded = ("sh", "-c", 'ulimit -v 4000000; exec "$@"', "sh", *command, "--file", str(git / "shop/compose.yaml"), *words)
    done = subprocess.run(bounded, env={"DOCKER_HOST": engine.url, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
