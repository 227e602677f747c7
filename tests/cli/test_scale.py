"""Does `reconciler scale` commit exactly the number that was asked for, and nothing that would be wrong?"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from git_remotes import Remote, git

from reconciler.cli import main

SETTINGS = "api: v1\nname: production\nstacks:\n  shop: {path: stacks/shop}\n  data: {path: stacks/data}\n"
SHOP = """\
services:
  web:
    image: web:1
    deploy: {replicas: 3}
  api:
    image: api:1
    environment: {LEVEL: info}
  elastic:
    image: elastic:1
    deploy: {replicas: 2, resources: {reservations: {cpus: "0.5"}}}
    x-autoscale: {min: 2, max: 6, metrics: {cpu: {source: engine, target: 70}}}
  only:
    image: only:1
    container_name: only
  port:
    image: port:1
    ports: ["80:80"]
  names:
    image: names:1
    ports: ["53:53/udp"]
  old:
    image: old:1
    scale: 2
  migrate:
    image: api:1
    deploy: {mode: replicated-job}
"""
FILES = {
    "reconciler.yaml": SETTINGS,
    "stacks/shop/compose.yaml": SHOP,
    "stacks/data/compose.yaml": "services: {db: {image: db:1}}\n",
}


@dataclass(frozen=True)
class Shop:
    """A repository with services to scale, and who types the command."""

    remote: Remote
    state: Path
    capture: pytest.CaptureFixture[str]

    def scale(self, *words: str) -> tuple[int, str, str]:
        place = ("--source", str(self.remote.path), "--state", str(self.state))
        code = main(["scale", *words, "--by", "ada", "--until", "2026-05-31", *place])
        return code, *self.capture.readouterr()

    def written_down(self) -> list[tuple[str, str, str, list[str], str]]:
        """Return what the audit log says of the last word: target, in words, by whom, why, outcome."""
        assert main(["audit", "show", "--json", "--number", "1", "--state", str(self.state)]) == 0
        lines = map(json.loads, self.capture.readouterr().out.splitlines())
        return [(one["target"], one["text"], one["by"], one["reasons"], one["outcome"]) for one in lines]

    def show(self, path: str, branch: str = "main") -> str:
        return git(self.remote.path, "show", f"{branch}:{path}") + "\n"


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shop:
    remote = Remote.make(tmp_path / "state.git")
    remote.commit(FILES, "begin")
    return Shop(remote, tmp_path / "state", capsys)


def test_the_number_becomes_a_commit_in_the_override_of_the_stack(shop: Shop) -> None:
    base = shop.remote.tip()
    code, out, err = shop.scale("shop/web=5", "--reason", "sale on Friday")
    commit = shop.remote.tip()
    assert (code, out, err) == (0, f"shop/web: 3 → 5 replicas, commit {commit[:7]} on main\n", "")
    assert shop.show("overrides/shop.yaml").splitlines()[1:] == [
        "services:",
        "  web:",
        "    deploy:",
        "      replicas: 5",
        "      x-reconciler-pin:",
        "        by: ada",
        '        until: "2026-05-31"',
        "        reason: sale on Friday",
    ]
    message = git(shop.remote.path, "log", "-1", "--format=%an <%ae>%n%B")
    assert message.startswith(
        "reconciler <reconciler@localhost>\nscale(shop): web 3→5\n\nshop/web: 5, pinned by ada until 2026-05-31\n\n"
        "Reconciler-Decision-Id: "
    )
    assert f"Reconciler-Reason: sale on Friday\nReconciler-Instance: {os.uname().nodename}\nReconciler-Base: {base}" in message
    assert shop.written_down() == [
        ("shop/web", f"3 → 5 replicas, commit {commit[:7]} on main", "ada", ["sale on Friday"], "done")
    ]


def test_several_are_one_commit_and_what_stood_in_the_override_stays(shop: Shop) -> None:
    override = "services: {api: {deploy: {resources: {limits: {memory: 64m}}}}, web: {}}\n"
    shop.remote.commit({**FILES, "overrides/shop.yaml": override}, "by the machine")
    before = shop.remote.tip()
    code, out, _ = shop.scale("shop/web=1", "shop/api=2", "data/db=2")
    assert (code, len(out.splitlines())) == (0, 3)
    assert git(shop.remote.path, "rev-parse", "main^") == before
    assert "memory: 64m" in shop.show("overrides/shop.yaml")
    assert "replicas: 2" in shop.show("overrides/data.yaml")
    assert git(shop.remote.path, "log", "-1", "--format=%s") == "scale(shop, data): web 3→1, api 1→2, db 1→2"


def test_a_port_that_several_replicas_then_share_becomes_the_gateways_and_nothing_else_changes(shop: Shop) -> None:
    assert shop.scale("shop/port=2")[:2] == (0, f"shop/port: 1 → 2 replicas, commit {shop.remote.tip()[:7]} on main\n")
    assert shop.scale("shop/port=1")[0] == 0


def test_what_git_says_already_is_said_and_not_committed_again(shop: Shop) -> None:
    shop.scale("shop/web=5")
    head = shop.remote.tip()
    assert shop.scale("shop/web=5")[:2] == (0, "shop/web: 5 replicas, as main says already\n")
    assert shop.remote.tip() == head
    assert shop.scale("shop/web=3")[0] == 0
    assert shop.scale("shop/web=5")[0] == 0
    assert git(shop.remote.path, "rev-list", "--count", "main") == "4"


def test_an_autoscaler_keeps_a_person_between_its_limits(shop: Shop) -> None:
    code, out, err = shop.scale("shop/elastic=9")
    assert (code, err) == (0, "note: x-autoscale of shop/elastic allows 2 to 6 replicas: 6\n")
    assert "2 → 6 replicas" in out
    assert "2 → 2" not in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["shop/wbe=2"], "error: there is no service shop/wbe in production\nhint: did you mean \"shop/web\"?"),
        (["shop/web"], "error: 'shop/web' says no number of replicas\nhint: write STACK/SERVICE=N"),
        (["shop/web=-1"], "error: 'shop/web=-1' says no number"),
        (["shop/only=2"], "error: shop/only has the container name only, so there can be only one of it"),
        (["shop/migrate=2"], "error: shop/migrate is a job: it runs once"),
        (["shop/names=2"], "R187"),
        (["shop/old=3"], "R060"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_is_committed(shop: Shop, words: list[str], says: str) -> None:
    head = shop.remote.tip()
    code, out, err = shop.scale(*words)
    assert (code, out) == (1, "")
    assert says in err
    assert shop.remote.tip() == head


def test_a_directory_cannot_be_committed_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: web:1}}\n")
    assert main(["scale", "web/web=2", "--source", str(tmp_path), "--state", str(tmp_path / "state")]) == 1
    assert "is a directory, so nothing can be committed to it\nhint: name the Git remote" in capsys.readouterr().err


def test_a_date_that_is_none_is_refused(shop: Shop) -> None:
    place = ("--source", str(shop.remote.path), "--state", str(shop.state))
    assert main(["scale", "shop/web=2", "--until", "soon", *place]) == 1
    assert "'soon' is no date" in shop.capture.readouterr().err


def test_reconciler_yaml_says_whose_the_commits_are_and_where_they_go(shop: Shop) -> None:
    settings = f"{SETTINGS}write_back: {{author: Robot <robot@example.org>, skip_ci: true, branch: robot, settle: 5m}}\n"
    shop.remote.commit({**FILES, "reconciler.yaml": settings}, "say how")
    code, out, _ = shop.scale("shop/web=5")
    commit = shop.remote.tip("robot")
    told = f"shop/web: 3 → 5 replicas, commit {commit[:7]} on robot, for a pull request: it counts when main has it\n"
    assert (code, out) == (0, told)
    assert git(shop.remote.path, "log", "-1", "--format=%an|%s", "robot") == "Robot|scale(shop): web 3→5 [skip ci]"


def test_a_refusal_of_the_remote_is_no_success(shop: Shop) -> None:
    hook = shop.remote.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    code, out, err = shop.scale("shop/web=5")
    assert (code, out) == (1, "")
    assert "error: WriteBackDelayed: branch main takes no commit of ours: protected\nhint: let this login push there" in err


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("services: {web: {deploy: {replicas: !reset null}}}\n", "this override holds more than values"),
        ("services: {}\n---\nservices: {}\n", "this override holds more than values"),
    ],
)
def test_an_override_that_cannot_be_written_again_is_left_alone(shop: Shop, override: str, says: str) -> None:
    shop.remote.commit({**FILES, "overrides/shop.yaml": override}, "by hand")
    code, _, err = shop.scale("shop/web=5")
    assert (code, says in err) == (1, True), err


def test_docker_compose_reads_the_override_as_we_do(shop: Shop, tmp_path: Path) -> None:
    shop.scale("shop/web=5")
    finder = Path(__file__).parents[1] / "tools" / "get-docker-compose"
    compose = subprocess.run([finder], capture_output=True, text=True, check=True).stdout.strip()
    for path in ("stacks/shop/compose.yaml", "overrides/shop.yaml"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(shop.show(path).replace("    scale: 2\n", ""))
    files = ("-f", "stacks/shop/compose.yaml", "-f", "overrides/shop.yaml")
    words = [compose, "-p", "shop", *files, "config", "--format", "json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    services = json.loads(done.stdout)["services"]
    assert (services["web"]["deploy"]["replicas"], "deploy" in services["api"]) == (5, False)
