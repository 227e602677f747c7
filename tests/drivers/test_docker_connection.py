"""Is the engine found where Docker's own tools find it, and is every way to miss it told in words that help?"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fake_engine import Route, breaks_off, fake_engine, fake_remote_engine, hangs, raw, says

from reconciler.drivers.docker import connect
from reconciler.drivers.docker.inside import containers_named
from reconciler.errors import Refused, Unreachable, UsageError
from reconciler.model.desired import Attachment
from reconciler.model.plan import CreateInstance, PullImage, RemoveVolume, StartInstance, Target

NOBODY = 65534


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine's user."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "engine.sock"


def _context(tmp_path: Path, name: str, host: str) -> None:
    """Write a context as `docker context create` does."""
    meta = tmp_path / "config/contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(document))
    (tmp_path / "config/config.json").write_text("{}")


# Found


def test_an_explicit_host_wins(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    with fake_engine(place, info=says({"NCPU": 3, "MemTotal": 7, "OSType": "linux", "SecurityOptions": ["name=rootless"]})):
        engine = connect(f"unix://{place}").engine()
    assert (engine.version, engine.api, engine.cpus, engine.memory_bytes, engine.rootless) == ("24.0.7", "1.43", 3, 7, True)


def test_docker_host_wins_over_contexts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with fake_engine(place) as asked:
        connect()
    assert asked == ["GET /version"]


def test_docker_context_names_the_engine(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _context(tmp_path, "remote", f"unix://{place}")
    monkeypatch.setenv("DOCKER_CONTEXT", "remote")
    with fake_engine(place) as asked:
        connect()
    assert asked


def test_the_current_context_of_the_config_names_the_engine(place: Path, tmp_path: Path) -> None:
    _context(tmp_path, "remote", f"unix://{place}")
    (tmp_path / "config/config.json").write_text(json.dumps({"currentContext": "remote"}))
    with fake_engine(place) as asked:
        connect()
    assert asked


def test_certificates_in_the_environment_do_not_concern_a_socket(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "")
    with fake_engine(place) as asked:
        connect(f"unix://{place}")
    assert asked


def _certificates(directory: Path) -> ssl.SSLContext:
    """Write what DOCKER_CERT_PATH holds, one certificate being authority, server and client at once."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *kind, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    (directory / "ca.pem").write_bytes(certificate.read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_remote_engine_is_reached_with_certificates_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_remote_engine(_certificates(tmp_path)) as (port, asked):
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        assert connect().engine().version == "24.0.7"
    assert asked == ["GET /version", "GET /v1.43/info"]


def test_a_remote_engine_with_a_strange_certificate_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    _certificates(tmp_path / "other")
    with fake_remote_engine(_certificates(tmp_path)) as (port, asked):
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "other"))
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            connect(f"tcp://127.0.0.1:{port}")
    assert asked == []


# Missed


def test_an_unknown_context_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with pytest.raises(UsageError, match="no Docker context 'nowhere'"):
        connect()


@pytest.mark.parametrize(
    "address", ["gopher://x", "tcp://", "unix:///x?y=z", "ssh://", "ssh://u:secret@host", "ssh://-oProxy=x"]
)
def test_an_address_nobody_understands_is_shown(address: str) -> None:
    with pytest.raises(UsageError, match="not understood"):
        connect(address)


def test_missing_certificates_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(UsageError, match="certificates"):
        connect("tcp://127.0.0.1:1")


def test_a_missing_socket_is_named(place: Path) -> None:
    with pytest.raises(Unreachable, match=f"no engine socket at {place}") as refusal:
        connect(f"unix://{place}")
    assert "DOCKER_HOST" in refusal.value.hint


def test_a_socket_nobody_listens_at_is_refused(place: Path) -> None:
    with fake_engine(place):
        pass
    with pytest.raises(Unreachable, match=r"(?i)connection refused"):
        connect(f"unix://{place}")


def test_a_port_nobody_listens_at_is_refused_without_the_password() -> None:
    with pytest.raises(Unreachable, match=r"(?i)connection refused"):
        connect("tcp://127.0.0.1:1")


@contextmanager
def _as_nobody() -> Iterator[None]:
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_forbidden_socket_names_user_group_and_mode() -> None:
    with TemporaryDirectory() as directory, fake_engine(place := Path(directory) / "engine.sock"):
        Path(directory).chmod(0o711)
        place.chmod(0)
        group = place.stat().st_gid
        with _as_nobody(), pytest.raises(Unreachable, match=f"may not open the engine socket {place}") as refusal:
            connect(f"unix://{place}")
    assert "uid" in str(refusal.value)
    assert "mode 0000" in str(refusal.value)
    assert f"--group-add {group}" in refusal.value.hint


@pytest.mark.parametrize(
    ("version", "words", "hint"),
    [
        ({"Version": "19.03.15", "ApiVersion": "1.40", "MinAPIVersion": "1.12"}, ["19.03.15", "1.40", "1.41"], "20.10"),
        ({"Version": "99.0", "ApiVersion": "1.99", "MinAPIVersion": "1.90"}, ["99.0", "1.90", "1.51"], "upgrade reconciler"),
    ],
    ids=["too old", "too new"],
)
def test_an_engine_of_another_age_is_refused_with_both_versions(
    place: Path, version: dict[str, str], words: list[str], hint: str
) -> None:
    with fake_engine(place, version=says(version)), pytest.raises(Refused) as refusal:
        connect(f"unix://{place}")
    assert all(word in str(refusal.value) for word in words)
    assert hint in refusal.value.hint


