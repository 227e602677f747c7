"""Does a reconciler in a hardened container replace itself from Git, on a real engine and with its own image?

It reaches the engine through the socket proxy of the guide, and has nothing but that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from house import DEADLINE_SECONDS, House, versions
from socket_proxy import socket_proxy
from surroundings import CommandLine, Remote
from worlds import SOCKET

ENVIRONMENT = "updating-itself"


@pytest.fixture
def house(
    engine: docker.APIClient,
    own_image: str,
    git_remote: Callable[[Path], Remote],
    clean_environment: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[House]:
    (tmp_path / "nothing").mkdir()
    gateway = engine.inspect_network("bridge")["IPAM"]["Config"][0]["Gateway"]
    clean_environment(ENVIRONMENT)
    with versions(engine, ENVIRONMENT, own_image), socket_proxy(tmp_path, gateway, SOCKET) as proxy:
        yield House(ENVIRONMENT, engine, git_remote(tmp_path / "nothing"), f"tcp://{proxy}")
        clean_environment(ENVIRONMENT)


def test_it_hands_over_to_its_next_version_and_not_to_a_broken_one(
    house: House, reconciler: CommandLine, busybox_image: str, newer_busybox_image: str
) -> None:
    house.push("1", web=busybox_image)
    begun = reconciler("apply", "--source", house.remote.url, deadline_seconds=DEADLINE_SECONDS)
    assert begun.code == 0, begun.err
    house.until(lambda: house.runs("1"))
    (old,) = house.selves()

    house.push("2", web=newer_busybox_image)
    assert "hand-over" in reconciler("plan", house.remote.url, deadline_seconds=DEADLINE_SECONDS).out
    house.until(lambda: _one_runs(house) and house.runs("2"))
    (new,) = house.selves()
    assert new.id != old.id
    house.until(lambda: f"{ENVIRONMENT}-self-1 has handed over to {ENVIRONMENT}-self-1.next" in house.log(new))

    house.push("broken", web=newer_busybox_image)
    house.until(lambda: any(one.image == f"{ENVIRONMENT}:broken" for one in house.selves()))
    house.until(lambda: house.runs("2"))
    assert house.selves() == [new], "the old one is as it was"
    house.until(lambda: "hand-over failed" in house.log(new) and "R130" in house.log(new))


def _one_runs(house: House) -> bool:
    assert any(one.running for one in house.selves()), "at every moment one of them runs"
    return True
