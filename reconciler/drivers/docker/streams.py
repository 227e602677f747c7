"""What does the engine tell as it happens: events, and what containers write?"""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from docker.errors import DockerException
from docker.types import CancellableStream

from reconciler.drivers.docker.connection import BROKEN, NO_DEADLINE, Connection, path_of, unreachable
from reconciler.drivers.docker.observe import moment
from reconciler.errors import Unreachable
from reconciler.ports import Event, LogLine

SILENCE_SECONDS = 600.0
"""A stream that says nothing for so long may be dead without anybody having noticed: it is opened again."""

KINDS = ("container", "network", "volume", "image")
ACTIONS = (
    *("create", "start", "restart", "die", "kill", "oom", "pause", "unpause", "rename", "update", "destroy", "health_status"),
    *("connect", "disconnect", "remove"),
    *("pull", "tag", "untag", "delete"),
)
"""Everything after which the next look may differ. `exec_*` is left out: each healthcheck would make three of them."""

PIECE_BYTES = 1 << 16
"""How much of a stream is held at most before it is looked at. What comes in chunks is seen as it comes."""

STDERR = 2
HEADER = struct.Struct(">BxxxL")
STAMP = re.compile(rb"\A\d{4}-\d\d-\d\dT[\d:.]+Z ")


def events(connection: Connection, stop: threading.Event) -> Iterator[Event]:
    """Open the stream, so that nothing from now on is missed; yield the engine's events until `stop` is set.

    Raises Unreachable when the stream ends before that.
    """
    filters = {"type": list(KINDS), "event": list(ACTIONS)}
    answer = connection.ask("GET", "/events", query={"filters": filters}, seconds=SILENCE_SECONDS, stream=True)
    return _events(connection, answer, stop)


def log_lines(connection: Connection, instance: str, *, follow: bool, tail: int | None) -> Iterator[LogLine]:
    """Yield what a container wrote. A followed log may be silent for ever, so it has no deadline."""
    tty = connection.get(path_of("/containers/{}/json", instance))["Config"].get("Tty")
    query = {"stdout": True, "stderr": True, "timestamps": True, "follow": follow, "tail": "all" if tail is None else tail}
    seconds = NO_DEADLINE if follow else None
    path = path_of("/containers/{}/logs", instance)
    with connection.ask("GET", path, query=query, seconds=seconds, stream=True) as answer:
        try:
            for stream, line in _lines(_raw(answer) if tty else frames(answer)):
                yield _log_line(instance, stream, line)
        except BROKEN as error:
            raise unreachable(connection.host, error) from error


def frames(answer: requests.Response) -> Iterator[tuple[str, bytes]]:
    """Yield stream name and bytes of each frame of the engine's multiplexed stream.

    A frame is eight bytes (stream, three zeros, length as a big-endian number) and then its content.
    """
    buffer = bytearray()
    for chunk in answer.iter_content(PIECE_BYTES):
        buffer += chunk
        while len(buffer) >= HEADER.size:
            stream, length = HEADER.unpack_from(buffer)
            if len(buffer) < HEADER.size + length:
                break
            yield "stderr" if stream == STDERR else "stdout", bytes(buffer[HEADER.size : HEADER.size + length])
            del buffer[: HEADER.size + length]


def _events(connection: Connection, answer: requests.Response, stop: threading.Event) -> Iterator[Event]:
    with answer, _ended_by(stop, answer):
        try:
            for line in answer.iter_lines(chunk_size=None):
                if line:
                    yield _event(json.loads(line))
        except (*BROKEN, ValueError, AttributeError) as error:
            # Whoever sets `stop` has the socket shut under the reader, which fails in the reader's own ways.
            if not stop.is_set():
                raise unreachable(connection.host, error) from error
    if not stop.is_set():
        raise Unreachable("the engine ended its stream of events")


@contextmanager
def _ended_by(stop: threading.Event, answer: requests.Response) -> Iterator[None]:
    """Shut the answer's socket as soon as `stop` is set, so that who reads from it wakes up."""
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if stop.wait(0.5):
                _shut(answer)
                return

    watcher = threading.Thread(target=watch, name="docker-events-stop", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()


def _shut(answer: requests.Response) -> None:
    # The reader may have ended by itself in this very moment, and then there is nothing left to shut.
    with suppress(*BROKEN, AttributeError):
        try:
            CancellableStream(iter(()), answer).close()
        except DockerException:
            # Over ssh there is a channel in the socket's place.
            reply: Any = answer.raw._fp
            reply.fp.channel.close()


def _event(document: Mapping[str, Any]) -> Event:
    actor = document.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    seconds, nanoseconds = divmod(int(document.get("timeNano") or document["time"] * 10**9), 10**9)
    at = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanoseconds // 1000)
    id = str(actor.get("ID") or "")
    name = str(attributes.get("name") or (id if document["Type"] in ("volume", "image") else ""))
    return Event(document["Type"], document["Action"], id, name, at, attributes)


def _raw(answer: requests.Response) -> Iterator[tuple[str, bytes]]:
    """A terminal has one stream, sent as it is."""
    for chunk in answer.iter_content(PIECE_BYTES):
        yield "stdout", chunk


def _lines(pieces: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Put pieces together to lines, each stream for itself; what stands last need not end in a newline."""
    pending: dict[str, bytes] = {}
    for stream, piece in pieces:
        # The engine cuts a line past 16 KiB into frames and stamps each of them.
        more = STAMP.sub(b"", piece) if pending.get(stream) else piece
        *whole, pending[stream] = (pending.get(stream, b"") + more).split(b"\n")
        yield from ((stream, line) for line in whole)
    yield from ((stream, rest) for stream, rest in pending.items() if rest)


def _log_line(instance: str, stream: str, line: bytes) -> LogLine:
    stamp, _, text = line.decode(errors="replace").rstrip("\r").partition(" ")
    try:
        return LogLine(instance, moment(stamp), stream, text)
    except ValueError:
        return LogLine(instance, None, stream, f"{stamp} {text}".rstrip())
