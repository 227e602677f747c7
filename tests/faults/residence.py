"""Who lives beside an engine that breaks: a resident reconciler of a directory, in a thread of its own?"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Protocol

from reconciler.api.health import pages
from reconciler.api.http import listen_address, serve
from reconciler.apply import Applier
from reconciler.drivers.clock import SystemClock
from reconciler.drivers.directory import FolderSource
from reconciler.drivers.docker import connect
from reconciler.drivers.sqlite import SqliteStore
from reconciler.load.loading import LoadSettings, load
from reconciler.loop import Reconciler, World
from reconciler.model.desired import DesiredState
from reconciler.model.source import Revision
from reconciler.model.status import Report
from reconciler.ports import Files, Lease
from reconciler.resident import Resident
from reconciler.settle import is_settled, verdict

DEADLINE_SECONDS = 30.0
ENGINE_SECONDS = 5.0
"""How long the resident waits for an answer of its engine: ours is near, and a test short."""

RUNS = """CMD ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"""
HEALTHY = "HEALTHCHECK --interval=200ms --timeout=5s --retries=3 CMD true"
"""What makes an image whose containers run, are healthy at once, and end when they are told to."""

SETTINGS = "api: v1\nname: {name}\ninterval: 1s\nstacks: {stacks}\n"


def write(directory: Path, services: str, *, name: str = "faults", more: str = "", stack: str = "") -> None:
    """Ask for one stack `shop` of these services; `more` are other parts of its file, `stack` other keys of its entry."""
    (directory / "shop").mkdir(parents=True, exist_ok=True)
    # The settings come last: an environment without its stack would be refused.
    (directory / "shop/compose.yaml").write_text(f"name: shop\nservices:\n{services}{more}")
    (directory / "reconciler.yaml").write_text(SETTINGS.format(name=name, stacks=f"{{shop: {{path: shop{stack}}}}}"))


def service(name: str, image: str = "web:1", **more: str) -> str:
    """Return a service that ends at once when it is told to, as a line of a compose file."""
    keys = {"image": f"'{image}'", "restart": "unless-stopped", "stop_grace_period": "1s", **more}
    return f"  {name}: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}\n"


class Residence:
    """A resident, every turn that it told of, and whom it waits for."""

    def __init__(
        self,
        engine: str,
        directory: Path,
        state: Path,
        *,
        holder: str,
        seconds: float,
    ) -> None:
        self.told: list[Report] = []
        self.yielded: list[Lease] = []
        self.bug: Exception | None = None
        self._directory = directory
        self._news = threading.Condition()
        self.clock = SystemClock()
        runtime = connect(engine, seconds, clock=self.clock)
        world = World(FolderSource(directory), _load, runtime, SqliteStore(state), self.clock)
        self.resident = Resident(Reconciler(world, Applier(runtime, self.clock)), self._tell, holder, self._yield_to)
        self._thread = threading.Thread(target=self._live, name=f"resident {holder}")
        self._pages = serve("127.0.0.1:0", pages(self.resident.pulse, self.clock))

    def __enter__(self) -> Residence:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """End it, as a signal does, and wait for its end. Raises what it failed of."""
        self.resident.end()
        self._thread.join(DEADLINE_SECONDS)
        self._pages.shutdown()
        self._pages.server_close()
        assert not self._thread.is_alive()
        if self.bug is not None:
            raise self.bug

    def until(self, met: Callable[[Report], object], what: str = "") -> Report:
        """Wait for a turn that begins from now on and is so; return it."""
        return self._until(len(self.told), met, what)

    def settled(self) -> Report:
        """Wait until everything is as the directory asks, and well."""
        wanted = FolderSource(self._directory).fetch().id
        return self.until(lambda report: report.applied == wanted and is_settled(report) and not verdict(report), "settled")

    def says(self, text: str) -> Report:
        """Wait for a turn that says this text of what keeps it."""
        return self.until(lambda report: text in said(report), text)

    def waits(self) -> None:
        """Wait until somebody else has the lease."""
        with self._news:
            assert self._news.wait_for(lambda: self.yielded or self.bug, DEADLINE_SECONDS)

    def page(self, path: str) -> tuple[int, Mapping[str, object]]:
        """Return status and document of a health page."""
        host, port = listen_address(f"127.0.0.1:{self._pages.server_address[1]}")
        connection = HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def _until(self, after: int, met: Callable[[Report], object], what: str) -> Report:
        def found() -> Report | None:
            return next((report for report in self.told[after:] if met(report)), None)

        with self._news:
            assert self._news.wait_for(lambda: found() or self.bug, DEADLINE_SECONDS), (what, *map(said, self.told[-5:]))
            report = found()
            assert report is not None, self.bug
            return report

    def _tell(self, report: Report) -> None:
        with self._news:
            self.told.append(report)
            self._news.notify_all()

    def _yield_to(self, lease: Lease) -> None:
        with self._news:
            self.yielded.append(lease)
            self._news.notify_all()

    def _live(self) -> None:
        try:
            self.resident.run()
        except Exception as bug:  # noqa: BLE001 - raised where the test is
            with self._news:
                self.bug = bug
                self._news.notify_all()


class Reside(Protocol):
    def __call__(
        self, state: str = "state", *, git: str = "git", holder: str = "us", seconds: float = ENGINE_SECONDS
    ) -> Residence:
        """Start a resident; `state` and `git` name its directories among those of the test."""


def said(report: Report) -> str:
    """Return what a turn says is not as it should be, in one text."""
    return "\n".join(verdict(report))


def _load(files: Files, revision: Revision) -> DesiredState:
    return load(files, revision, LoadSettings())
