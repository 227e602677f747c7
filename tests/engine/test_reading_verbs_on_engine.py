"""Do the reading verbs show what one small stack on a real engine is, and why?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import docker
import pytest
from surroundings import Outcome, Remote, git, remove_environment

from reconciler.model import labels

ENVIRONMENT = "reading-verbs"
PROJECT = Path(__file__).parents[2]
NOWHERE = "unix:///nowhere/docker.sock"
SETTINGS = f"api: v1\nname: {ENVIRONMENT}\nstacks:\n  shop: {{path: shop}}\n"
COMPOSE = """\
name: reading-verbs-shop
services:
  store:
    image: busybox:1.36
    init: true
    command: [sh, -c, "echo store is open; sleep 100000"]
    healthcheck: {test: [CMD, "true"], interval: 1s}
  web:
    image: busybox:1.36
    init: true
    command: [sh, -c, "echo hello; echo oops >&2; sleep 100000"]
    environment:
      LOG_LEVEL: info
      API_TOKEN: hunter2
    depends_on:
      store: {condition: service_healthy}
    deploy: {replicas: 2}
    stop_grace_period: 1s
"""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack whose first commit was applied and whose second was not, and a command line to look at it with."""

    directory: Path
    first: str
    second: str
    environment: dict[str, str]

    def run(self, *words: str) -> Outcome:
        done = subprocess.run(
            self._command(words), cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert "hunter" not in done.stdout + done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def read(self, lines: int, *words: str) -> tuple[list[str], int]:
        """Start a verb that stays; interrupt it once it has printed so many lines. Returns them and its exit code."""
        # A test run in the background ignores SIGINT, and every program it starts would, too.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen(
            self._command(words), cwd=self.directory, env=self.environment, stdout=subprocess.PIPE, text=True, preexec_fn=heed
        )
        too_late = threading.Timer(60, process.kill)
        too_late.start()
        try:
            assert process.stdout is not None
            printed = [process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGINT)
            return printed, process.wait(30)
        finally:
            too_late.cancel()
            process.kill()
            process.communicate()

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "reconciler", *words]


