"""Is one reconciler at work in the end, the new one, whoever of the two is killed at whichever call of a hand-over?"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import docker
import docker.utils
from contestants import PROJECT
from fault_proxy import Call, Drop, FaultProxy, fault_proxy
from house import House, Self, versions
from own_image import build
from surroundings import Remote, git, remove_environment

ENVIRONMENT = "handing-over"
WEB = "busybox:1.36"
INSIDE = "/srv/engine"


@dataclass(frozen=True, slots=True)
class Step:
    """A call that is part of a hand-over, and which of the two makes it."""

    name: str
    method: str
    path: str
    by: Literal["old", "new"]


STEPS = (
    Step("create", "POST", "/containers/create", "old"),
    Step("start", "POST", "/containers/{id}/start", "old"),
    Step("pass the lease on", "POST", "/volumes/create", "old"),
    Step("stop", "POST", "/containers/{id}/stop", "new"),
    Step("remove", "DELETE", "/containers/{id}", "new"),
    Step("rename", "POST", "/containers/{id}/rename", "new"),
)


When = Literal["before", "after"]
POINTS: tuple[tuple[Step, When], ...] = tuple((step, when) for step in STEPS for when in ("before", "after"))


def main() -> int:
    """Print a line for every point. Returns 1 when one of them is not recovered from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", help="the project's own image, if it need not be built")
    lost = 0
    with _house(parser.parse_args().image) as (house, proxy):
        for (step, when), version in zip(POINTS, itertools.cycle("21"), strict=False):
            wrong = _play(house, proxy, step, when, version)
            lost += bool(wrong)
            print(f"hand-over, killed {when} {step.name}: {wrong or 'recovered'}", flush=True)
    print(f"hand-over: {len(POINTS) - lost}/{len(POINTS)}")
    return 1 if lost else 0


@contextmanager
def _house(image: str | None) -> Iterator[tuple[House, FaultProxy]]:
    """A house with a first reconciler at work, which reaches the engine through a proxy that may spoil a call."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crash")))
        engine = stack.enter_context(closing(docker.APIClient(**docker.utils.kwargs_from_env(), version="auto", timeout=60)))
        (directory / "engine").mkdir()
        proxy = stack.enter_context(fault_proxy(directory / "engine/engine.sock"))
        (directory / "engine/engine.sock").chmod(0o666)
        stack.enter_context(versions(engine, ENVIRONMENT, image or build(engine)))
        remove_environment(engine, ENVIRONMENT)
        stack.callback(remove_environment, engine, ENVIRONMENT)
        mounts = (f"{directory}/engine:{INSIDE}",)
        house = House(ENVIRONMENT, engine, _remote(directory), f"unix://{INSIDE}/engine.sock", mounts)
        house.push("1", WEB)
        words = (sys.executable, "-m", "reconciler", "apply", "--source", house.remote.url, "--state", f"{directory}/state")
        subprocess.run(words, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        house.until(lambda: house.runs("1"))
        yield house, proxy


def _remote(directory: Path) -> Remote:
    bare, clone = directory / "remote.git", directory / "clone"
    git(directory, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(directory, "clone", "--quiet", str(bare), str(clone))
    git(clone, "checkout", "--quiet", "-B", "main")
    return Remote(str(bare), clone)


def _play(house: House, proxy: FaultProxy, step: Step, when: When, version: str) -> str:
    """Update to a version, kill whoever makes the call, and say what is wrong once time was given; "" for nothing."""
    victim = Victim(house, step, version)
    proxy.begin_anew()
    proxy.rules.append((victim.is_at_it, Drop(when, victim.kill)))
    house.push(version, WEB)
    try:
        house.until(lambda: house.runs(version))
    except AssertionError as late:
        return str(late)
    return "" if victim.killed.is_set() else "nobody was killed"


@dataclass
class Victim:
    """Whoever makes a call of the hand-over to a version, the first time."""

    house: House
    step: Step
    version: str
    killed: threading.Event = field(default_factory=threading.Event)
    _seen: bool = False

    def is_at_it(self, call: Call) -> bool:
        """Say whether this is the call. That of a lease is one of many, so it is the first when the new one is well."""
        if self._seen or (call.method, call.path) != (self.step.method, self.step.path):
            return False
        self._seen = self.step.name != "pass the lease on" or self._is_well()
        return self._seen

    def kill(self) -> None:
        """Kill the process, as the engine would not do: it starts the container again."""
        for one in self._selves(self.step.by):
            process = self.house.engine.inspect_container(one.id)["State"]["Pid"]
            if process:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                self.killed.set()

    def _is_well(self) -> bool:
        states = [self.house.engine.inspect_container(one.id)["State"] for one in self._selves("new")]
        return any(state["Running"] and state["Health"]["Status"] == "healthy" for state in states)

    def _selves(self, which: Literal["old", "new"]) -> list[Self]:
        newest = f"{ENVIRONMENT}:{self.version}"
        return [one for one in self.house.selves() if (one.image == newest) == (which == "new")]


if __name__ == "__main__":
    sys.exit(main())
