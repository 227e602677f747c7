"""Files of the repository, configs and secrets reach a service by content, each on the way its place allows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from building import build, mistakes, said

from reconciler.load.content import MAX_BYTES, MAX_FILES
from reconciler.model.desired import ContentFile, ContentVolume, Service

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "content.yaml").read_text())
ONE_FILE = "services: {web: {image: busybox, volumes: ['./conf:/etc/app:ro']}}\n"


def _files(files: Iterable[ContentFile]) -> list[str]:
    return [
        f"{file.target} {file.mode:o} {file.uid}:{file.gid} "
        + ("***" if file.secret else '"' + file.content.decode().replace("\n", "\\n") + '"')
        for file in files
    ]


def _volume(volume: ContentVolume) -> str:
    image = " with the image's" if volume.with_image else ""
    return f"{volume.target}{image}: {' | '.join(_files(volume.files))}"


def _mounts(service: Service) -> list[str]:
    host = service.container.get("HostConfig", {})
    content = {volume.name for volume in service.content_volumes}
    return [*host.get("Binds", ()), *(str(mount) for mount in host.get("Mounts", ()) if mount.get("Source") not in content)]


@pytest.mark.parametrize("case", [case for case in CASES if "refuses" not in case], ids=lambda case: case["name"])
def test_files_are_delivered(case: dict[str, Any], tmp_path: Path) -> None:
    files = {**case.get("files", {}), "compose.yaml": case["file"]}
    service, warnings = build(tmp_path, files, case.get("variables"), case.get("host_root", ""))
    expected = [text.replace("\n", "\\n") for text in case.get("delivers", [])]
    assert _files(service.files) == expected
    assert [_volume(volume) for volume in service.content_volumes] == case.get("volumes", [])
    assert _mounts(service) == case.get("mounts", [])
    assert [said(warning) for warning in warnings] == case.get("warns", [])


@pytest.mark.parametrize("case", [case for case in CASES if "refuses" in case], ids=lambda case: case["name"])
def test_what_cannot_be_delivered_is_refused_with_its_place(case: dict[str, Any], tmp_path: Path) -> None:
    files = {**case.get("files", {}), "compose.yaml": case["file"]}
    assert mistakes(tmp_path, files, case.get("variables"), case.get("host_root", "")) == case["refuses"]


def test_a_content_volume_is_mounted_read_only_by_its_name(tmp_path: Path) -> None:
    service, _ = build(tmp_path, {"compose.yaml": ONE_FILE, "conf/a": "1"})
    (volume,) = service.content_volumes
    (mount,) = service.container["HostConfig"]["Mounts"]
    assert mount == {
        "Type": "volume",
        "Source": volume.name,
        "Target": "/etc/app",
        "ReadOnly": True,
        "VolumeOptions": {"NoCopy": True},
    }
    assert service.volumes == ()


def test_equal_names_of_volumes_mean_equal_content(tmp_path: Path) -> None:
    def name(number: int, **files: str) -> str:
        found = {"compose.yaml": ONE_FILE, **{f"conf/{path}": text for path, text in files.items()}}
        return build(tmp_path / str(number), found)[0].content_volumes[0].name

    first = name(1, a="1", b="2")
    assert first == name(2, b="2", a="1")
    assert len({first, name(3, a="1"), name(4, a="1", b="3"), name(5, a="1", c="2")}) == 4
    assert first.startswith("reconciler-content-")


def test_an_executable_file_stays_executable(tmp_path: Path) -> None:
    text = """\
services: {web: {image: busybox, configs: [{source: run, target: /run.sh}], volumes: ['./run.sh:/bin/run:ro']}}
configs: {run: {file: ./run.sh}}
"""
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o755)
    service, _ = build(tmp_path, {"compose.yaml": text})
    assert [(file.target, file.mode) for file in service.files] == [("/bin/run", 0o755), ("/run.sh", 0o555)]


def test_a_symlink_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    os.symlink("/etc/passwd", tmp_path / "conf" / "inner")
    os.symlink("conf", tmp_path / "outer")
    text = "services: {web: {image: busybox, volumes: ['./conf:/a:ro', './outer:/b:ro']}}\n"
    assert mistakes(tmp_path, {"compose.yaml": text}) == [
        "R167 1:44 services.web.volumes.0 | conf/inner is a symlink, which is never followed",
        "R167 1:60 services.web.volumes.1 | outer is a symlink, which is never followed",
    ]


def test_more_than_configuration_is_refused_without_reading_all_of_it(tmp_path: Path) -> None:
    said_of_it = "more is to be delivered than 1000 files of 64 MiB together"
    twice = "services: {web: {image: busybox, volumes: ['./large:/a:ro', './large:/b:ro', './large:/c:ro']}}\n"
    large = {"compose.yaml": twice, "large": b"x" * (MAX_BYTES // 2 + 1)}
    assert mistakes(tmp_path, large) == [f"R173 1:61 services.web.volumes.1 | {said_of_it}"]
    many = {f"conf/{number}": "" for number in range(MAX_FILES + 1)}
    assert mistakes(tmp_path, {"compose.yaml": ONE_FILE, **many}) == [f"R173 1:44 services.web.volumes.0 | {said_of_it}"]


def test_no_representation_holds_the_content_of_a_secret(tmp_path: Path) -> None:
    text = """\
services: {web: {image: busybox, read_only: true, secrets: [a]}, other: {image: busybox, secrets: [a]}}
secrets: {a: {environment: TOKEN}}
"""
    for name in ("web", "other"):
        service, _ = build(tmp_path, {"compose.yaml": text}, {"TOKEN": "canary-value"}, service=name)
        assert any("canary-value" in file.content.decode() for file in _all(service))
        assert "canary-value" not in repr(service)


def _all(service: Service) -> list[ContentFile]:
    return [*service.files, *(file for volume in service.content_volumes for file in volume.files)]


def test_as_much_as_is_allowed_is_delivered(tmp_path: Path) -> None:
    text = "services: {web: {image: busybox, volumes: ['./half:/a:ro', './half:/b:ro', './none:/c:ro']}}\n"
    service, _ = build(tmp_path, {"compose.yaml": text, "half": b"x" * (MAX_BYTES // 2), "none": ""})
    assert [(file.target, len(file.content)) for file in service.files] == [
        ("/a", MAX_BYTES // 2),
        ("/b", MAX_BYTES // 2),
        ("/c", 0),
    ]
