"""Is an engine on the other side of ssh as good as a local one?"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ssh_server import SSHD, SshServer, ssh_server
from worlds import SOCKET

from reconciler.drivers.docker import DockerRuntime, connect
from reconciler.errors import Unreachable
from reconciler.model.observed import Questions

pytestmark = [pytest.mark.engine, pytest.mark.skipif(SSHD is None, reason="there is no sshd here (openssh-server)")]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with ssh_server(tmp_path) as server:
        monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")
        yield server


def test_the_same_engine_answers(server: SshServer) -> None:
    there = connect("unix:///var/run/docker.sock")
    assert connect(server.address).observe("nobody").engine == there.observe("nobody").engine


def test_a_socket_can_be_named(server: SshServer) -> None:
    assert connect(f"{server.address}{SOCKET}").observe("nobody").instances == ()
    with pytest.raises(Unreachable, match="nowhere"):
        connect(f"{server.address}/nowhere.sock")


def test_many_calls_at_once_are_answered(server: SshServer) -> None:
    runtime = connect(server.address)
    asked = frozenset({f"nobody/has:{number}" for number in range(20)})
    assert set(runtime.answer(Questions(images=asked)).images) == asked


def test_a_connection_that_is_lost_is_opened_again(server: SshServer) -> None:
    runtime = connect(server.address)
    server.cut()
    deadline = time.monotonic() + 10
    while not _answers(runtime):
        assert time.monotonic() < deadline, "it stays lost"
    assert runtime.observe("nobody").instances == ()


def _answers(runtime: DockerRuntime) -> bool:
    try:
        runtime.observe("nobody")
    except Unreachable:
        return False
    return True


def test_events_end_when_asked(server: SshServer) -> None:
    stop = threading.Event()
    stop.set()
    assert list(connect(server.address).events(stop)) == []


def test_a_host_that_nobody_knows_is_refused(server: SshServer) -> None:
    server.forget_host()
    with pytest.raises(Unreachable, match="Host key verification failed"):
        connect(server.address)


def test_a_user_that_it_does_not_know_is_refused(server: SshServer) -> None:
    server.forget_user()
    with pytest.raises(Unreachable, match="Permission denied"):
        connect(server.address)


def test_a_port_that_nobody_listens_on_is_told(server: SshServer) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        connect("ssh://127.0.0.1:1")


def test_a_missing_ssh_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="ssh cannot be started"):
        connect("ssh://127.0.0.1:1")
