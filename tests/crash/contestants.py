"""Who is killed, and who comes after them: the reconciler, and docker compose beside it?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from operations import Operation
from points import Command, Lane
from surroundings import Outcome, git

from reconciler.model import labels

PROJECT = Path(__file__).parents[2]
READY = Path(__file__).with_name("ready.py")
ENVIRONMENT = "api: v1\nname: {project}\nstacks:\n  shop: {{path: shop}}\n"
DEADLINE_SECONDS = 120.0


# --- the reconciler ------------------------------------------------------------------------------------------------------


class Ours:
    """`reconciler apply` of a Git remote, each time as a new process."""

    def __init__(self, lane: Lane, operation: Operation) -> None:
        self._lane, self._operation = lane, operation
        self._remote, self._clone = lane.directory / "repository.git", lane.directory / "clone"
        pipe = subprocess.PIPE
        variables = {**os.environ, "PYTHONPATH": str(PROJECT)}
        words = (sys.executable, str(READY))
        if operation.gateway:
            words = _without_volumes(lane, words)
        self._ready = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=variables)
        self.again: Command = self._ours("apply", str(self._remote))
        self.command: Command = self._ours(*operation.verb, "--source", str(self._remote)) if operation.verb else self.again

    def prepare(self) -> Outcome:
        """Push the files from before, apply them, and push those from after; where a verb is tried, apply these, too."""
        self.forget()
        shutil.rmtree(self._remote, ignore_errors=True)
        shutil.rmtree(self._clone, ignore_errors=True)
        (self._clone / "shop").mkdir(parents=True)
        git(self._clone, "init", "--quiet", "--initial-branch=main")
        git(self._clone, "init", "--quiet", "--bare", "--initial-branch=main", str(self._remote))
        (self._clone / "reconciler.yaml").write_text(ENVIRONMENT.format(project=self._lane.project))
        self._push(self._operation.before)
        done = self._ours("apply", str(self._remote), gateway=0)(self._lane.socket).end()
        self._push(self._operation.after)
        return self.again(self._lane.socket).end() if self._operation.verb and done.code == 0 else done

    def forget(self) -> None:
        """Remove the state directory."""
        shutil.rmtree(self._lane.directory / "state", ignore_errors=True)

    def complaints(self) -> Iterator[str]:
        """Say what another plan would do, and which leases nobody took away."""
        planned = self._ours("plan", str(self._remote), "--format", "json")(self._lane.socket).end()
        plan = json.loads(planned.out)
        yield from (f"the next plan would {action['does']}: {action['id']}" for action in plan["actions"])
        yield from (f"the next plan would wait to {one['what']}" for one in plan["waiting"])
        leases = self._lane.engine.volumes(filters={"label": f"{labels.LEASE}={self._lane.project}"})["Volumes"] or ()
        yield from (f"left over: lease {lease['Name']}" for lease in leases[1:])

    def close(self) -> None:
        """End the process that the others are forks of."""
        with self._ready:
            self._ready.terminate()

    def _push(self, compose: str) -> None:
        _write(self._clone / "shop" / "compose.yaml", compose, self._lane)
        git(self._clone, "add", "--all")
        git(self._clone, "commit", "--quiet", "--message", "change")
        git(self._clone, "push", "--quiet", str(self._remote), "main")

    def _ours(self, *words: str, gateway: int = 1) -> Command:
        """Return a command line; `gateway` says whether its gateway is the one from before (0) or from after."""
        directory = self._lane.directory
        image = {"RECONCILER_GATEWAY_IMAGE": self._operation.gateway[gateway]} if self._operation.gateway else {}
        variables = {"HOME": str(directory), "PATH": os.environ["PATH"], "RECONCILER_STATE": str(directory / "state")}
        return lambda engine: Fork(self._ready, words, {**variables, **image, "DOCKER_HOST": f"unix://{engine}"}, directory)


def _without_volumes(lane: Lane, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return words that start a process which sees no volume of the engine, as on another host.

    What it says to a gateway goes through the engine then, call by call, where it can be counted and cut.
    """
    volumes = f"{lane.engine.info()['DockerRootDir']}/volumes"
    return ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', volumes, *words)


class Fork:
    """A command line of ours, from the process that has read the program already."""

    def __init__(
        self, ready: subprocess.Popen[str], words: Sequence[str], variables: Mapping[str, str], directory: Path
    ) -> None:
        self._ready, self._out, self._err = ready, directory / "out", directory / "err"
        places = {"directory": str(directory), "out": str(self._out), "err": str(self._err)}
        assert ready.stdin is not None
        ready.stdin.write(json.dumps({"words": list(words), "variables": dict(variables), **places}) + "\n")
        ready.stdin.flush()
        self.pid = self._answer()

    def end(self) -> Outcome:
        """Wait for its end, and say what it wrote."""
        with _deadline(self.pid):
            code = self._answer()
        return Outcome(code, self._out.read_text(), self._err.read_text())

    def _answer(self) -> int:
        assert self._ready.stdout is not None
        return int(self._ready.stdout.readline())


# --- docker compose ------------------------------------------------------------------------------------------------------


class Compose:
    """`docker compose up --detach --remove-orphans` of a file."""

    def __init__(self, program: str, lane: Lane, operation: Operation) -> None:
        self._lane, self._operation = lane, operation
        self._file = lane.directory / "compose.yaml"
        words = (program, "--file", str(self._file), "--progress", "plain", "up", "--detach", "--remove-orphans")
        self.again: Command = lambda engine: Program(words, lane.directory, engine)
        self.command: Command = self.again

    def prepare(self) -> Outcome:
        """Bring up the file from before, and write the one from after in its place."""
        _write(self._file, self._operation.before, self._lane)
        # Without services there is nothing to bring up, and compose calls that a mistake.
        nothing = "services: {}" in self._operation.before
        done = Outcome(0, "", "") if nothing else self.again(self._lane.socket).end()
        _write(self._file, self._operation.after, self._lane)
        return done

    def forget(self) -> None:
        """It has no state but what is on the engine."""

    def complaints(self) -> Iterable[str]:
        """It has no plan that could be asked for."""
        return ()

    def close(self) -> None:
        """It holds nothing."""


class Program:
    """Any program, which finds its engine by a variable."""

    def __init__(self, words: Sequence[str], directory: Path, engine: Path) -> None:
        variables = {"PATH": os.environ["PATH"], "HOME": str(directory), "DOCKER_HOST": f"unix://{engine}"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            words, env=variables, cwd=directory, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        self.pid = self._process.pid

    def end(self) -> Outcome:
        """Wait for its end, and say what it wrote."""
        with _deadline(self.pid):
            out, err = self._process.communicate()
        return Outcome(self._process.returncode, out, err)


def _write(file: Path, compose: str, lane: Lane) -> None:
    file.write_text(compose.replace("PROJECT", lane.project).replace("PORT", str(lane.port)))


@contextmanager
def _deadline(process: int) -> Iterator[None]:
    """Kill a process that takes longer than any of them may."""
    timer = threading.Timer(DEADLINE_SECONDS, lambda: os.killpg(process, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
