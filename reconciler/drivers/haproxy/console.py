"""How is something said to each process of a gateway?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from reconciler.drivers.haproxy import statistics
from reconciler.drivers.haproxy.statistics import Processes, Worker
from reconciler.errors import Conflict, Unreachable
from reconciler.model.gateway_container import PREDECESSORS, home
from reconciler.model.traffic import ADMIN_SOCKET, MASTER_SOCKET, ObservedServer
from reconciler.ports import Clock, Inside

LOOK_AGAIN_SECONDS = 0.05
ENDING_SECONDS = 1.0

Found = TypeVar("Found")


class Console:
    """The sockets of one gateway: of its current worker, of its master, and through that of its older workers."""

    def __init__(self, inside: Inside, clock: Clock, container: str) -> None:
        self.home = home(container)
        self._inside = inside
        self._clock = clock
        self._container = container

    def current(self, line: str) -> str:
        """Say something to the worker that takes what is new; several commands are parted by `;`."""
        return self._tell(ADMIN_SOCKET, line)

    def reload(self) -> str:
        """Have the master load anew; return what it says of it, "" from one that says nothing."""
        with suppress(Unreachable):  # It begins anew itself, and may cut the line.
            return self._tell(MASTER_SOCKET, "reload")
        return ""

    def worker(self) -> Worker:
        """Ask the current worker what it does."""
        return statistics.worker(self.current("show info;show stat;show servers state"))

    def started(self) -> Worker:
        """Return the current worker once the master answers as well, which it does a moment later."""
        self.processes()
        return self.worker()

    def processes(self) -> Processes:
        return statistics.processes(self._tell(MASTER_SOCKET, "show proc"))

    def elders(self, worker: Worker) -> Iterator[Callable[[str], str]]:
        """Yield a way to speak to each worker that only ends what it has: from before a reload, or of a gateway before this.

        One that is gone by now answers "", or that there is no such process.
        """
        socket = f"{self.home}/{MASTER_SOCKET}"
        yield from (self._elder(socket, pid) for pid in self.processes().workers if pid != worker.pid)
        for before in (self.read(f"{self.home}/{PREDECESSORS}") or b"").decode().split():
            socket = f"{before}/{MASTER_SOCKET}"
            with suppress(Conflict):  # It has ended all it had.
                found = statistics.processes(self._patiently(socket, "show proc"))
                yield from (self._elder(socket, pid) for pid in found.workers)

    def older_servers(self, worker: Worker) -> tuple[ObservedServer, ...]:
        """Return the servers of the workers that only end what they have."""
        return tuple(server for say in self.elders(worker) for server in statistics.servers(say("show stat")))

    def until(self, look: Callable[[], Found], seconds: float) -> Found | None:
        """Look again and again, also where nobody answers for now; return what was found first, None if nothing in time."""
        deadline = self._clock.monotonic() + seconds
        while True:
            with suppress(Unreachable):
                if found := look():
                    return found
            if self._clock.monotonic() >= deadline:
                return None
            self._clock.sleep(LOOK_AGAIN_SECONDS)

    def read(self, name: str) -> bytes | None:
        """Return a file of the volume."""
        return self._inside.read(self._container, name)

    def write(self, name: str, content: bytes) -> None:
        self._inside.write(self._container, name, content)

    def run(self, words: str) -> tuple[int, str]:
        """Have the container's shell carry out words; return its exit code and what it wrote."""
        return self._inside.run(self._container, ("/bin/sh", "-c", words))

    def _tell(self, socket: str, line: str) -> str:
        try:
            return self._inside.tell(self._container, f"{self.home}/{socket}", line)
        except Conflict as nobody:
            raise Unreachable(str(nobody)) from nobody

    def _elder(self, socket: str, pid: int) -> Callable[[str], str]:
        def say(line: str) -> str:
            with suppress(Conflict):
                # The prefix holds for one command only.
                return self._patiently(socket, ";".join(f"@!{pid} {one}" for one in line.split(";")))
            return ""

        return say

    def _patiently(self, socket: str, line: str) -> str:
        """Ask a master that may end in the middle of a word. Raises Conflict if it has, Unreachable if it is silent."""
        found = self.until(lambda: (self._inside.tell(self._container, socket, line),), ENDING_SECONDS)
        return found[0] if found else self._inside.tell(self._container, socket, line)
