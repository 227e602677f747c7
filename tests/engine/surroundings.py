"""Who stands around the reconciler in an engine test: a Git remote with a person who pushes, and a command line?"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import docker

from reconciler.model import labels


@dataclass(frozen=True, slots=True)
class Remote:
    """A Git remote and the person who pushes to it, on the branch `main`."""

    url: str
    _clone: Path

    def push(self, files: Mapping[str, str | None], subject: str) -> str:
        """Write the files (None deletes one), commit and push them; return the commit's id."""
        for path, text in files.items():
            file = self._clone / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        return self.push_all(subject)

    def push_all(self, subject: str) -> str:
        """Commit and push what stands in the clone; return the commit's id."""
        git(self._clone, "add", "--all")
        git(self._clone, "commit", "--quiet", "--allow-empty", "--message", subject)
        git(self._clone, "push", "--quiet", "origin", "main")
        return git(self._clone, "rev-parse", "HEAD").strip()

    def apply(self, patch: Path) -> str:
        """Commit and push a patch as `git format-patch` writes them; return the commit's id."""
        git(self._clone, "am", "--quiet", str(patch))
        git(self._clone, "push", "--quiet", "origin", "main")
        return git(self._clone, "rev-parse", "HEAD").strip()


def git(directory: Path, *words: str) -> str:
    """Run git as a person whom no configuration of this machine knows; return what it printed."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    done = subprocess.run(("git", *words), cwd=directory, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of the command line left: its exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def build_image(engine: docker.APIClient, reference: str, recipe: str) -> None:
    """Make an image of the lines of a Dockerfile."""
    for line in engine.build(fileobj=io.BytesIO(recipe.encode()), tag=reference, rm=True, decode=True):
        assert "error" not in line, line["error"]


def remove_container(engine: docker.APIClient, container: str) -> None:
    """Remove a container, stopped: one that the engine is about to restart may stay on its networks for ever."""
    engine.stop(container, timeout=0)
    engine.remove_container(container, v=True, force=True)


def remove_network(engine: docker.APIClient, network: str) -> None:
    """Remove a network, unless nobody is on it and the engine will not let go of it.

    After many starts and removals at once an engine may keep an endpoint of a container that is gone, until it restarts.
    """
    try:
        engine.remove_network(network)
    except docker.errors.APIError as refusal:
        if "active endpoints" not in str(refusal) or engine.inspect_network(network)["Containers"]:
            raise


def remove_environment(engine: docker.APIClient, environment: str) -> None:
    """Leave nothing of an environment on the engine."""
    remove_labelled(engine, f"{labels.ENVIRONMENT}={environment}")
    for lease in engine.volumes(filters={"label": f"{labels.LEASE}={environment}"})["Volumes"] or ():
        engine.remove_volume(lease["Name"])


def remove_labelled(engine: docker.APIClient, label: str) -> None:
    """Remove every container, network and volume with a label."""
    labelled = {"label": label}
    containers = [container["Id"] for container in engine.containers(all=True, filters=labelled)]
    networks = [network["Id"] for network in engine.networks(filters=labelled)]
    with ThreadPoolExecutor(4) as hands:
        list(hands.map(lambda container: remove_container(engine, container), containers))
        list(hands.map(lambda network: remove_network(engine, network), networks))
    for volume in engine.volumes(filters=labelled)["Volumes"] or ():
        engine.remove_volume(volume["Name"])


class CommandLine(Protocol):
    def __call__(self, *words: str, deadline_seconds: float = 60.0) -> Outcome:
        """Run `reconciler WORDS`; fail when it takes longer than the deadline."""