@pytest.fixture(scope="module")
def deployed(engine: docker.APIClient, busybox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    directory = tmp_path_factory.mktemp("reading")
    remote = _remote(directory)
    known = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    places = {
        "HOME": str(directory),
        "RECONCILER_STATE": str(directory / "state"),
        "RECONCILER_SOURCE": f"file://{remote.url}",
        "RECONCILER_GIT_ALLOW_FILE": "yes",
    }
    first = remote.push({"reconciler.yaml": SETTINGS, "shop/compose.yaml": COMPOSE}, "Open the shop")
    environment = {**known, **places, "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}
    remove_environment(engine, ENVIRONMENT)
    try:
        applied = Deployed(directory, first, "", environment).run("apply")
        assert applied.code == 0, applied.err
        second = remote.push({"shop/compose.yaml": COMPOSE.replace("info", "debug")}, "Say more")
        yield Deployed(directory, first, second, environment)
    finally:
        remove_environment(engine, ENVIRONMENT)


def _remote(directory: Path) -> Remote:
    bare, clone = directory / "remote.git", directory / "clone"
    clone.mkdir()
    git(directory, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(clone, "init", "--quiet", "--initial-branch=main")
    git(clone, "remote", "add", "origin", str(bare))
    return Remote(str(bare), clone)


# --- with everybody there --------------------------------------------------------------------------------------------


def test_status_says_how_every_service_is(deployed: Deployed) -> None:
    said = deployed.run("status")
    assert (said.code, said.err) == (0, "")
    assert f'reading-verbs  at {deployed.second[:7]} "Say more", Ada <ada@example.org>' in said.out
    assert f"{deployed.first[:7]}; {deployed.second[:7]} is not applied whole" in said.out
    rows = {words[0]: words[1:5] for line in said.out.splitlines() if len(words := line.split()) > 4}
    assert rows["store"] == ["1/1", "Synced", "Healthy", "busybox:1.36"]
    assert rows["web"][::3] == ["2/2", "busybox:1.36"]
    assert rows["web"][1] == "OutOfSync"


def test_status_leaves_out_what_is_fine_when_asked_to_be_quiet(deployed: Deployed) -> None:
    said = deployed.run("status", "--quiet")
    assert "web" in said.out
    assert "store" not in said.out


def test_status_tells_programs_the_same(deployed: Deployed) -> None:
    document = json.loads(deployed.run("status", "--json").out)
    assert (document["environment"], document["applied"], document["now"]) == (ENVIRONMENT, deployed.first, True)
    assert document["revision"]["subject"] == "Say more"
    assert {one["name"]: (one["ready"], one["sync"]) for one in document["stacks"][0]["services"]} == {
        "store": (1, "Synced"),
        "web": (2, "OutOfSync"),
    }


def test_a_watched_status_prints_at_once_and_ends_when_interrupted(deployed: Deployed) -> None:
    printed, code = deployed.read(3, "status", "--watch")
    assert printed[0].startswith("reading-verbs")
    assert code == 130
    (line,), code = deployed.read(1, "status", "--watch", "--json")
    assert (json.loads(line)["environment"], code) == ("reading-verbs", 130)


def test_diff_names_the_line_and_the_containers(deployed: Deployed) -> None:
    said = deployed.run("diff", "--exit-code")
    assert said.code == 2
    assert said.out.splitlines() == [
        "shop/web   shop/compose.yaml:8:3",
        "  ~ reading-verbs-shop-web-1, reading-verbs-shop-web-2",
        "      environment LOG_LEVEL  info → debug   shop/compose.yaml:13:7",
    ]
    [only] = json.loads(deployed.run("diff", "--json").out)
    assert only["differing"][0]["fields"][0]["git"] == "debug"


def test_explain_leads_from_the_commit_to_the_containers(deployed: Deployed, engine: docker.APIClient) -> None:
    said = deployed.run("explain", "shop/web")
    ours = {"label": [f"{labels.ENVIRONMENT}={ENVIRONMENT}", f"{labels.SERVICE}=web"]}
    ids = [container["Id"] for container in engine.containers(filters=ours)]
    assert said.code == 0
    for part in (
        f'{deployed.second[:7]} "Say more", Ada <ada@example.org>',
        f'made for {deployed.first[:7]} "Open the shop", Ada <ada@example.org>',
        "start-first (no writable mounts)",
        "shop/store  service_healthy  Synced Healthy",
        "differs: environment LOG_LEVEL  info → debug   shop/compose.yaml:13:7",
        *(id[:12] for id in ids),
    ):
        assert part in said.out
    assert len(ids) == 2
    settings = {line.split()[0]: line.split()[1:] for line in said.out.splitlines() if "shop/compose.yaml" in line}
    assert settings["environment.API_TOKEN"] == ["***", "shop/compose.yaml:14:7"]
    assert settings["environment.LOG_LEVEL"] == ["debug", "shop/compose.yaml:13:7"]


def test_logs_join_all_replicas(deployed: Deployed) -> None:
    said = deployed.run("logs", "shop")
    assert sorted(said.out.splitlines()) == [
        "reading-verbs-shop-store-1 | store is open",
        "reading-verbs-shop-web-1   | hello",
        "reading-verbs-shop-web-1   | oops",
        "reading-verbs-shop-web-2   | hello",
        "reading-verbs-shop-web-2   | oops",
    ]
    assert len(deployed.run("logs", "shop", "--tail", "1").out.splitlines()) == 3


def test_followed_logs_come_and_end_when_interrupted(deployed: Deployed) -> None:
    printed, code = deployed.read(4, "logs", "shop/web", "--follow", "--no-prefix")
    assert sorted(printed) == ["hello\n", "hello\n", "oops\n", "oops\n"]
    assert code == 130


def test_history_lists_what_was_done_and_what_ran(deployed: Deployed) -> None:
    turns = json.loads(deployed.run("history", "--json").out)
    assert {turn["revision"] for turn in turns} == {deployed.first}
    assert sum(turn["done"] for turn in turns) >= 7
    assert '"Open the shop"  Ada  apply' in deployed.run("history", "-n", "1").out
    then = deployed.run("history", "--at", "0s")
    assert f'{deployed.first[:7]} "Open the shop"' in then.out
    assert "web    2/2  Synced  Healthy" in then.out


def test_retry_says_that_nothing_is_held(deployed: Deployed) -> None:
    assert deployed.run("retry", "--all").out == "nothing is held back\n"
    assert deployed.run("retry", "shop/web").out == "shop/web: nothing held it back\n"


def test_looking_changes_nothing(deployed: Deployed, engine: docker.APIClient) -> None:
    def world() -> tuple[object, ...]:
        ours = engine.containers(all=True, filters={"label": f"{labels.ENVIRONMENT}={ENVIRONMENT}"})
        return sorted((one["Id"], one["State"]) for one in ours), deployed.run("history", "--all", "--json").out

    before = world()
    for words in (["status"], ["diff"], ["explain", "shop/web"], ["logs", "shop"], ["history"]):
        assert deployed.run(*words).code == 0
    assert world() == before


# --- with somebody missing -------------------------------------------------------------------------------------------


def test_without_an_engine_the_history_speaks(deployed: Deployed) -> None:
    for words in (["status"], ["explain", "shop/web"]):
        said = deployed.run(*words, "--engine", NOWHERE)
        assert said.code == 1
        assert said.err.startswith("error: there is no engine socket at /nowhere/docker.sock\nhint: ")
        assert "Synced Healthy" in said.out
    assert "last seen" in deployed.run("status", "--engine", NOWHERE).out


def test_what_only_the_engine_knows_is_an_error_without_it(deployed: Deployed) -> None:
    for words in (["diff"], ["logs", "shop/web"]):
        said = deployed.run(*words, "--engine", NOWHERE)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("error: there is no engine socket")


def test_without_the_remote_the_last_revision_known_is_shown(deployed: Deployed, tmp_path: Path) -> None:
    remote = deployed.directory / "remote.git"
    shutil.move(remote, tmp_path / "away.git")
    try:
        said = deployed.run("status")
    finally:
        shutil.move(tmp_path / "away.git", remote)
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert f'{deployed.first[:7]} "Open the shop", Ada' in said.out
    assert "the newest that could be read" in said.out


def test_an_unknown_service_is_refused_with_a_suggestion(deployed: Deployed) -> None:
    said = deployed.run("explain", "shop/wob")
    assert (said.code, said.out) == (1, "")
    assert said.err == "error: nobody knows a service 'shop/wob'\nhint: did you mean \"shop/web\"?\n"
