"""What do tests on a real engine share: images, a Git remote, the command line, and a tidy end?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from surroundings import CommandLine, Outcome, Remote, git, remove_environment

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def busybox_image(engine: docker.APIClient) -> str:
    """The small image that most tests run."""
    return _local(engine, "busybox:1.36")


@pytest.fixture(scope="session")
def newer_busybox_image(engine: docker.APIClient) -> str:
    """Another image, to update to."""
    return _local(engine, "busybox:1.37")


def _local(engine: docker.APIClient, reference: str) -> str:
    if not engine.images(reference):
        pytest.fail(f"the image {reference} is not on this engine\nhint: `make images` provides it", pytrace=False)
    return reference


@pytest.fixture
def git_remote(tmp_path: Path) -> Callable[[Path], Remote]:
    """Make a bare repository whose first commit holds the files of a directory."""

    def make(directory: Path) -> Remote:
        bare, clone = tmp_path / "remote.git", tmp_path / "clone"
        shutil.copytree(directory, clone)
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        git(clone, "init", "--quiet", "--initial-branch=main")
        git(clone, "remote", "add", "origin", str(bare))
        remote = Remote(str(bare), clone)
        remote.push_all("First commit")
        return remote

    return make


@pytest.fixture
def command_environment(tmp_path: Path) -> dict[str, str]:
    """The variables of a process of the command line: the engine's, and a home and a state directory for the test."""
    (tmp_path / "home").mkdir()
    return {
        **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")},
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(PROJECT),
        "RECONCILER_STATE": str(tmp_path / "state"),
    }


@pytest.fixture
def reconciler(tmp_path: Path, command_environment: dict[str, str]) -> CommandLine:
    """The real command line in a process of its own, with a state directory that lasts for the test."""

    def run(*words: str, deadline_seconds: float = 60.0) -> Outcome:
        command = (sys.executable, "-m", "reconciler", *words)
        try:
            done = subprocess.run(
                command, cwd=tmp_path, env=command_environment, capture_output=True, text=True, timeout=deadline_seconds
            )
        except subprocess.TimeoutExpired as late:
            pytest.fail(f"reconciler {' '.join(words)}: no end after {deadline_seconds} s\n{late.stdout!r}\n{late.stderr!r}")
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def clean_environment(engine: docker.APIClient) -> Iterator[Callable[[str], str]]:
    """Give a name back as an environment of which nothing is on the engine, now and after the test."""
    names: list[str] = []

    def clean(name: str) -> str:
        names.append(name)
        remove_environment(engine, name)
        return name

    yield clean
    for name in names:
        remove_environment(engine, name)
