"""Show the main job, live: a Git push becomes running containers, drift is healed, a bad release is taken back."""

from __future__ import annotations

import argparse
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.demo.stage import Stage

if TYPE_CHECKING:
    from reconciler.model.status import Turn

ASSETS = Path(__file__).parent
ENVIRONMENT = "reconciler-demo"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--engine", metavar="HOST", help="Docker engine (default: as docker finds it)")
    parser.add_argument("--keep", action="store_true", help="leave everything running and say where it is")


def run(args: argparse.Namespace) -> int:
    """Play the whole story in a temporary directory and clean up. Returns 0, or 1 when a step did not come true."""
    with tempfile.TemporaryDirectory(prefix="reconciler-demo-") as directory:
        stage = Stage(Path(directory), ENVIRONMENT, args.engine or "")
        try:
            _play(stage)
        finally:
            stage.stop_loop()
            if args.keep:
                _say(f"left running: containers labelled io.reconciler.environment={ENVIRONMENT}")
            else:
                _say("clean up: containers, networks and volumes of this demo")
                stage.sweep()
    _say("done")
    return 0


def _play(stage: Stage) -> None:
    stage.sweep()
    _deploy(stage)
    _release(stage)
    _heal(stage)
    _break_a_file(stage)
    _break_a_release(stage)
    _retire(stage)


def _deploy(stage: Stage) -> None:
    _say("1. a bare Git remote with the example repository, and what the reconciler would do with it")
    stage.prepare(ASSETS / "repository", {"shop": {"WEB_PORT": str(_free_port())}})
    stage.show("plan")
    _say("2. the loop starts: the gateway, database, cache, then the migration, three api replicas, two workers, web")
    stage.start_loop()
    stage.until("everything is there", lambda turn: turn.applied == stage.head)
    _print_version(stage)


def _release(stage: Stage) -> None:
    _say("3. release 1.4.2, a canary: the plan as a pull request shows it, then git push: a third of the requests, two, all")
    stage.commit(ASSETS / "changes" / "1-release.patch")
    stage.show("plan", "--base", "origin/main", "--head", "HEAD", directory=True)
    with _customers(stage):
        stage.push()
        stage.until("the first step", lambda turn: "step 1 of 2" in turn.plan)
        stage.show("status")
        stage.until("the release is out", lambda turn: turn.applied == stage.head)
    _print_version(stage)
    _say("   a new migration step: the job runs again, once; and a new page, blue-green: the new web gets everything at once")
    stage.commit(ASSETS / "changes" / "2-saucers.patch")
    with _customers(stage):
        stage.push()
        stage.until("the migration has run, and the page is out", lambda turn: turn.applied == stage.head)


def _heal(stage: Stage) -> None:
    _say("4. drift: one api replica is killed, another removed")
    stage.docker("kill", "shop-api-2")
    stage.docker("rm", "--force", "shop-api-3")
    stage.until("healed", lambda turn: _all_healthy(turn, "api", 3))
    stage.show("status")


def _break_a_file(stage: Stage) -> None:
    _say("5. a typing mistake is pushed: the answer names file and line, what runs goes on")
    compose = stage.work / "stacks" / "shop" / "compose.yaml"
    compose.write_text(compose.read_text().replace("replicas: 3", "replcas: 3"))
    stage.commit_all("Typo")
    stage.show("validate", directory=True)
    stage.push()
    stage.until("refused", lambda turn: "replcas" in turn.error)
    stage.git("revert", "--no-edit", "HEAD")
    stage.push()
    stage.until("mended", lambda turn: turn.applied == stage.head)


def _break_a_release(stage: Stage) -> None:
    _say("6. a release that never becomes healthy: the old containers stay, the spec is not tried again")
    stage.commit(ASSETS / "changes" / "3-broken-release.patch")
    with _customers(stage):
        stage.push()
        stage.until("taken back", lambda turn: turn.revision == stage.head and "R130" in turn.plan)
        stage.until("the old release serves", lambda turn: _running(turn, "api", 3))
    stage.show("status")
    _print_version(stage)
    stage.git("revert", "--no-edit", "HEAD")
    stage.push()
    stage.until("mended", lambda turn: turn.applied == stage.head)


def _retire(stage: Stage) -> None:
    _say("7. a service leaves Git: it is removed, last of all")
    stage.commit(ASSETS / "changes" / "4-retire-worker.patch")
    stage.push()
    stage.until("gone", lambda turn: turn.applied == stage.head)
    stage.docker("ps", *_LISTING)


_LISTING = ("--filter", f"label=io.reconciler.environment={ENVIRONMENT}", "--format", "table {{.Names}}\t{{.Status}}")


def _all_healthy(turn: Turn, service: str, count: int) -> bool:
    return turn.applied == turn.revision and _running(turn, service, count)


def _running(turn: Turn, service: str, count: int) -> bool:
    services = [one for stack in turn.stacks for one in stack.services if one.name == service]
    return all(one.ready == count for one in services) and bool(services)


@contextmanager
def _customers(stage: Stage) -> Iterator[None]:
    """Let somebody ask the shop meanwhile, and say how often in vain."""
    with stage.customers() as customers:
        yield
    print(f"   meanwhile {customers.asked} requests were sent, {customers.failed} failed", flush=True)


def _print_version(stage: Stage) -> None:
    print(f"   GET {stage.url}/cgi-bin/api/version -> {stage.ask('/cgi-bin/api/version')}")


def _say(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
