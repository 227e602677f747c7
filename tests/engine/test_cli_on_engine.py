"""Does the command line do on a real engine what it says: plan, apply, stay?"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from surroundings import CommandLine, Outcome, Remote
from waiting import free_port
from worlds import SOCKET

from reconciler.drivers.clock import SystemClock
from reconciler.model import labels

ENVIRONMENT = "cli-on-engine"
PROJECT = f"{ENVIRONMENT}-shop"
WEB = f"{PROJECT}-web-1"
SERVICE = """\
name: cli-on-engine-shop
services:
  web:
    image: {image}
    init: true
    stop_grace_period: {grace}
    command: [sh, -c, "{command}"]
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
"""
SPEAKS = "echo hello from the shop; exec sleep 100000"
ENDS = "echo no such table: users >&2; exit 3"
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Shop:
    """One stack with one service in a Git remote, and an engine to run it on."""

    remote: Remote
    run: CommandLine
    engine: docker.APIClient
    directory: Path

    def push(
        self, image: str = "busybox:1.36", command: str = SPEAKS, grace: str = "1s", stack: str = "", interval: str = "30s"
    ) -> str:
        """Ask for this service; `stack` holds further keys of the stack, such as `, sync: manual`."""
        settings = f"api: v1\nname: {ENVIRONMENT}\ninterval: {interval}\nstacks:\n  shop: {{path: shop{stack}}}\n"
        service = SERVICE.format(image=image, command=command, grace=grace)
        return self.remote.push({"reconciler.yaml": settings, "shop/compose.yaml": service}, f"run {image}")

    def words(self) -> list[tuple[str, str, list[str]]]:
        """Return what the audit log says of `apply`, oldest first: target, in words, why."""
        lines = map(json.loads, reversed(self.run("audit", "show", "--json", "--number", "999").out.splitlines()))
        return [(one["target"], one["text"], one["reasons"]) for one in lines if one["kind"] == "word"]

    def plan(self, *words: str) -> Outcome:
        return self.run("plan", self.remote.url, *words)

    def apply(self, *words: str) -> Outcome:
        return self.run("apply", *words, "--source", self.remote.url)

    def web(self) -> tuple[str, str]:
        """Return id and image of the container that runs as web's only one, ("", "") when none does."""
        found = self.engine.containers(filters={"name": f"^/{WEB}$", "status": "running"})
        return (found[0]["Id"], found[0]["Image"]) if found else ("", "")


@pytest.fixture
def shop(
    engine: docker.APIClient,
    busybox_image: str,
    newer_busybox_image: str,
    git_remote: Callable[[Path], Remote],
    reconciler: CommandLine,
    clean_environment: Callable[[str], str],
    tmp_path: Path,
) -> Shop:
    clean_environment(ENVIRONMENT)
    (tmp_path / "start").mkdir()
    shop = Shop(git_remote(tmp_path / "start"), reconciler, engine, tmp_path)
    shop.push(busybox_image)
    return shop


# --- plan and apply --------------------------------------------------------------------------------------------------


def test_a_push_is_planned_and_applied_and_then_there_is_nothing_to_do(shop: Shop) -> None:
    planned = shop.plan("--exit-code")
    assert (planned.code, planned.err) == (2, "")
    assert planned.out.endswith("Plan: 2 to create. Nothing blocked.\n")
    assert shop.web() == ("", "")

    applied = shop.apply()
    assert applied.code == 0, applied.err
    assert applied.out.startswith(planned.out)
    assert applied.out.endswith("Everything is as Git asks, and well.\n")
    assert "+ shop/web/1/start " in applied.err
    assert applied.err.count(f"  … shop/web waits until {WEB} is healthy\n") == 1
    assert shop.plan("--exit-code").code == 0

    first = shop.web()
    shop.push("busybox:1.37")
    change = shop.plan("--exit-code")
    assert change.code == 2
    assert "busybox:1.36 → busybox:1.37   shop/compose.yaml:4:5" in change.out
    assert shop.apply("--quiet") == Outcome(0, "", "")
    assert (shop.web()[0] != first[0], shop.web()[1]) == (True, "busybox:1.37")

    assert "Applied" in shop.apply().out
    assert shop.web() != first


def test_what_somebody_removed_comes_back(shop: Shop) -> None:
    assert shop.apply().code == 0
    shop.engine.remove_container(WEB, force=True)
    assert "! web" in shop.plan().out or "+ web" in shop.plan().out
    assert shop.apply().code == 0
    assert shop.web()[1] == "busybox:1.36"


