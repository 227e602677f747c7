"""The demo's stage: a temporary Git remote, the loop beside it, customers who ask the shop, and a broom."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError, Unreachable
from reconciler.wiring import Workplace, workplace

if TYPE_CHECKING:
    from reconciler.model.status import Turn

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.2
GIT_IDENTITY = ("-c", "user.name=Demo", "-c", "user.email=demo@example.org", "-c", "commit.gpgsign=false")


@dataclass(slots=True)
class Customers:
    """What people in front of the shop saw."""

    asked: int = 0
    failed: int = 0


class Stage:
    """Everything lies below one temporary directory and carries one environment's label."""

    def __init__(self, directory: Path, environment: str, engine: str) -> None:
        self.work = directory / "work"
        self.url = ""
        self._remote = directory / "remote.git"
        self._state = directory / "state"
        self._operator = directory / "operator.yaml"
        self._environment = environment
        self._engine = engine
        self._loop: subprocess.Popen[bytes] | None = None

    # --- Git ---------------------------------------------------------------------------------------------------------

    def prepare(self, repository: Path, variables: dict[str, dict[str, str]]) -> None:
        """Make the remote from a directory; the operator's file declares the variables by stack."""
        shutil.copytree(repository, self.work)
        settings = self.work / "reconciler.yaml"
        text = settings.read_text().replace("name: production", f"name: {self._environment}")
        settings.write_text(text.replace("interval: 30s", "interval: 1s"))
        self._operator.write_text(_yaml({"environment": variables}))
        self.url = f"http://127.0.0.1:{variables['shop']['WEB_PORT']}"
        self._run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self._remote))
        self._run("git", "init", "--quiet", "--initial-branch=main", str(self.work))
        self.git("remote", "add", "origin", str(self._remote))
        self.commit_all("The shop")
        self.push()

    def git(self, *words: str) -> str:
        """Run git in the working copy. Returns what it printed."""
        return self._run("git", *GIT_IDENTITY, "-C", str(self.work), *words)

    def commit(self, patch: Path) -> None:
        """Commit a change that was prepared as a patch, and show it."""
        self.git("am", "--quiet", "--whitespace=nowarn", str(patch))
        print(self.git("show", "--stat", "--format=   commit %h  %s", "HEAD"), end="", flush=True)

    def commit_all(self, subject: str) -> None:
        """Commit whatever stands in the working copy."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)

    def push(self) -> None:
        """Push to the remote that the loop follows."""
        self.git("push", "--quiet", "origin", "main")

    @property
    def head(self) -> str:
        """The newest commit's id."""
        return self.git("rev-parse", "HEAD").strip()

    # --- the reconciler ----------------------------------------------------------------------------------------------

    def show(self, verb: str, *more: str, directory: bool = False) -> None:
        """Run a verb and let it print."""
        source = str(self.work if directory else self._remote)
        print(f"$ reconciler {' '.join([verb, '.' if directory else 'REMOTE', *more])}", flush=True)
        options = ["--operator", str(self._operator), *more]
        options += [] if verb == "validate" else ["--state", str(self._state), *self._engine_option()]
        subprocess.run([sys.executable, "-m", "reconciler", verb, source, *options], check=False, timeout=PATIENCE_SECONDS)

    def start_loop(self) -> None:
        """Start `reconciler run` on the remote."""
        words = ["run", str(self._remote), "--state", str(self._state), "--operator", str(self._operator)]
        self._loop = subprocess.Popen([sys.executable, "-m", "reconciler", *words, *self._engine_option()])

    def stop_loop(self) -> None:
        """End the loop as a service manager would."""
        if self._loop is not None:
            self._loop.terminate()
            self._loop.wait(timeout=15)
            self._loop = None

    def until(self, what: str, holds: Callable[[Turn], bool]) -> None:
        """Wait until the loop's last turn meets the condition. Raises Unreachable when it does not come true."""
        store, pause = self._place().store(), threading.Event()
        for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
            turns = store.turns(1)
            if turns and holds(turns[0]):
                print(f"--- {what}", flush=True)
                return
            if self._loop is not None and self._loop.poll() is not None:
                raise Unreachable("the loop has ended", hint="its last words stand above")
            pause.wait(POLL_SECONDS)
        raise Unreachable(f"not {what} within {PATIENCE_SECONDS:g} s", hint="the loop's words stand above")

    def _engine_option(self) -> list[str]:
        return ["--engine", self._engine] if self._engine else []

    def _place(self) -> Workplace:
        said = {"source": str(self._remote), "state": str(self._state), "operator": str(self._operator)}
        return workplace({**said, "engine": self._engine or None} if self._operator.exists() else {"state": str(self._state)})

    # --- the world ---------------------------------------------------------------------------------------------------

    def docker(self, *words: str) -> None:
        """Do with the containers what a person would."""
        print(f"$ docker {' '.join(words)}", flush=True)
        host = ["--host", self._engine] if self._engine else []
        print(self._run("docker", *host, *words), end="", flush=True)

    def ask(self, path: str) -> str:
        """Ask the shop; returns its answer or what went wrong."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                body: bytes = answer.read()
                return body.decode().strip()
        except (urllib.error.URLError, OSError) as error:
            return f"failed: {error}"

    @contextlib.contextmanager
    def customers(self) -> Iterator[Customers]:
        """Let somebody ask the shop again and again meanwhile."""
        seen, gone = Customers(), threading.Event()

        def shop() -> None:
            while not gone.wait(0.05):
                for path in ("/cgi-bin/api/version", "/index.html"):
                    seen.asked += 1
                    seen.failed += self.ask(path).startswith("failed")

        customer = threading.Thread(target=shop, daemon=True)
        customer.start()
        try:
            yield seen
        finally:
            gone.set()
            customer.join(timeout=10)

    def sweep(self) -> None:
        """Remove every container, network and volume that carries the demo's label."""
        from reconciler.model import labels
        from reconciler.model.plan import RemoveInstance, RemoveNetwork, RemoveVolume, StopInstance, Target

        runtime = self._place().runtime()
        seen = runtime.observe(self._environment)
        changes = [
            change
            for one in seen.instances
            for change in (StopInstance(Target(one.name, one.id), 1.0), RemoveInstance(Target(one.name, one.id), volumes=True))
        ]
        ours = {labels.ENVIRONMENT: self._environment}.items()
        lease = {labels.LEASE: self._environment}.items()
        networks = [RemoveNetwork(one.id, one.name) for one in seen.networks if ours <= one.labels.items()]
        volumes = [RemoveVolume(one.name) for one in seen.volumes if ours <= one.labels.items() or lease <= one.labels.items()]
        for change in (*changes, *networks, *volumes):
            with contextlib.suppress(ReconcilerError):
                runtime.do(change)

    @staticmethod
    def _run(*words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        if done.returncode:
            raise Unreachable(f"{words[0]} failed: {done.stderr.strip()}")
        return done.stdout


def _yaml(document: dict[str, dict[str, dict[str, str]]]) -> str:
    import json

    return json.dumps(document)
