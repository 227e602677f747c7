"""Does what docker compose started go on under us, container by container as it is, and can it be written down?"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import inspected
import pytest
from surroundings import CommandLine, Outcome

from reconciler.model import labels

STARTED = Path(__file__).parent / "started" / "compose.yaml"
PROJECT, ENVIRONMENT = "takeover", "takeover-test"
OF_PROJECT = {"label": f"{labels.COMPOSE_PROJECT}={PROJECT}"}
SECRETS = ("s3cret", "an0ther", "t0ken", "p4ss", "l4bel")


@dataclass(frozen=True, slots=True)
class Started:
    """A project that docker compose started, and the command line beside it."""

    engine: docker.APIClient
    run: CommandLine
    top: Path

    @property
    def repository(self) -> Path:
        return self.top / "repository"

    def ids(self) -> dict[str, str]:
        """Return the id of each of its running containers, by name."""
        return {one["Names"][0].strip("/"): one["Id"] for one in self.engine.containers(filters=OF_PROJECT)}

    def made(self) -> dict[str, dict[str, Any]]:
        """Return how each of its containers was made, by name."""
        ids = self.ids()
        names = {id: name for name, id in ids.items()}
        documents = {name: self.engine.inspect_container(id) for name, id in ids.items()}
        for document in documents.values():
            if document["HostConfig"]["NetworkMode"].startswith("container:"):
                document["Config"]["Hostname"] = ""  # Its owner's id.
        return {name: inspected.container(document, names) for name, document in documents.items()}

    def settled(self, *words: str) -> Outcome:
        """Apply the repository; it must come to rest."""
        done = self.run("apply", str(self.repository), *words)
        assert done.code == 0, done.err
        return done

    def remove(self, *names: str) -> None:
        for name in names:
            self.engine.remove_container(name, force=True)


@pytest.fixture
def started(
    engine: docker.APIClient,
    busybox_image: str,
    compose: tuple[str, ...],
    reconciler: CommandLine,
    clean_environment: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Started]:
    clean_environment(ENVIRONMENT)

    def docker_compose(*words: str) -> None:
        command = (*compose, "--file", str(STARTED), *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    docker_compose("down", "--volumes", "--timeout", "0")
    docker_compose("up", "--detach", "--wait")
    yield Started(engine, reconciler, tmp_path)
    clean_environment(ENVIRONMENT)
    docker_compose("down", "--volumes", "--timeout", "0")


def test_a_project_is_adopted_without_a_new_container_and_then_managed(started: Started) -> None:
    before = started.ids()
    shutil.copytree(STARTED.parent, started.repository / "shop")
    declared = started.repository / "reconciler.yaml"
    declared.write_text(f"api: v1\nname: {ENVIRONMENT}\nstacks:\n  shop:  # as it was\n    path: shop\n")

    listed = started.run("adopt", "--source", str(started.repository))
    # Other projects may run on the engine, too, and make the columns wider.
    assert f"{PROJECT} 6 of 6 run db, lodger, plain, web, workers ×2" in " ".join(listed.out.split())
    told = started.run("adopt", PROJECT, "--source", str(started.repository), "--write")
    assert (told.code, told.err.count("error")) == (0, 0), told.err
    assert told.out.splitlines()[0] == f"to write: reconciler.yaml, stacks.shop: {{adopt: [{PROJECT}]}}"
    assert "Plan: nothing to do. Nothing blocked." in told.out
    (word,) = started.run("audit", "show", "--json", "--number", "1").out.splitlines()
    assert (json.loads(word)["what"], json.loads(word)["target"]) == ("adopt", "shop")
    assert declared.read_text().endswith(f"  shop:  # as it was\n    adopt: [{PROJECT}]\n    path: shop\n")
    assert f"{PROJECT}  6 of 6 run" in started.run("adopt").out

    assert " 0 actions " in started.settled().out
    assert started.ids() == before
    assert "adopted by stack shop" in started.run("adopt", "--source", str(started.repository)).out
    again = started.run("adopt", PROJECT, "--source", str(started.repository))
    assert again.out.startswith("to write: nothing, it is adopted already\n")

    started.engine.kill(f"{PROJECT}-plain-1")
    started.settled()
    assert started.ids() == before

    text = (started.repository / "shop/compose.yaml").read_text()
    (started.repository / "shop/compose.yaml").write_text(text.replace("oom_score_adj: 100", "oom_score_adj: 200"))
    started.settled()
    after = started.ids()
    assert {name for name in before if after[name] != before[name]} == {"takeover-front"}
    assert started.engine.inspect_container("takeover-front")["Config"]["Labels"][labels.ENVIRONMENT] == ENVIRONMENT


def refuses_without_secrets(started: Started) -> None:
    """What looks secret is nowhere unless a file for it is named, and no plan goes on without it."""
    repository = started.top / "without"
    written = started.run("init", str(repository), "--project", PROJECT, "--name", ENVIRONMENT)
    assert written.code == 0, written.err
    assert f"environment.{PROJECT}: COMMAND_TOKEN, COMMAND_URL, DB_PASSWORD, URL, WORKERS_DB_PASSWORD" in written.out
    files = "".join(path.read_text() for path in repository.rglob("*") if path.is_file())
    assert not [secret for secret in SECRETS if secret in written.out + written.err + files]
    refused = started.run("plan", str(repository))
    assert refused.code == 1
    assert "[R180]" in refused.err
    again = started.run("init", str(repository), "--project", PROJECT)
    assert (again.code, "is there already" in again.err) == (1, True)


def test_a_repository_written_from_what_runs_plans_empty_and_makes_it_again_alike(started: Started) -> None:
    before, made, secrets = started.ids(), started.made(), started.top / "operator.yaml"
    refuses_without_secrets(started)
    where = ("--operator", str(secrets))
    written = started.run(
        "init", str(started.repository), "--project", PROJECT, "--name", ENVIRONMENT, "--secrets", str(secrets)
    )
    assert (written.code, written.err) == (0, ""), written.err
    files = [path for path in started.repository.rglob("*") if path.is_file()]
    assert {path.relative_to(started.repository).as_posix() for path in files} == {
        "reconciler.yaml",
        f"stacks/{PROJECT}/compose.yaml",
        f"stacks/{PROJECT}/.env",
    }
    assert not [(path, secret) for path in files for secret in SECRETS if secret in path.read_text()]
    assert secrets.stat().st_mode & 0o777 == 0o600

    assert "Plan: nothing to do. Nothing blocked." in started.run("plan", str(started.repository), *where).out
    assert " 0 actions " in started.settled(*where).out
    assert started.run("plan", str(started.repository), *where, "--exit-code").code == 0
    assert started.ids() == before

    started.remove(*before)
    started.settled(*where)
    assert started.made() == made
    assert not set(started.ids().values()) & set(before.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("init", "new", "--project", "takeover-nobody"), "no Compose project 'takeover-nobody' that nobody owns"),
        (("init", "new", "--secrets", "new/operator.yaml"), "new/operator.yaml is inside new, which is to be committed"),
        (("adopt", "--write"), "name the projects to take over"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(
    engine: docker.APIClient, reconciler: CommandLine, words: tuple[str, ...], said: str
) -> None:
    done = reconciler(*words)
    assert done.code == 1
    assert said in done.err