def test_a_newer_engine_is_spoken_to_in_the_newest_version_known(place: Path) -> None:
    version = {"Version": "31.0", "ApiVersion": "1.60", "MinAPIVersion": "1.44"}
    with fake_engine(place, version=says(version)) as asked:
        assert connect(f"unix://{place}").engine().api == "1.51"
    assert asked[-1] == "GET /v1.51/info"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raw(b"<html>nginx</html>"), "no JSON"),
        (says({}), "no Docker engine"),
        (says({"ApiVersion": "x; rm"}), "no Docker engine"),
        (raw(b"", 502), "answered 502"),
    ],
    ids=["a web page", "another service", "rubbish", "a proxy's error"],
)
def test_what_is_no_engine_is_told(place: Path, answer: Route, words: str) -> None:
    with fake_engine(place, version=answer), pytest.raises(Unreachable, match=words):
        connect(f"unix://{place}")


# Lost later


def test_a_hung_engine_does_not_hold_us(place: Path) -> None:
    over = threading.Event()
    with fake_engine(place, start=hangs(over), json=says({"Config": {"Labels": {"io.reconciler.environment": "x"}}})):
        runtime = connect(f"unix://{place}", 0.2)
        with pytest.raises(Unreachable, match="did not answer in time") as refusal:
            runtime.do(StartInstance(Target("web-1")))
        over.set()
    assert "may be done or not" in refusal.value.hint


def test_an_engine_that_went_away_is_told(place: Path) -> None:
    with fake_engine(place):
        runtime = connect(f"unix://{place}")
    place.unlink()
    with pytest.raises(Unreachable, match="no engine socket"):
        runtime.observe("production")


def test_an_event_stream_that_breaks_is_told(place: Path) -> None:
    line = json.dumps({"Type": "volume", "Action": "create", "Actor": {"ID": "data"}, "time": 1}).encode() + b"\n"
    with fake_engine(place, events=breaks_off(line)):
        heard = connect(f"unix://{place}").events(threading.Event())
        assert next(heard).name == "data"
        with pytest.raises(Unreachable):
            next(heard)


def test_an_event_stream_that_ends_is_told(place: Path) -> None:
    with fake_engine(place, events=raw(b"")), pytest.raises(Unreachable, match="ended its stream"):
        next(connect(f"unix://{place}").events(threading.Event()))


def test_a_pull_that_ends_in_an_error_is_told_without_credentials(place: Path) -> None:
    progress = [{"status": "Pulling"}, {"errorDetail": {"message": "Get https://anna:geheim@r.example/: denied"}}]
    stream = "\r\n".join(map(json.dumps, progress)).encode()
    with fake_engine(place, create=raw(stream)), pytest.raises(Refused, match="denied") as refusal:
        connect(f"unix://{place}").do(PullImage("r.example/web:1"))
    assert "geheim" not in str(refusal.value)


# Newer engines


def test_a_newer_engine_attaches_every_network_as_it_creates_the_container(place: Path) -> None:
    version = {"Version": "25.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24"}
    places = (Attachment("front", "front", (), {"Aliases": ["web"]}), Attachment("back", "back", (), {"GwPriority": 1}))
    with fake_engine(place, version=says(version), create=says({"Id": "abc"}, 201)) as asked:
        connect(f"unix://{place}").do(CreateInstance("web-1", "shop/web", 1, "web:1", {"Cmd": ["x"]}, places))
    path, _, body = asked[-1].removeprefix("POST ").partition(" ")
    assert (path, len(asked)) == ("/v1.44/containers/create?name=web-1", 2)
    assert json.loads(body) == {
        "Cmd": ["x"],
        "Image": "web:1",
        "HostConfig": {"NetworkMode": "front"},
        "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["web"]}, "back": {"GwPriority": 1}}},
    }


# Said no


@pytest.mark.parametrize("name", ["../containers/x", "a/../b", "", "."])
def test_a_name_cannot_lead_to_another_place(place: Path, name: str) -> None:
    with fake_engine(place) as asked, pytest.raises(Refused, match="cannot be the name"):
        connect(f"unix://{place}").do(RemoveVolume(name))
    assert asked == ["GET /version"]


ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"12:pids:/docker/{ID}\n0::/docker/{ID}\n", [ID]),
        (f"0::/system.slice/docker-{ID}.scope\n", [ID]),
        (f"678 651 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n", [ID]),
        ("0::/\n", []),
        ("1:name=systemd:/user.slice\n", []),
    ],
    ids=["cgroup v1", "systemd", "cgroup v2 mounts", "cgroup v2", "no container"],
)
def test_the_system_names_the_container_a_process_runs_in(text: str, ids: list[str]) -> None:
    assert containers_named(text) == ids


def test_a_test_runs_in_no_container_of_a_fake_engine(place: Path) -> None:
    with fake_engine(place):
        assert connect(f"unix://{place}").own_container() == ""


def test_errors_of_the_engine_are_ours(place: Path) -> None:
    lists = {"networks": says([]), "volumes": says({}), "json": says({"message": "kaputt"}, 500)}
    with fake_engine(place, **lists), pytest.raises(Refused, match="observe: kaputt"):
        connect(f"unix://{place}").observe("production")