def test_a_wrong_commit_is_shown_with_its_line_and_changes_nothing(shop: Shop) -> None:
    assert shop.apply().code == 0
    running = shop.web()
    shop.remote.push({"shop/compose.yaml": "services:\n  web:\n    imagee: busybox:1.37\n"}, "typo")
    for outcome in (shop.plan(), shop.apply()):
        assert (outcome.code, outcome.out) == (1, "")
        assert 'unknown key "imagee"\n  --> shop/compose.yaml:3:5' in outcome.err
    assert shop.web() == running


def test_a_version_that_does_not_run_ends_with_1_and_the_old_one_running(shop: Shop) -> None:
    assert shop.apply().code == 0
    running = shop.web()
    shop.push(command=ENDS)
    outcome = shop.apply()
    assert outcome.code == 1
    assert "error: [R130] shop/web: this spec failed" in outcome.err
    assert "shop/web wrote last:\n  no such table: users\n" in outcome.err
    assert "no such table: users" in shop.run("explain", "shop/web", "--source", shop.remote.url).out
    assert shop.web() == running
    assert len(shop.engine.containers(all=True, filters={"label": f"{labels.ENVIRONMENT}={ENVIRONMENT}"})) == 1


def test_a_stack_with_manual_sync_waits_for_its_name(shop: Shop) -> None:
    shop.push(stack=", sync: manual")
    waiting = shop.apply()
    assert waiting.code == 0
    assert "stack shop: sync is manual" in waiting.out
    assert shop.web() == ("", "")
    assert shop.apply("shp").err == "error: there is no stack 'shp' in cli-on-engine\nhint: did you mean \"shop\"?\n"
    assert shop.apply("shop").code == 0
    assert shop.web()[1] == "busybox:1.36"
    assert shop.words()[1:] == [("shop", "released", []), ("*", "", [])]
    assert shop.apply("shop", "--override-windows", "a fix").code == 0
    assert shop.words()[3:] == [("shop", "released", []), ("shop", "waits for no window", ["a fix"]), ("*", "", [])]
    assert shop.run("audit", "verify").code == 0


# --- a bound plan ----------------------------------------------------------------------------------------------------


