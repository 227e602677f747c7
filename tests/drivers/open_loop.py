"""How many requests are lost while something happens, under a load that goes on at its own pace?

Requests begin at a fixed rate, however long the earlier ones take: a service that stalls is asked all the same. Of the
clients some open a connection for each request, as scripts do, and some keep theirs, as browsers and other services do.
Nothing is tried a second time, so what a client would notice is counted.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

LAST_SECONDS = 30.0
"""How long an answer may take once no more requests begin."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, and how often.

    rate        requests that begin each second
    slow        path of requests that take long, "" for none; one of `slow_every` is such a one
    kept_every  one of so many goes over a connection that is kept
    """

    port: int
    host: str = "127.0.0.1"
    rate: float = 50.0
    path: str = "/"
    slow: str = ""
    slow_every: int = 10
    kept_every: int = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: status and body, or 0 and what went wrong. Times in seconds, `begun` since the load began."""

    begun: float
    took: float
    path: str
    kept: bool
    status: int
    body: str

    @property
    def is_lost(self) -> bool:
        return not 200 <= self.status < 500


@dataclass(slots=True)
class Running:
    """A load that is on. `phases` say what happened when, so that a lost request can be told by its time."""

    load: Load
    answers: list[Answer] = field(default_factory=list)
    phases: list[tuple[float, str]] = field(default_factory=list)
    begun: int = 0
    most_in_flight: int = 0
    _start: float = field(default_factory=time.monotonic)

    @property
    def in_flight(self) -> int:
        return self.begun - len(self.answers)

    @property
    def lost(self) -> list[Answer]:
        """Requests without a good answer: cut, refused, or answered with 5xx."""
        return [one for one in self.answers if one.is_lost]

    @property
    def served(self) -> Counter[str]:
        """How many good answers came from whom, by what they say."""
        return Counter(one.body for one in self.answers if not one.is_lost)

    def phase(self, name: str) -> None:
        """Say what begins now."""
        self.phases.append((self.elapsed(), name))

    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def least_in_flight(self, since: float, until: float) -> int:
        """How many requests there were at least at any time between two moments, once all are answered."""
        edges = [(one.begun, 1) for one in self.answers] + [(one.begun + one.took, -1) for one in self.answers]
        now, seen = 0, []
        for at, step in sorted(edges):
            now += step
            if since <= at <= until:
                seen.append(now)
        return min(seen, default=0)

    def summary(self) -> str:
        """What was asked and what was lost, each lost request with the phase it began in."""
        took = sorted(one.took for one in self.answers) or [0.0]
        middle, worst = took[len(took) // 2] * 1000, took[-1] * 1000
        lines = [f"{len(self.answers)} requests, at most {self.most_in_flight} in flight, {len(self.lost)} lost"]
        lines.append(f"half of them within {middle:.0f} ms, all within {worst:.0f} ms")
        for one in self.lost:
            during = [name for at, name in self.phases if at <= one.begun + one.took][-1:] or ["the beginning"]
            how = "kept" if one.kept else "new"
            lines.append(f"at {one.begun:.3f} s for {one.took:.3f} s ({during[0]}): {how} {one.path} {one.status} {one.body}")
        return "\n".join(lines)


@contextmanager
def loaded(load: Load) -> Iterator[Running]:
    """Keep the load on while the block runs; then let the last requests be answered."""
    running, stop = Running(load), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_drive(running, stop)), name="load")
    thread.start()
    try:
        yield running
    finally:
        stop.set()
        thread.join()


async def _drive(running: Running, stop: threading.Event) -> None:
    idle: list[Connection] = []
    tasks: set[asyncio.Task[None]] = set()
    number, start = 0, running.elapsed()
    while not stop.is_set():
        task = asyncio.create_task(_request(running, number, idle))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        running.begun += 1
        running.most_in_flight = max(running.most_in_flight, running.in_flight)
        number += 1
        await asyncio.sleep(max(0.0, start + number / running.load.rate - running.elapsed()))
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_SECONDS + 1)
    for connection in idle:
        await _close(connection)


async def _request(running: Running, number: int, idle: list[Connection]) -> None:
    load, begun = running.load, running.elapsed()
    path = load.slow if load.slow and number % load.slow_every == 0 else load.path
    kept = number % load.kept_every == 0
    try:
        async with asyncio.timeout(LAST_SECONDS):
            status, body = await _ask(load, path, idle if kept else None)
    except (OSError, EOFError, ValueError) as error:
        status, body = 0, f"{type(error).__name__}: {error}"
    running.answers.append(Answer(begun, running.elapsed() - begun, path, kept, status, body))


async def _ask(load: Load, path: str, idle: list[Connection] | None) -> tuple[int, str]:
    connection = await _connection(load, idle)
    reader, writer = connection
    reusable = False
    try:
        wish = "close" if idle is None else "keep-alive"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {load.host}\r\nConnection: {wish}\r\n\r\n".encode())
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, fields = _head(head)
        body = await _body(reader, fields)
        reusable = idle is not None and fields.get("connection", "") != "close"
        return status, body.decode(errors="replace").strip()
    finally:
        if reusable and idle is not None:
            idle.append(connection)
        else:
            await _close(connection)


async def _connection(load: Load, idle: list[Connection] | None) -> Connection:
    """Take a kept connection that nobody has closed, as every client looks first."""
    while idle:
        connection = idle.pop()
        if not connection[0].at_eof():
            return connection
        await _close(connection)
    return await asyncio.open_connection(load.host, load.port)


def _head(text: str) -> tuple[int, dict[str, str]]:
    first, *lines = text.strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip().lower() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"]))
    if fields.get("transfer-encoding") != "chunked":
        return await reader.read()
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


async def _close(connection: Connection) -> None:
    writer = connection[1]
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
