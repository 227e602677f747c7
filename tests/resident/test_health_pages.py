"""What do /healthz and /readyz answer, and does the command line understand them?"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from memory_place import ENVIRONMENT, MemoryPlace

from reconciler.api.health import HUNG_SECONDS, healthz, pages, readyz
from reconciler.api.http import Answer, listen_address, serve, serving
from reconciler.cli import main
from reconciler.drivers.clock import SystemClock
from reconciler.errors import Refused, UsageError
from reconciler.resident import Resident


@pytest.fixture
def resident(place: MemoryPlace) -> Resident:
    return Resident(place.reconciler(), lambda report: None, "us")


def test_the_loop_is_alive_as_long_as_it_comes_round(place: MemoryPlace, resident: Resident) -> None:
    status, document = healthz(resident.pulse, place.clock)
    assert (status, document) == (200, {"status": "ok", "beat_age_seconds": 0.0, "turn": None})
    place.clock.advance(HUNG_SECONDS + 1)
    status, document = healthz(resident.pulse, place.clock)
    assert (status, document["status"], document["beat_age_seconds"]) == (503, "hung", 181.0)
    resident.turn(())
    assert healthz(resident.pulse, place.clock)[0] == 200


def test_it_is_ready_after_a_turn_on_a_valid_revision(place: MemoryPlace, resident: Resident) -> None:
    assert readyz(resident.pulse, place.clock)[1]["reason"] == "no turn has been made yet"
    revision = place.push("web:1")
    resident.reconciler.refresh()
    resident.turn(("start",))
    place.clock.advance(2)
    status, document = readyz(resident.pulse, place.clock)
    assert status == 200
    assert document["turn"] == {"age_seconds": 2.0, "operation": "Succeeded", "revision": revision.id, "applied": ""}


def test_it_says_why_it_is_not_ready(place: MemoryPlace, resident: Resident) -> None:
    place.push_files({"compose.yaml": "services: {web: {imagee: x}}\n"})
    assert _reason(place, resident).startswith('compose.yaml:1:18: unknown key "imagee"')
    place.push("web:1")
    place.world.engine_down()
    assert "engine" in _reason(place, resident)
    place.world.engine_up()
    place.claim("other").take(ENVIRONMENT)
    assert _reason(place, resident) == "other holds the lease"


def _reason(place: MemoryPlace, resident: Resident) -> str:
    resident.reconciler.refresh()
    resident.turn(("test",))
    status, document = readyz(resident.pulse, place.clock)
    assert (status, document["status"]) == (503, "not ready")
    return str(document["reason"])


def test_it_lives_and_says_what_it_waits_for_before_the_engine_answers(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: web:1}}\n")
    address, clock = free_address(), SystemClock()
    place = ("--engine", f"unix://{tmp_path}/gone.sock", "--state", f"{tmp_path}/state")
    words = ("run", str(tmp_path), "--listen", address, *place)
    with subprocess.Popen((sys.executable, "-m", "reconciler", *words), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "gone.sock" in process.stderr.readline()
            until = clock.monotonic() + 30
            while "gone.sock" not in (page := json.loads(_get(address, "/readyz")[1]))["reason"]:
                assert clock.monotonic() < until, page
            assert (_get(address, "/healthz")[0], _get(address, "/readyz")[0]) == (200, 503)
        finally:
            process.terminate()
    assert process.returncode == 0


def free_address() -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


# --- over HTTP -------------------------------------------------------------------------------------------------------


@contextmanager
def _served(place: MemoryPlace, resident: Resident, host: str = "127.0.0.1") -> Iterator[str]:
    with serving(f"{host}:0", pages(resident.pulse, place.clock)) as server:
        yield f"{host}:{server.server_address[1]}"


def _get(address: str, path: str, method: str = "GET") -> tuple[int, Any]:
    connection = HTTPConnection(*listen_address(address), timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_pages_are_served_as_json(place: MemoryPlace, resident: Resident) -> None:
    with _served(place, resident) as address:
        status, body = _get(address, "/healthz")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        assert _get(address, "/readyz?verbose")[0] == 503
        assert _get(address, "/metrics")[0] == 404
        assert _get(address, "/healthz", "POST")[0] == 501
        assert _get(address, "/healthz", "PUT")[0] == 405


def test_it_listens_on_ipv6_too(place: MemoryPlace, resident: Resident) -> None:
    with _served(place, resident, "[::1]") as address:
        assert _get(address, "/healthz")[0] == 200


def test_an_address_that_is_taken_is_refused_with_a_hint(place: MemoryPlace, resident: Resident) -> None:
    with _served(place, resident) as address, pytest.raises(Refused, match=f"cannot listen on {address}") as refused:
        serve(address, lambda request: Answer(HTTPStatus.OK, b""))
    assert "--listen" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), (":8470", ("", 8470)), ("[::1]:0", ("::1", 0)), ("host:65535", ("host", 65535))],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["8470", "host:", "host:http", "host:65536", "host:-1", ""])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="no address to listen on"):
        listen_address(text)


# --- reconciler health -----------------------------------------------------------------------------------------------


def test_health_asks_the_page(place: MemoryPlace, resident: Resident, capsys: pytest.CaptureFixture[str]) -> None:
    with _served(place, resident) as address:
        assert main(["health", "--listen", address]) == 0
        assert capsys.readouterr().out == "ok\n"
        assert main(["health", "--listen", address, "--ready"]) == 1
        assert capsys.readouterr().err == "not ready: no turn has been made yet\n"
    assert main(["health", "--listen", address]) == 1
    assert "nothing answers at 127.0.0.1:" in capsys.readouterr().err