def test_a_bound_plan_is_applied_as_long_as_the_world_is_as_it_saw_it(shop: Shop) -> None:
    plan = str(shop.directory / "plan.json")
    assert shop.plan("--out", plan).code == 0
    assert shop.apply(plan).code == 0
    running = shop.web()

    stale = shop.apply(plan)
    assert (stale.code, stale.err.splitlines()[0]) == (1, "error: what runs has changed since the plan was made")

    shop.push("busybox:1.37")
    moved = shop.apply(plan)
    assert moved.code == 1
    assert moved.err.startswith("error: the plan is for ")
    assert "hint: look at a new plan" in moved.err
    assert shop.web() == running


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "holds no plan"),
        ("[]", "is no plan to be applied"),
        ('{"api": "v1", "fingerprint": ""}', "is no plan to be applied"),
    ],
)
def test_what_is_no_bound_plan_is_refused(text: str, error: str, reconciler: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    outcome = reconciler("apply", "plan.json")
    assert (outcome.code, outcome.out) == (1, "")
    assert error in outcome.err


# --- one turn, and staying -------------------------------------------------------------------------------------------


def test_one_turn_is_made_and_told(shop: Shop) -> None:
    outcome = shop.run("run", shop.remote.url, "--once", "--log-format", "json")
    assert (outcome.code, outcome.out) == (0, "")
    (turn,) = map(json.loads, outcome.err.splitlines())
    assert turn["done"] == ["shop/network/default/create", "shop/web/1/create", "shop/web/1/start"]
    assert shop.apply().code == 0, "its lease is free again"


class Staying:
    """A verb that takes long, in a process of its own, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def until(self, pattern: str, after: int = 0) -> int:
        """Wait until a line has the pattern; return how many lines there are then."""

        def said() -> bool:
            return any(re.search(pattern, line) for line in self.lines[after:])

        with self._news:
            assert self._news.wait_for(said, DEADLINE_SECONDS), (pattern, self.lines)
            return len(self.lines)

    def end(self) -> tuple[int, float]:
        """Tell it to end as a service manager does; return its exit code and how many seconds it took."""
        clock = SystemClock()
        began = clock.monotonic()
        self.process.terminate()
        code = self.process.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)
        return code, clock.monotonic() - began

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()


Stay = Callable[..., Staying]


@pytest.fixture
def stay(shop: Shop, command_environment: dict[str, str]) -> Iterator[Stay]:
    """Start `reconciler run`, or another verb that takes long, on the shop."""
    started: list[Staying] = []

    def start(*words: str, verb: str = "run") -> Staying:
        command = (sys.executable, "-m", "reconciler", verb, shop.remote.url, *words)
        started.append(
            Staying(subprocess.Popen(command, cwd=shop.directory, env=command_environment, stderr=subprocess.PIPE, text=True))
        )
        return started[-1]

    yield start
    for one in started:
        with one.process:
            one.process.kill()


def test_a_resident_applies_heals_at_once_and_keeps_others_out(shop: Shop, stay: Stay) -> None:
    shop.push(interval="1h")
    resident = stay()
    told = resident.until("as Git asks$")
    shop.engine.remove_container(WEB, force=True)
    resident.until("as Git asks$", after=told)
    assert any(re.search(rf"\[.*(kill|die|destroy) {WEB}", line) for line in resident.lines), "an event woke it"
    assert shop.web()[1] == "busybox:1.36"

    refused = shop.apply()
    assert (refused.code, resident.process.poll()) == (1, None), resident.lines
    assert f"error: {socket.gethostname()}:{resident.process.pid}:" in refused.err
    assert f" holds the lease of {ENVIRONMENT} until " in refused.err

    code, seconds = resident.end()
    assert (code, seconds < 8) == (0, True)
    assert shop.apply().code == 0, "the lease was given back"


def test_a_resident_follows_git_and_survives_a_wrong_commit(shop: Shop, stay: Stay) -> None:
    shop.push(interval="1s")
    resident = stay()
    told = resident.until("as Git asks$")
    shop.remote.push({"shop/compose.yaml": "services:\n  web:\n    imagee: busybox:1.37\n"}, "typo")
    told = resident.until('error: shop/compose.yaml:3:5: unknown key "imagee"', after=told)
    assert shop.web()[1] == "busybox:1.36"
    commit = shop.push("busybox:1.37", interval="1s")
    resident.until(f"{commit[:7]} as Git asks$", after=told)
    assert shop.web()[1] == "busybox:1.37"


@pytest.mark.parametrize(("verb", "code"), [("run", 0), ("apply", 130)])
def test_a_call_that_hangs_does_not_keep_it_from_ending_in_time(verb: str, code: int, shop: Shop, stay: Stay) -> None:
    shop.push(command="trap : TERM; while :; do sleep 1; done", grace="1m")
    assert shop.apply().code == 0
    shop.push("busybox:1.37", grace="1m")
    with closing(shop.engine.events(filters={"container": WEB, "event": "kill"}, decode=True)) as events:
        process = stay(verb=verb)
        assert next(events)["Actor"]["Attributes"]["signal"] == "15", "it is being stopped, which takes a minute"
    ended, seconds = process.end()
    assert (ended, 7 < seconds < 10) == (code, True)
    assert shop.web()[1] == "busybox:1.36", "the call goes on at the engine"


def test_its_pages_say_whether_it_is_alive_and_ready(shop: Shop, stay: Stay) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert shop.run("health", "--listen", address).code == 1
    resident = stay("--listen", address)
    resident.until("as Git asks$")
    assert shop.run("health", "--listen", address) == Outcome(0, "ok\n", "")
    assert shop.run("health", "--listen", address, "--ready") == Outcome(0, "ready\n", "")
    assert shop.run("health").out.startswith("ok: the last turn ended "), "without a page the state directory tells"


def test_it_waits_for_an_engine_that_is_not_up_yet(shop: Shop, stay: Stay) -> None:
    place = shop.directory / "engine.sock"
    resident = stay("--engine", f"unix://{place}")
    resident.until("error: ")
    place.symlink_to(SOCKET)
    resident.until("as Git asks$")
    assert resident.end()[0] == 0


# --- beside docker compose -------------------------------------------------------------------------------------------


def test_docker_compose_shows_what_we_deployed(shop: Shop, compose: tuple[str, ...]) -> None:
    assert shop.apply().code == 0
    (listed,) = [one for one in json.loads(_compose(compose, "ls", "--format", "json")) if one["Name"] == PROJECT]
    assert listed["Status"] == "running(1)"
    processes = [json.loads(line) for line in _compose(compose, "-p", PROJECT, "ps", "--format", "json").splitlines()]
    assert [(one["Name"], one["Service"], one["State"], one["Health"]) for one in processes] == [
        (WEB, "web", "running", "healthy")
    ]
    assert "hello from the shop" in _compose(compose, "-p", PROJECT, "logs", "web")


def _compose(compose: tuple[str, ...], *words: str) -> str:
    # It has no bound of its own on what a file may expand to.
    command = ("sh", "-c", 'ulimit -v 4000000; exec "$@"', "sh", *compose, *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout
