"""Do `rollback` and `scale` do on a real engine and a real Git remote what they say, alone and beside a resident?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from surroundings import CommandLine, Remote, git

from reconciler.drivers.clock import SystemClock
from reconciler.model import labels

ENVIRONMENT = "writing-verbs"
SETTINGS = f"api: v1\nname: {ENVIRONMENT}\ninterval: 1s\nstacks:\n  shop: {{path: shop}}\n"
SERVICE = """\
name: writing-verbs-shop
services:
  web:
    image: {image}
    init: true
    stop_grace_period: 1s
    command: [sleep, "100000"]
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
"""
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Shop:
    """One service in a Git remote, and who commands."""

    remote: Remote
    run: CommandLine
    engine: docker.APIClient
    directory: Path
    environment: dict[str, str]

    def push(self, image: str) -> str:
        git(self.remote._clone, "pull", "--quiet", "--rebase", "origin", "main")
        return self.remote.push({"reconciler.yaml": SETTINGS, "shop/compose.yaml": SERVICE.format(image=image)}, f"run {image}")

    def images(self) -> list[str]:
        """Return the images that run for the service, sorted."""
        ours = {"label": f"{labels.ENVIRONMENT}={ENVIRONMENT}", "status": "running"}
        return sorted(one["Image"] for one in self.engine.containers(filters=ours))

    def wait_for(self, *images: str) -> None:
        clock = SystemClock()
        until = clock.monotonic() + PATIENCE_SECONDS
        while self.images() != list(images):
            assert clock.monotonic() < until, (self.images(), images)
            clock.sleep(0.2)

    def wait_until_applied(self, commit: str) -> None:
        clock = SystemClock()
        until = clock.monotonic() + PATIENCE_SECONDS
        while json.loads(self.run("status", self.remote.url, "--json").out)["applied"] != commit:
            assert clock.monotonic() < until, self.images()

    def tip(self) -> str:
        return git(Path(self.remote.url), "rev-parse", "main").strip()

    @contextmanager
    def resident(self) -> Iterator[None]:
        command = (sys.executable, "-m", "reconciler", "run", self.remote.url)
        with subprocess.Popen(command, cwd=self.directory, env=self.environment, stderr=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.terminate()
                process.wait(PATIENCE_SECONDS)


@pytest.fixture
def shop(
    engine: docker.APIClient,
    busybox_image: str,
    newer_busybox_image: str,
    git_remote: Callable[[Path], Remote],
    reconciler: CommandLine,
    command_environment: dict[str, str],
    clean_environment: Callable[[str], str],
    tmp_path: Path,
) -> Shop:
    clean_environment(ENVIRONMENT)
    (tmp_path / "start").mkdir()
    return Shop(git_remote(tmp_path / "start"), reconciler, engine, tmp_path, command_environment)


def test_a_rollback_runs_the_version_before_and_commits_it(shop: Shop) -> None:
    first = shop.push("busybox:1.36")
    assert shop.run("apply", shop.remote.url).code == 0
    shop.push("busybox:1.37")
    assert shop.run("apply", shop.remote.url).code == 0
    assert shop.images() == ["busybox:1.37"]

    done = shop.run("rollback", "shop", "--reason", "slow", "--source", shop.remote.url)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f'shop/web: back to {first[:7]} "run busybox:1.36", held until Git asks for something else',
        "shop: runs it",
        f"shop: commit {shop.tip()[:7]} on main",
    ]
    assert shop.images() == ["busybox:1.36"]
    again = shop.run("plan", shop.remote.url, "--exit-code")
    assert (again.code, "held" in again.out) == (0, False)
    assert shop.run("apply", shop.remote.url).code == 0

    shop.push("busybox:1.37")
    assert shop.run("apply", shop.remote.url).code == 0
    assert shop.images() == ["busybox:1.37"]


def test_what_cannot_be_pushed_stays_held_and_every_verb_says_so(shop: Shop) -> None:
    shop.push("busybox:1.36")
    assert shop.run("apply", shop.remote.url).code == 0
    shop.push("busybox:1.37")
    assert shop.run("apply", shop.remote.url).code == 0
    hook = Path(shop.remote.url) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)

    assert shop.run("rollback", "shop/web", "--source", shop.remote.url).code == 1
    assert shop.images() == ["busybox:1.36"]
    for words in (("plan", shop.remote.url), ("status", shop.remote.url), ("explain", "shop/web", "--source", shop.remote.url)):
        said = shop.run(*words).out
        assert "rolled back to" in said
        assert "WriteBackDelayed: branch main takes no commit of ours: protected" in said
    assert "OutOfSync" in shop.run("status", shop.remote.url).out
    assert "shop/web: will be tried again (rolled back to" in shop.run("retry", "shop/web").out
    assert shop.run("apply", shop.remote.url).code == 0
    assert shop.images() == ["busybox:1.37"]


def test_a_resident_obeys_a_rollback_and_a_scale(shop: Shop) -> None:
    first = shop.push("busybox:1.36")
    with shop.resident():
        shop.wait_until_applied(first)
        shop.push("busybox:1.37")
        shop.wait_for("busybox:1.37")

        done = shop.run("rollback", "shop", "--source", shop.remote.url)
        assert (done.code, "holds the lease" in done.err) == (0, True), done
        shop.wait_for("busybox:1.36")

        scaled = shop.run("scale", "shop/web=2", "--source", shop.remote.url, "--by", "ada")
        assert scaled.code == 0, scaled.err
        shop.wait_for("busybox:1.36", "busybox:1.36")
