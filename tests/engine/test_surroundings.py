"""Are the surroundings of the engine tests what they say?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from surroundings import Remote, git

from reconciler.model import labels


def test_the_two_images_differ(busybox_image: str, newer_busybox_image: str, engine: docker.APIClient) -> None:
    (image,), (newer,) = engine.images(busybox_image), engine.images(newer_busybox_image)
    assert image["Id"] != newer["Id"]


def test_a_remote_holds_what_was_pushed(git_remote: Callable[[Path], Remote], tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    (tmp_path / "start/old").write_text("1\n")
    remote = git_remote(tmp_path / "start")
    commit = remote.push({"old": None, "stacks/new": "2\n"}, "Replace old by new")
    assert git(Path(remote.url), "ls-tree", "-r", "--name-only", "main").split() == ["stacks/new"]
    assert git(Path(remote.url), "log", "--format=%H %an %s", "--max-count=1").strip() == f"{commit} Ada Replace old by new"


def test_a_clean_environment_leaves_nothing_of_its_own_and_everything_else(
    engine: docker.APIClient, busybox_image: str, clean_environment: Callable[[str], str]
) -> None:
    ours, others = clean_environment("surroundings"), clean_environment("surroundings-too")
    for environment in (ours, others):
        label = {labels.ENVIRONMENT: environment}
        volume = engine.create_volume(environment, labels=label)["Name"]
        engine.create_network(environment, labels=label)
        mounted = engine.create_host_config(binds=[f"{volume}:/data"])
        engine.create_container(busybox_image, "true", labels=label, host_config=mounted)
    clean_environment(ours)
    assert _things(engine, ours) == (0, 0, 0)
    assert _things(engine, others) == (1, 1, 1)


def _things(engine: docker.APIClient, environment: str) -> tuple[int, int, int]:
    label = {"label": f"{labels.ENVIRONMENT}={environment}"}
    containers, networks = engine.containers(all=True, filters=label), engine.networks(filters=label)
    return len(containers), len(networks), len(engine.volumes(filters=label)["Volumes"] or ())


def test_tests_on_an_engine_stay_on_one_worker(request: pytest.FixtureRequest, engine: docker.APIClient) -> None:
    # Versions of pytest and pytest-xdist that do not fit drop the group in silence.
    grouped = getattr(request.config.option, "loadgroup", False)
    assert not grouped or request.node.nodeid.endswith("@engine")
