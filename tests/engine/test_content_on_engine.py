"""Do files of the repository stand where Compose would have mounted them, whatever the container lets us write to?"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from reconciler.drivers.directory import DirectoryFiles
from reconciler.drivers.docker import DockerRuntime, connect
from reconciler.load.compose import ComposeRequest, load_project
from reconciler.load.definition import Context
from reconciler.load.service import build_service
from reconciler.model import labels
from reconciler.model.desired import Service
from reconciler.model.plan import CreateInstance, CreateVolume, DeliverFiles, FillVolume, Target

ENVIRONMENT = "p7content"
COMPOSE = """
services:
  web:
    image: busybox:1.36
    command: [sleep, "60"]
    network_mode: none
    SETTINGS
    volumes: [VOLUMES]
    configs: [{source: inline, target: TARGET, mode: 0440, uid: "7", gid: "8"}]
configs:
  inline: {content: "level = high\\n"}
"""


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., Service]:
    """Build the service of a repository with one directory of configuration."""

    def build(target: str, settings: str = "", volumes: str = "") -> Service:
        text = COMPOSE.replace("TARGET", target).replace("SETTINGS", settings).replace("VOLUMES", volumes)
        (tmp_path / "compose.yaml").write_text(text)
        (tmp_path / "conf.d").mkdir()
        (tmp_path / "conf.d" / "site.conf").write_text("server {}\n")
        files = DirectoryFiles(tmp_path)
        project = load_project(files, ComposeRequest(root="/.repository", name=ENVIRONMENT))
        return build_service(project, "web", Context("shop", files, "/.repository"))[0]

    return build


@pytest.fixture
def made(
    engine: docker.APIClient, busybox_image: str, clean_environment: Callable[[str], str]
) -> Callable[[Service], Callable[[str], bytes]]:
    """Make the container of a service; return what reads a file of it as the started container would see it."""
    marks = {labels.ENVIRONMENT: clean_environment(ENVIRONMENT)}
    runtime = connect()

    def make(service: Service) -> Callable[[str], bytes]:
        _fill_volumes(runtime, service, marks)
        container = {**service.container, "HostConfig": {**service.container.get("HostConfig", {}), "NetworkMode": "none"}}
        name = service.instance_name(1)
        runtime.do(CreateInstance(name, service.id, 1, service.image, {**container, "Labels": marks}))
        if service.files:
            runtime.do(DeliverFiles(Target(name), service.files))
        engine.start(name)
        return lambda path: _read(engine, name, path)

    return make


def _fill_volumes(runtime: DockerRuntime, service: Service, marks: dict[str, str]) -> None:
    for volume in service.content_volumes:
        files = tuple(replace(file, target=file.target.removeprefix(volume.target)) for file in volume.files)
        beside = volume.target if volume.with_image else ""
        runtime.do(CreateVolume(volume.name, {}, marks))
        runtime.do(FillVolume(volume.name, files, service.image, marks, beside))


def _read(engine: docker.APIClient, name: str, path: str) -> bytes:
    """Read from inside, so that mounts count."""
    command = engine.exec_create(name, ["cat", path])
    return bytes(engine.exec_start(command["Id"]))


def test_a_config_stands_in_the_container_with_its_mode_and_owner(
    built: Callable[..., Service], made: Callable[[Service], Callable[[str], bytes]], engine: docker.APIClient
) -> None:
    service = built("/etc/app/level.conf")
    read = made(service)
    assert read("/etc/app/level.conf") == b"level = high\n"
    stream, _ = engine.get_archive(service.instance_name(1), "/etc/app/level.conf")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        (member,) = archive.getmembers()
    assert (member.mode & 0o777, member.uid, member.gid) == (0o440, 7, 8)


def test_a_directory_hides_what_the_image_has_there(
    built: Callable[..., Service], made: Callable[[Service], Callable[[str], bytes]]
) -> None:
    read = made(built("/etc/app/level.conf", volumes="./conf.d:/bin/conf:ro"))
    assert read("/bin/conf/site.conf") == b"server {}\n"


def test_a_read_only_container_keeps_the_files_of_its_image_beside_the_delivered_one(
    built: Callable[..., Service], made: Callable[[Service], Callable[[str], bytes]]
) -> None:
    service = built("/bin/level.conf", settings="read_only: true")
    assert [volume.with_image for volume in service.content_volumes] == [True]
    # `cat` itself stands in /bin, which the volume covers.
    assert made(service)("/bin/level.conf") == b"level = high\n"


def test_a_file_below_a_memory_file_system_is_there_after_the_start(
    built: Callable[..., Service], made: Callable[[Service], Callable[[str], bytes]]
) -> None:
    read = made(built("/run/app/level.conf", settings="tmpfs: [/run]"))
    assert read("/run/app/level.conf") == b"level = high\n"


def test_a_file_in_a_writable_volume_is_written_into_it(
    built: Callable[..., Service], made: Callable[[Service], Callable[[str], bytes]]
) -> None:
    read = made(built("/data/level.conf", volumes="/data"))
    assert read("/data/level.conf") == b"level = high\n"
